//! What goes on in a run's network, for its report.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, bail};
use candle_core::{Device, Tensor};
use cifar_data::Dataset;
use cifar_metrics::Verdict;
use cifar_models::Model;
use cifar_report::explain::{Explanation, explain};
use cifar_report::html::{Filters, Insight, Suspects, worth_explaining};
use cifar_train::{Recipe, RunFolder, Slot};

use crate::tested::{Test, judged};

/// Training images that are shown as suspects.
const N_SUSPECTS: usize = 36;

/// The first filters of `model`, and why it decides as it does on the images that a report shows
/// first.
pub(crate) fn insight(
    model: &Model,
    test: &Test,
    recipe: &Recipe,
    device: &Device,
) -> anyhow::Result<Insight> {
    let stages = model.net.stages()?;
    let last = stages.len().checked_sub(1).context("the network has no stage with places")?;
    let [channels, height, width] = model.net.input;
    let explained = |verdict: &Verdict| -> anyhow::Result<Explanation> {
        let values = recipe.data.normalization.apply(test.images.image(verdict.sample))?;
        let image = Tensor::from_vec(values, (1, channels, height, width), device)?;
        Ok(explain(&model.module, &stages, &image, Some(verdict.predicted))?)
    };
    let mut heat_maps = BTreeMap::new();
    let mut example = None;
    for verdict in worth_explaining(&test.verdicts, &test.evaluation.confusion) {
        let explanation = explained(&verdict)
            .with_context(|| format!("cannot explain test image {}", verdict.sample))?;
        heat_maps.insert(verdict.sample, explanation.stages[last].grad_cam.clone());
        example.get_or_insert((verdict, explanation));
    }
    let stage = stages[last].name.clone();
    Ok(Insight { filters: filters(model)?, stage, heat_maps, example })
}

/// The training images with the highest mean loss and what `model` makes of them; none where the
/// run kept no losses.
pub(crate) fn suspects<'a>(
    model: &Model,
    run: &RunFolder,
    train: &'a Arc<Dataset>,
    recipe: &Recipe,
    device: &Device,
) -> anyhow::Result<Option<Suspects<'a>>> {
    // The last checkpoint has seen every epoch.
    let losses = run.checkpoints().example_losses(Slot::Last)?;
    let hardest = losses.hardest(N_SUSPECTS);
    let Some(n_epochs) = hardest.first().map(|example| example.n_epochs) else { return Ok(None) };
    let indices: Vec<u32> = hardest.iter().map(|example| example.index).collect();
    let n_images = train.len();
    if let Some(index) = indices.iter().find(|&&index| index as usize >= n_images) {
        bail!("its checkpoint has losses of image {index}, the data have {n_images} images");
    }
    let (_, verdicts) = judged(model, train, indices, recipe, device)?;
    let examples = verdicts.into_iter().zip(hardest.iter().map(|e| e.mean_loss)).collect();
    Ok(Some(Suspects { examples, n_epochs, pixels: train.images() }))
}

/// Those of the first convolution that sees three colours.
fn filters(model: &Model) -> anyhow::Result<Option<Filters>> {
    let seeing = model.variables.iter().find_map(|variable| match *variable.var.dims() {
        [k, 3, h, w] => Some((variable, [k, 3, h, w])),
        _ => None,
    });
    let Some((variable, shape)) = seeing else { return Ok(None) };
    let weights = variable.var.flatten_all()?.to_vec1()?;
    Ok(Some(Filters { name: variable.name.clone(), weights, shape }))
}
