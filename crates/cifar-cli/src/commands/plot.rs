//! `cifar plot`: a run as pictures.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use cifar_data::{CLASS_NAMES, Cifar10, Dataset};
use cifar_metrics::Evaluation;
use cifar_report::{
    CellText, Drawing, EpochPoint, StepPoint, class_bars, confusion_matrix, gradient_norm,
    learning_rate, reliability_diagram, training_history,
};
use cifar_train::{History, Recipe, RunFolder};
use serde::Serialize;

use crate::args::PlotArgs;
use crate::console::Console;
use crate::{host, pictures, session};

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
    let missing = match test_result(args, &run, &recipe)? {
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
    let step = |step: &cifar_train::LoggedStep| StepPoint {
        step: step.step,
        loss: step.loss,
        accuracy: step.accuracy,
        learning_rate: step.learning_rate,
        gradient_norm: step.gradient_norm,
    };
    let steps: Vec<StepPoint> = history.steps.iter().map(step).collect();
    let validated = |epoch: &cifar_train::LoggedEpoch| {
        let validation = epoch.validation?;
        Some(EpochPoint {
            epoch: epoch.epoch,
            step: epoch.step,
            loss: validation.loss,
            accuracy: validation.accuracy,
        })
    };
    let validation: Vec<EpochPoint> = history.epochs.iter().filter_map(validated).collect();
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
    let all: Vec<usize> = (0..test.predictions.len()).collect();
    let title = format!("{name} on the first test images");
    let first = pictures::predictions(&title, &all, &test.predictions, images);
    let title = format!("Surest mistakes of {name}");
    let mistakes = pictures::surest_mistakes(&title, &test.predictions, images);
    vec![("predictions", first), ("mistakes", mistakes)]
}

/// The test figures, with the predicted class of each image and its probability.
struct Test {
    evaluation: Evaluation,
    predictions: Vec<(usize, f64)>,
}

enum TestResult {
    Recomputed(Box<Test>, Arc<Dataset>),
    /// From `evaluation.json`, and why no more.
    Stored(Box<Evaluation>, String),
    /// Why there is none.
    None(String),
}

/// What the run's checkpoint makes of the test images where they are at hand, else what the run
/// stored. Nothing is fetched for a picture.
fn test_result(args: &PlotArgs, run: &RunFolder, recipe: &Recipe) -> anyhow::Result<TestResult> {
    let checkpoints = run.checkpoints();
    let images = Cifar10::open(&args.data_dir).and_then(|data| data.test());
    let (images, weights) = match (images, checkpoints.evaluation_weights(checkpoints.reported())) {
        (Ok(images), Ok(weights)) => (images, weights),
        (Err(error), _) => return stored(run, format!("{error}")),
        (_, Err(error)) => return stored(run, format!("{error}")),
    };
    let (device, _) = host::device(&args.compute)?;
    let n_classes = images.class_names().len();
    let model = session::load_model(&recipe.model, n_classes, &weights, &device)?;
    let images = Arc::new(images);
    let loader = session::whole_eval_loader(&images, recipe)?;
    let (evaluation, predictions) = session::predict(&model, &loader, recipe, &device)?;
    Ok(TestResult::Recomputed(Box::new(Test { evaluation, predictions }), images))
}

fn stored(run: &RunFolder, reason: String) -> anyhow::Result<TestResult> {
    let path = run.path().join("evaluation.json");
    if !path.is_file() {
        return Ok(TestResult::None(reason));
    }
    let evaluation: Evaluation = fs::read(&path)
        .map_err(anyhow::Error::from)
        .and_then(|bytes| Ok(serde_json::from_slice(&bytes)?))
        .with_context(|| {
            format!("cannot use {}; delete it, or name the data with --data-dir", path.display())
        })?;
    let n_classes = evaluation.per_class.len();
    if n_classes != CLASS_NAMES.len() || evaluation.confusion.n_classes() != n_classes {
        bail!(
            "{} is of {n_classes} classes, expected {}; delete it, or name the data with --data-dir",
            path.display(),
            CLASS_NAMES.len()
        );
    }
    Ok(TestResult::Stored(Box::new(evaluation), reason))
}

fn save(pages: &[Page], args: &PlotArgs, run: &RunFolder) -> anyhow::Result<Vec<PathBuf>> {
    let folder = args.out.clone().unwrap_or_else(|| run.path().join("plots"));
    let mut files = Vec::new();
    for (name, drawing) in pages {
        files.extend(pictures::save(&folder, name, drawing, args.format)?);
    }
    Ok(files)
}
