//! `cifar train --seeds`: the same recipe from several seeds, one run after another.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::bail;
use cifar_metrics::Spread;
use cifar_train::{Recipe, RunFolder, Summary};
use serde::Serialize;

use super::{Ended, one, settings};
use crate::args::{SeedRange, TrainArgs};
use crate::console::Console;
use crate::record::Record;
use crate::tables::{self, Align, Table, percent};
use crate::{INTERRUPTED, recipes};

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    runs: &'a [Summary],
    test_accuracy: Option<Spread>,
    test_loss: Option<Spread>,
}

pub(super) fn run(
    args: &TrainArgs,
    seeds: SeedRange,
    console: &mut Console,
) -> anyhow::Result<ExitCode> {
    let recipe = recipes::load(&args.recipe, &settings(args))?;
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        // Without the time, so that the same command finds what it began.
        None => PathBuf::from("runs").join(format!("{}-seeds", recipe.name)),
    };
    let mut summaries = Vec::new();
    for seed in seeds.clone() {
        let run = folder.join(format!("seed-{seed}"));
        let args = TrainArgs { seed: Some(seed), out: Some(run.clone()), ..args.clone() };
        if let Some(summary) = finished(&run, &args)? {
            let accuracy = percent(summary.test_accuracy);
            console.line(format!("Seed {seed}: {accuracy}, in {} already\n", run.display()))?;
            summaries.push(summary);
            continue;
        }
        console.line(format!("Seed {seed}"))?;
        let args = match RunFolder::open(&run) {
            Ok(_) => TrainArgs { resume: Some(run), ..args },
            Err(_) => args,
        };
        match one(&args, console)? {
            Ended::Tested(summary) => summaries.push(*summary),
            Ended::Interrupted(_) => {
                console.line("The same command goes on with the series.")?;
                return Ok(ExitCode::from(INTERRUPTED));
            }
        }
        console.line(String::new())?;
    }
    let figures = |figure: fn(&Summary) -> f64| -> Option<Spread> {
        Spread::of(&summaries.iter().map(figure).collect::<Vec<_>>())
    };
    let accuracy = figures(|summary| summary.test_accuracy);
    console.line(table(&summaries).to_string())?;
    if let Some(spread) = &accuracy {
        console.line(format!("\n{}", described(spread)))?;
    }
    console.document(&Report {
        runs: &summaries,
        test_accuracy: accuracy,
        test_loss: figures(|summary| summary.test_loss),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// What the run came to, if it is done; an error if it is one of another recipe.
fn finished(path: &Path, args: &TrainArgs) -> anyhow::Result<Option<Summary>> {
    if RunFolder::open(path).is_err() {
        return Ok(None);
    }
    let record = Record::read(path)?;
    let wanted = as_settled(recipes::load(&args.recipe, &settings(args))?, &record.recipe, args);
    if wanted != record.recipe {
        bail!(
            "{} is a run of other settings; choose another folder with --out, or delete it",
            path.display()
        );
    }
    let is_done = |summary: &Summary| {
        summary.complete || args.max_steps.is_some_and(|most| summary.steps >= most)
    };
    Ok(record.summary.filter(is_done))
}

/// `recipe` with what the start of the run `found` settled from data and machine.
fn as_settled(mut recipe: Recipe, found: &Recipe, args: &TrainArgs) -> Recipe {
    recipe.precision = recipe.precision.or(found.precision);
    recipe.data.classes = recipe.data.classes.or_else(|| found.data.classes.clone());
    if args.measure_normalization {
        recipe.data.normalization = found.data.normalization;
    }
    recipe
}

fn table(summaries: &[Summary]) -> Table {
    let right = Align::Right;
    let mut table = Table::new(&[
        ("seed", right),
        ("test accuracy", right),
        ("test loss", right),
        ("duration", right),
        ("run", Align::Left),
    ]);
    for summary in summaries {
        table.row([
            summary.seed.to_string(),
            percent(summary.test_accuracy),
            format!("{:.4}", summary.test_loss),
            tables::duration(summary.duration_s),
            summary.run.display().to_string(),
        ]);
    }
    table
}

/// `94.02 ± 0.13 % (n 5); 95 % interval of the mean 93.86 to 94.18 %`
fn described(spread: &Spread) -> String {
    let hundred = |share: f64| format!("{:.2}", 100.0 * share);
    let mean = hundred(spread.mean);
    match (spread.sd, spread.half_width) {
        (Some(sd), Some(half)) => format!(
            "test accuracy {mean} ± {} % (mean ± sd, n {}); 95 % interval of the mean {} to {} %",
            hundred(sd),
            spread.n,
            hundred(spread.mean - half),
            hundred(spread.mean + half)
        ),
        _ => format!("test accuracy {mean} % (n 1)"),
    }
}
