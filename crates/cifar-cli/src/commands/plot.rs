//! `cifar plot`: a run as pictures.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cifar_data::{CLASS_NAMES, Dataset};
use cifar_metrics::{Evaluation, Verdict, surest_mistakes};
use cifar_report::{
    CellText, Drawing, Prediction, class_bars, confusion_matrix, gradient_norm, learning_rate,
    prediction_grid, reliability_diagram, training_history,
};
use cifar_train::{History, RunFolder};
use serde::Serialize;

use crate::args::{PictureFormat, PlotArgs};
use crate::console::Console;
use crate::logged;
use crate::tested::{Test, TestResult};

/// Pictures of a page of predictions, and of a row of it.
const N_SHOWN: usize = 36;
const COLUMNS: usize = 6;

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
        TestResult::Recomputed(test, images) => {
            pages.extend(evaluation_pages(&test.evaluation, images.class_names(), &recipe.name));
            pages.extend(prediction_pages(&test, &images, &recipe.name));
            None
        }
        TestResult::Stored(evaluation, reason) => {
            let names = CLASS_NAMES.map(str::to_owned);
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
fn prediction_pages(test: &Test, images: &Dataset, name: &str) -> Vec<Page> {
    let names = images.class_names();
    let page = |title: String, verdicts: &[Verdict]| {
        let shown = verdicts.iter().take(N_SHOWN).map(|verdict| Prediction {
            pixels: images.image(verdict.sample),
            truth: &names[verdict.truth],
            predicted: &names[verdict.predicted],
            probability: verdict.probability,
        });
        prediction_grid(&title, &shown.collect::<Vec<_>>(), COLUMNS)
    };
    vec![
        ("predictions", page(format!("{name} on the first test images"), &test.verdicts)),
        ("mistakes", page(format!("Surest mistakes of {name}"), &surest_mistakes(&test.verdicts))),
    ]
}

fn save(pages: &[Page], args: &PlotArgs, run: &RunFolder) -> anyhow::Result<Vec<PathBuf>> {
    let folder = args.out.clone().unwrap_or_else(|| run.path().join("plots"));
    fs::create_dir_all(&folder).with_context(|| {
        format!("cannot create {}; choose another folder with --out", folder.display())
    })?;
    let formats = match args.format {
        PictureFormat::Png => &[cifar_report::Format::Png][..],
        PictureFormat::Svg => &[cifar_report::Format::Svg],
        PictureFormat::Both => &[cifar_report::Format::Png, cifar_report::Format::Svg],
    };
    let mut files = Vec::new();
    for (name, drawing) in pages {
        for &format in formats {
            let path = folder.join(format!("{name}.{}", format.extension()));
            drawing.save(&path, format)?;
            files.push(path);
        }
    }
    Ok(files)
}
