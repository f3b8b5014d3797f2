//! How well a module does on a set of images.

use candle_core::Device;
use cifar_data::{Batch, Loader};
use cifar_metrics::{Evaluation, Evaluator};
use cifar_net::{Arithmetic, Inference};

use crate::error::TrainError;
use crate::learner::Learner;
use crate::test_time::TestTimeAugmentation;

/// Runs `learner` in evaluation mode over one pass of `loader`: its net, frozen, where it has one
/// and the device is the CPU, with `arithmetic`; else its module.
///
/// # Errors
/// candle's, or [`TrainError::Metrics`] for a logit that is NaN.
pub fn evaluate(
    learner: &Learner<'_>,
    loader: &Loader,
    device: &Device,
    arithmetic: Arithmetic,
) -> Result<Evaluation, TrainError> {
    evaluate_each(learner, loader, device, arithmetic, |_, _| ())
}

/// Like [`evaluate`], and hands every batch's logits (`N x K`, row-major) and `N` to `each`, in the
/// loader's order.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_each(
    learner: &Learner<'_>,
    loader: &Loader,
    device: &Device,
    arithmetic: Arithmetic,
    each: impl FnMut(&[f32], usize),
) -> Result<Evaluation, TrainError> {
    evaluate_views(learner, loader, device, arithmetic, TestTimeAugmentation::None, each)
}

/// Like [`evaluate_each`], every image's logits being the mean over the views of `augmentation`.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_views(
    learner: &Learner<'_>,
    loader: &Loader,
    device: &Device,
    arithmetic: Arithmetic,
    augmentation: TestTimeAugmentation,
    mut each: impl FnMut(&[f32], usize),
) -> Result<Evaluation, TrainError> {
    let views = augmentation.views();
    let net = learner.net.filter(|_| device.is_cpu());
    let mut frozen =
        net.map(|net| Inference::new(net, learner.variables, arithmetic)).transpose()?;
    let mut evaluator: Option<Evaluator> = None;
    let mut changed = Batch { images: Vec::new(), labels: Vec::new(), indices: Vec::new() };
    for batch in loader.epoch(0) {
        changed.labels.clone_from(&batch.labels);
        let mut logits: Vec<f32> = Vec::new();
        for which in &views {
            let view = if which.is_the_image() {
                &batch
            } else {
                which.of(&batch.images, &mut changed.images);
                &changed
            };
            let module;
            let of_view = match &mut frozen {
                Some(net) => net.logits(&view.images)?,
                None => {
                    let logits = learner.module.forward_t(&view.image_tensor(device)?, false)?;
                    module = logits.detach().flatten_all()?.to_vec1::<f32>()?;
                    &module
                }
            };
            logits.resize(of_view.len(), 0.0);
            logits.iter_mut().zip(of_view).for_each(|(sum, logit)| *sum += logit * which.share);
        }
        let n_classes = logits.len() / batch.len();
        let evaluator = evaluator.get_or_insert_with(|| Evaluator::new(n_classes));
        evaluator.add_batch(&logits, &batch.labels)?;
        each(&logits, batch.len());
    }
    // A loader holds at least one batch, so there is an evaluator; an empty one is harmless.
    Ok(evaluator.unwrap_or_else(|| Evaluator::new(0)).finish())
}
