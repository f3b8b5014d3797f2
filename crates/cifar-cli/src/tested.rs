//! What a run's checkpoint makes of the test images, for pictures and reports.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use cifar_data::{CLASS_NAMES, Cifar10, Dataset};
use cifar_metrics::{Evaluation, Verdict};
use cifar_train::{Recipe, RunFolder, evaluate_each};

use crate::args::ComputeArgs;
use crate::{host, session};

/// The test figures, and what became of each image.
pub(crate) struct Test {
    pub(crate) evaluation: Evaluation,
    pub(crate) verdicts: Vec<Verdict>,
}

pub(crate) enum TestResult {
    Recomputed(Box<Test>, Dataset),
    /// From `evaluation.json`, and why no more.
    Stored(Box<Evaluation>, String),
    /// Why there is none.
    None(String),
}

impl TestResult {
    /// What the run's checkpoint makes of the test images where they are at hand, else what the run
    /// stored. Nothing is fetched.
    pub(crate) fn of(
        run: &RunFolder,
        recipe: &Recipe,
        data_dir: &Path,
        compute: &ComputeArgs,
    ) -> anyhow::Result<Self> {
        let checkpoints = run.checkpoints();
        let images = Cifar10::open(data_dir).and_then(|data| data.test());
        let weights = checkpoints.evaluation_weights(checkpoints.reported());
        let (images, weights) = match (images, weights) {
            (Ok(images), Ok(weights)) => (images, weights),
            (Err(error), _) => return stored(run, format!("{error}")),
            (_, Err(error)) => return stored(run, format!("{error}")),
        };
        let test = test(recipe, &images, &weights, compute)?;
        Ok(Self::Recomputed(Box::new(test), images))
    }
}

fn test(
    recipe: &Recipe,
    images: &Dataset,
    weights: &Path,
    compute: &ComputeArgs,
) -> anyhow::Result<Test> {
    let (device, _) = host::device(compute)?;
    let n_classes = images.class_names().len();
    let model = session::load_model(&recipe.model, n_classes, weights, &device)?;
    let loader = session::whole_eval_loader(images.clone(), recipe)?;
    let mut verdicts = Vec::with_capacity(images.len());
    let each = |logits: &[f32], n: usize| {
        for row in logits.chunks_exact(logits.len() / n) {
            let sample = verdicts.len();
            let (predicted, probability) = cifar_metrics::prediction(row);
            let truth = usize::from(images.label(sample));
            verdicts.push(Verdict { sample, truth, predicted, probability });
        }
    };
    let learner = session::learner(&model);
    let evaluation = evaluate_each(&learner, &loader, &device, recipe.arithmetic(), each)?;
    Ok(Test { evaluation, verdicts })
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
