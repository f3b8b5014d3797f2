//! How well a module does on a set of images.

use candle_core::{Device, Tensor};
use cifar_data::{CHANNELS, Loader, SIDE};
use cifar_metrics::{Evaluation, Evaluator};
use cifar_net::{Arithmetic, Inference};

use crate::error::TrainError;
use crate::learner::Learner;
use crate::test_time::{TestTimeAugmentation, View};

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
    let mut predictor = Predictor::new(*learner, device, arithmetic, augmentation)?;
    let mut evaluator: Option<Evaluator> = None;
    for batch in loader.epoch(0) {
        let logits = predictor.logits(&batch.images)?;
        let n_classes = logits.len() / batch.len();
        let evaluator = evaluator.get_or_insert_with(|| Evaluator::new(n_classes));
        evaluator.add_batch(logits, &batch.labels)?;
        each(logits, batch.len());
    }
    // A loader holds at least one batch, so there is an evaluator; an empty one is harmless.
    Ok(evaluator.unwrap_or_else(|| Evaluator::new(0)).finish())
}

/// A learner in evaluation mode: images to logits.
#[derive(Debug)]
pub struct Predictor<'a> {
    learner: Learner<'a>,
    device: &'a Device,
    /// The learner's net with the weights as they were, where it is run by the executor.
    frozen: Option<Inference>,
    views: Vec<View>,
    /// One view of the images.
    view: Vec<f32>,
    logits: Vec<f32>,
}

impl<'a> Predictor<'a> {
    /// `learner` as it is now: its net, frozen, where it has one and the device is the CPU, with
    /// `arithmetic`; else its module. An image's logits are the mean over the views of
    /// `augmentation`.
    ///
    /// # Errors
    /// candle's.
    pub fn new(
        learner: Learner<'a>,
        device: &'a Device,
        arithmetic: Arithmetic,
        augmentation: TestTimeAugmentation,
    ) -> Result<Self, TrainError> {
        let net = learner.net.filter(|_| device.is_cpu());
        let frozen =
            net.map(|net| Inference::new(net, learner.variables, arithmetic)).transpose()?;
        let (views, view, logits) = (augmentation.views(), Vec::new(), Vec::new());
        Ok(Self { learner, device, frozen, views, view, logits })
    }

    /// The logits, `(N, K)` row by row, of `images`, `(N, 3, 32, 32)`, normalised. What an image gets
    /// does not depend on those beside it.
    ///
    /// # Errors
    /// candle's, for images that are not whole or none at all too.
    pub fn logits(&mut self, images: &[f32]) -> Result<&[f32], TrainError> {
        let Self { learner, device, frozen, views, view, logits } = self;
        logits.clear();
        for which in views {
            let seen: &[f32] = if which.is_the_image() {
                images
            } else {
                which.of(images, view);
                &*view
            };
            let module;
            let of_view = match frozen {
                Some(net) => net.logits(seen)?,
                None => {
                    let shape = ((), CHANNELS, SIDE, SIDE);
                    let tensor = Tensor::from_slice(seen, seen.len(), device)?.reshape(shape)?;
                    let logits = learner.module.forward_t(&tensor, false)?;
                    module = logits.detach().flatten_all()?.to_vec1::<f32>()?;
                    &module
                }
            };
            logits.resize(of_view.len(), 0.0);
            logits.iter_mut().zip(of_view).for_each(|(sum, logit)| *sum += logit * which.share);
        }
        Ok(logits)
    }
}
