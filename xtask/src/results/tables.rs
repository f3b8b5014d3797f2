//! The tables as Markdown.

use cifar_metrics::Spread;

use super::Results;

/// For a reader who wants to know what to expect.
pub(super) fn short(all: &[(String, Results)]) -> String {
    let head = "| recipe | trained parameters | test accuracy, mean ± std | n | command |\n|---|---|---|---|---|\n";
    let rows = all.iter().filter_map(|(name, results)| {
        let (first, spread) = (results.runs.first()?, accuracy(results)?);
        Some(format!(
            "| `{name}`, {} | {} | {} | {} | {} |\n",
            counted(first.epochs, "epoch"),
            thousands(first.parameters),
            mean_and_std(&spread),
            spread.n,
            commands(results)
        ))
    });
    std::iter::once(head.to_owned()).chain(rows).collect()
}

/// For a reader who wants to see each run.
pub(super) fn long(all: &[(String, Results)]) -> String {
    let head = "| recipe | test accuracy by seed | mean ± std | each image alone | n | training, s | images/s \
                | MB | command | machine |\n|---|---|---|---|---|---|---|---|---|---|\n";
    let rows = all.iter().filter_map(|(name, results)| {
        let (first, spread) = (results.runs.first()?, accuracy(results)?);
        let each = results
            .runs
            .iter()
            .map(|run| format!("{}: {:.2} %", run.seed, 100.0 * run.test_accuracy));
        let single = results.spread(|run| run.single_view_accuracy);
        let whole = |figure: Option<Spread>| {
            figure.map_or_else(|| "?".to_owned(), |spread| thousands(spread.mean.round() as u64))
        };
        Some(format!(
            "| `{name}`, {}, {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
            counted(first.epochs, "epoch"),
            first.precision,
            each.collect::<Vec<_>>().join(", "),
            mean_and_std(&spread),
            single.map_or_else(String::new, |spread| mean_and_std(&spread)),
            spread.n,
            whole(results.spread(|run| Some(run.duration_s))),
            whole(results.spread(|run| Some(run.images_per_second))),
            whole(results.spread(|run| run.peak_rss_bytes.map(|bytes| bytes as f64 / 1e6))),
            commands(results),
            results.machine
        ))
    });
    std::iter::once(head.to_owned()).chain(rows).collect()
}

fn commands(results: &Results) -> String {
    let quoted = results.commands().into_iter().map(|command| format!("`{command}`"));
    quoted.collect::<Vec<_>>().join(", ")
}

fn accuracy(results: &Results) -> Option<Spread> {
    results.spread(|run| Some(run.test_accuracy))
}

/// `94.02 ± 0.13 %`
fn mean_and_std(spread: &Spread) -> String {
    match spread.sd {
        Some(sd) => format!("{:.2} ± {:.2} %", 100.0 * spread.mean, 100.0 * sd),
        None => format!("{:.2} %", 100.0 * spread.mean),
    }
}

fn counted(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `2,777,674`
fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
