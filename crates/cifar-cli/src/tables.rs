//! Figures as text for a terminal.

use std::fmt;

use cifar_metrics::{ClassMetrics, Evaluation};
use cifar_train::{Summary, TimeTotals};

/// Side on which a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Rows under named columns, each as wide as its widest cell.
#[derive(Debug)]
pub(crate) struct Table {
    aligns: Vec<Align>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[(&str, Align)]) -> Self {
        let header = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        Self { aligns: columns.iter().map(|(_, align)| *align).collect(), rows: vec![header] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.aligns.len()).map(width).collect();
        for (i, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for ((cell, align), width) in row.iter().zip(&self.aligns).zip(&widths) {
                match align {
                    Align::Left => line += &format!("{cell:<width$}  "),
                    Align::Right => line += &format!("{cell:>width$}  "),
                }
            }
            let line = line.trim_end();
            if i == 0 {
                writeln!(
                    f,
                    "{line}\n{}",
                    "-".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1))
                )?;
            } else {
                write!(f, "{line}{}", if i + 1 < self.rows.len() { "\n" } else { "" })?;
            }
        }
        Ok(())
    }
}

/// Digits in groups of three: `2,777,674`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A fraction as percent with two digits.
pub(crate) fn percent(fraction: f64) -> String {
    format!("{:.2} %", 100.0 * fraction)
}

/// Seconds as `1 h 02 min`, `3 min 04 s` or `5.6 s`.
pub(crate) fn duration(secs: f64) -> String {
    let whole = secs.round() as u64;
    match whole {
        0..60 => format!("{secs:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// An evaluation: totals, the confusion matrix, per-class figures, most confused pairs.
pub(crate) fn evaluation(evaluation: &Evaluation, class_names: &[String]) -> String {
    let Evaluation { n, loss, top1, top5, .. } = evaluation;
    let totals = format!(
        "{} images: top-1 {}, top-5 {}, loss {loss:.4}",
        grouped(*n as u64),
        percent(*top1),
        percent(*top5)
    );
    format!(
        "{totals}\n\nConfusion matrix (rows: true class, columns: predicted)\n{}\n\n{}\n\nMost confused (true, predicted)\n{}",
        confusion(evaluation, class_names),
        per_class(&evaluation.per_class, class_names),
        confused_pairs(evaluation, class_names),
    )
}

fn confusion(evaluation: &Evaluation, class_names: &[String]) -> Table {
    let short: Vec<String> =
        class_names.iter().map(|name| name.chars().take(5).collect()).collect();
    let mut columns = vec![("", Align::Left)];
    columns.extend(short.iter().map(|name| (name.as_str(), Align::Right)));
    let mut table = Table::new(&columns);
    for (truth, name) in class_names.iter().enumerate() {
        let counts = (0..class_names.len())
            .map(|predicted| evaluation.confusion.count(truth, predicted).to_string());
        table.row(std::iter::once(name.clone()).chain(counts));
    }
    table
}

fn per_class(classes: &[ClassMetrics], class_names: &[String]) -> Table {
    let mut table = Table::new(&[
        ("class", Align::Left),
        ("precision", Align::Right),
        ("recall", Align::Right),
        ("F1", Align::Right),
        ("images", Align::Right),
    ]);
    // Undefined where a class was never predicted or never there.
    let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), percent);
    for (class, name) in classes.iter().zip(class_names) {
        table.row([
            name.clone(),
            cell(class.precision),
            cell(class.recall),
            cell(class.f1),
            class.support.to_string(),
        ]);
    }
    table
}

fn confused_pairs(evaluation: &Evaluation, class_names: &[String]) -> String {
    let pairs = evaluation.confusion.most_confused(5);
    let line = |pair: &cifar_metrics::ConfusedPair| {
        format!(
            "{:>5}  {} taken for {}",
            pair.count, class_names[pair.truth], class_names[pair.predicted]
        )
    };
    if pairs.is_empty() {
        "none".to_owned()
    } else {
        pairs.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The result of a run.
pub(crate) fn summary(summary: &Summary) -> String {
    let optional =
        |value: Option<f64>, show: fn(f64) -> String| value.map_or_else(|| "-".to_owned(), show);
    let rows = [
        (
            "test accuracy",
            format!("{} ({} weights)", percent(summary.test_accuracy), summary.tested),
        ),
        ("test loss", format!("{:.4}", summary.test_loss)),
        ("validation accuracy", optional(summary.val_accuracy, percent)),
        ("training accuracy", optional(summary.train_accuracy, percent)),
        ("training loss", optional(summary.train_loss, |loss| format!("{loss:.4}"))),
        ("epochs, steps", format!("{}, {}", summary.epochs, grouped(summary.steps as u64))),
        ("training speed", format!("{:.0} images/s", summary.images_per_second)),
        ("duration", duration(summary.duration_s)),
    ];
    let times = summary.times.iter().flat_map(|times| time_rows(times, summary.duration_s));
    let last_rows = [
        (
            "peak memory",
            summary
                .peak_rss_bytes
                .map_or_else(|| "-".to_owned(), |b| format!("{} MB", b / 1_000_000)),
        ),
        ("run folder", summary.run.display().to_string()),
    ];
    let rows = rows.into_iter().chain(times).chain(last_rows);
    rows.map(|(name, value)| format!("{name:<20}  {value}")).collect::<Vec<_>>().join("\n")
}

/// What a run's time went into, with its share of `whole` seconds.
fn time_rows(times: &TimeTotals, whole: f64) -> [(&'static str, String); 8] {
    [
        ("  waiting for data", times.data_secs),
        ("  forward", times.forward_secs),
        ("  backward", times.backward_secs),
        ("  optimiser", times.optimizer_secs),
        ("  validation", times.evaluation_secs),
        ("  checkpoints", times.checkpoint_secs),
        ("  logs and progress", times.observer_secs),
        ("  rest", whole - times.sum()),
    ]
    .map(|(name, secs)| {
        let share = if whole > 0.0 { 100.0 * secs / whole } else { 0.0 };
        (name, format!("{share:4.1} %  {}", duration(secs)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(
            ["0", "999", "1,000", "2,777,674"],
            [0, 999, 1000, 2_777_674].map(grouped).each_ref().map(String::as_str)
        );
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(&[("a", Align::Left), ("count", Align::Right)]);
        table.row(["long".to_owned(), "7".to_owned()]);
        table.row(["x".to_owned(), "1234567".to_owned()]);
        assert_eq!(table.to_string(), "a       count\n-------------\nlong        7\nx     1234567");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(
            [duration(5.55), duration(65.0), duration(3720.0)],
            ["5.5 s", "1 min 05 s", "1 h 02 min"]
        );
    }
}
