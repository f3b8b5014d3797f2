//! How well a module does on a set of images.

use candle_core::Device;
use candle_nn::ModuleT;
use cifar_data::Loader;
use cifar_metrics::{Evaluation, Evaluator};

use crate::error::TrainError;

/// Runs `module` in evaluation mode over one pass of `loader`.
///
/// # Errors
/// candle's, or [`TrainError::Metrics`] for a logit that is NaN.
pub fn evaluate(
    module: &dyn ModuleT,
    loader: &Loader,
    device: &Device,
) -> Result<Evaluation, TrainError> {
    let mut evaluator: Option<Evaluator> = None;
    for batch in loader.epoch(0) {
        let logits = module.forward_t(&batch.image_tensor(device)?, false)?.detach();
        let (_, n_classes) = logits.dims2()?;
        let evaluator = evaluator.get_or_insert_with(|| Evaluator::new(n_classes));
        evaluator.add_batch(&logits.flatten_all()?.to_vec1::<f32>()?, &batch.labels)?;
    }
    // A loader holds at least one batch, so there is an evaluator; an empty one is harmless.
    Ok(evaluator.unwrap_or_else(|| Evaluator::new(0)).finish())
}
