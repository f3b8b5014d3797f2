//! What a run's checkpoint makes of the test images, for pictures and reports.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use candle_core::Device;
use cifar_data::{DataSource, Dataset};
use cifar_metrics::{Evaluation, Verdict};
use cifar_models::Model;
use cifar_train::{Recipe, RunFolder, TestTimeAugmentation, evaluate_views};

use crate::args::ComputeArgs;
use crate::{host, session};

/// The test images, the figures, and what became of each image.
pub(crate) struct Test {
    pub(crate) images: Arc<Dataset>,
    pub(crate) evaluation: Evaluation,
    pub(crate) verdicts: Vec<Verdict>,
}

impl Test {
    /// What `model` makes of `images`, by as many views of each as the recipe says.
    pub(crate) fn of(
        model: &Model,
        images: Dataset,
        recipe: &Recipe,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let images = Arc::new(images);
        let all = (0..images.len() as u32).collect();
        let (evaluation, verdicts) = judged(model, &images, all, recipe, device)?;
        Ok(Self { images, evaluation, verdicts })
    }
}

/// What `model` makes of the images `indices`, by as many views of each as the recipe says; the
/// verdicts are in that order.
pub(crate) fn judged(
    model: &Model,
    images: &Arc<Dataset>,
    indices: Vec<u32>,
    recipe: &Recipe,
    device: &Device,
) -> anyhow::Result<(Evaluation, Vec<Verdict>)> {
    let loader = session::eval_loader(images, indices.clone(), recipe)?;
    let mut verdicts = Vec::with_capacity(indices.len());
    let each = |logits: &[f32], n: usize| {
        for row in logits.chunks_exact(logits.len() / n) {
            let sample = indices[verdicts.len()] as usize;
            let (predicted, probability) = cifar_metrics::prediction(row);
            let truth = usize::from(images.label(sample));
            verdicts.push(Verdict { sample, truth, predicted, probability });
        }
    };
    let views = recipe.test_time_augmentation.unwrap_or(TestTimeAugmentation::None);
    let (learner, arithmetic) = (session::learner(model), recipe.arithmetic());
    let evaluation = evaluate_views(&learner, &loader, device, arithmetic, views, each)?;
    Ok((evaluation, verdicts))
}

pub(crate) enum TestResult {
    /// What the checkpoint's model made of them just now, and on which device.
    Recomputed { test: Box<Test>, model: Box<Model>, device: Device },
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
        let class_names = recipe.class_names();
        let images = DataSource::open(data_dir).and_then(|data| data.test(&class_names));
        let weights = checkpoints.evaluation_weights(checkpoints.reported());
        let (images, weights) = match (images, weights) {
            (Ok(images), Ok(weights)) => (images, weights),
            (Err(error), _) => return stored(run, class_names.len(), format!("{error}")),
            (_, Err(error)) => return stored(run, class_names.len(), format!("{error}")),
        };
        let (device, _) = host::device(compute)?;
        let model = session::load_model(recipe, class_names.len(), &weights, &device)?;
        let test = Box::new(Test::of(&model, images, recipe, &device)?);
        Ok(Self::Recomputed { test, model: Box::new(model), device })
    }
}

fn stored(run: &RunFolder, expected: usize, reason: String) -> anyhow::Result<TestResult> {
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
    if n_classes != expected || evaluation.confusion.n_classes() != n_classes {
        bail!(
            "{} is of {n_classes} classes, expected {expected}; delete it, or name the data with --data-dir",
            path.display()
        );
    }
    Ok(TestResult::Stored(Box::new(evaluation), reason))
}
