//! `cifar plot`: a run as pictures.

use std::path::{Path, PathBuf};

use cifar_metrics::{Evaluation, surest_mistakes};
use cifar_report::{
    CellText, Drawing, class_bars, confusion_matrix, gradient_norm, learning_rate,
    reliability_diagram, training_history,
};
use cifar_train::{History, RunFolder};
use serde::Serialize;

use crate::args::PlotArgs;
use crate::console::Console;
use crate::tested::{Test, TestResult};
use crate::{logged, pictures};

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    run: &'a Path,
    files: Vec<PathBuf>,
    /// Why pictures are missing, where some are.
    missing: Option<String>,
}

/// A file's name without its ending, and what it shows.
type Page = (&'static str, Drawing);

pub(crate) fn run(args: &PlotArgs, console: &mut Console) -> anyhow::Result<()> {
    let run = RunFolder::open(&args.run)?;
    let recipe = run.recipe()?;
    let history = History::read(&run.metrics_jsonl())?;
    let mut pages = history_pages(&history, &recipe.name);
    let missing = match TestResult::of(&run, &recipe, &args.data_dir, &args.compute)? {
        TestResult::Recomputed { test, .. } => {
            let names = test.images.class_names();
            pages.extend(evaluation_pages(&test.evaluation, names, &recipe.name));
            pages.extend(prediction_pages(&test, &recipe.name));
            None
        }
        TestResult::Stored(evaluation, reason) => {
            let names = recipe.class_names();
            pages.extend(evaluation_pages(&evaluation, &names, &recipe.name));
            Some(format!("no pictures of predictions: {reason}"))
        }
        TestResult::None(reason) => Some(format!("no pictures of the test: {reason}")),
    };
    let files = save(&pages, args, &run)?;
    for file in &files {
        console.line(format!("Wrote {}", file.display()))?;
    }
    if let Some(missing) = &missing {
        console.line(missing)?;
    }
    Ok(console.document(&Report { run: run.path(), files, missing })?)
}

fn history_pages(history: &History, name: &str) -> Vec<Page> {
    let (steps, validation) = logged::points(history);
    vec![
        ("history", training_history(&format!("Training of {name}"), &steps, &validation)),
        ("learning_rate", learning_rate(&format!("Learning rate of {name}"), &steps)),
        ("gradient_norm", gradient_norm(&format!("Gradient norm of {name}"), &steps)),
    ]
}

fn evaluation_pages(evaluation: &Evaluation, class_names: &[String], name: &str) -> Vec<Page> {
    let title = |what| format!("{what} of {name} on the test images");
    let matrix =
        |what, text| confusion_matrix(&title(what), class_names, &evaluation.confusion, text);
    vec![
        (
            "class_metrics",
            class_bars(&title("Precision and recall"), class_names, &evaluation.per_class),
        ),
        ("confusion_counts", matrix("Predictions", CellText::Count)),
        ("confusion_percent", matrix("Predictions", CellText::Percent)),
        ("reliability", reliability_diagram(&title("Reliability"), &evaluation.calibration)),
    ]
}

/// The first test images, and the mistakes that the network was surest of.
fn prediction_pages(test: &Test, name: &str) -> Vec<Page> {
    let title = format!("{name} on the first test images");
    let first = pictures::predictions(&title, &test.verdicts, &test.images);
    let title = format!("Surest mistakes of {name}");
    let mistakes = pictures::predictions(&title, &surest_mistakes(&test.verdicts), &test.images);
    vec![("predictions", first), ("mistakes", mistakes)]
}

fn save(pages: &[Page], args: &PlotArgs, run: &RunFolder) -> anyhow::Result<Vec<PathBuf>> {
    let folder = args.out.clone().unwrap_or_else(|| run.path().join("plots"));
    let mut files = Vec::new();
    for (name, drawing) in pages {
        files.extend(pictures::save(&folder, name, drawing, args.format)?);
    }
    Ok(files)
}
