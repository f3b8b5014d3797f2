//! What batch norm keeps of a batch, and PyTorch's running statistics.

use candle_core::{Result, Tensor};
use cifar_kernels::channels_last::batch_norm::{self, Affine};
use cifar_kernels::element::Element;

use super::Tensors;
use crate::BatchNorm2d;

/// Statistics of one batch and the map they make, `(C)` each.
#[derive(Debug)]
pub(super) struct Statistics {
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    /// `1 / √(variance + eps)`
    pub(super) inv_std: Vec<f32>,
    /// `weight / √(variance + eps)`
    pub(super) scale: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Statistics {
    pub(super) fn new(channels: usize) -> Self {
        let zeros = || vec![0.0; channels];
        Self { mean: zeros(), variance: zeros(), inv_std: zeros(), scale: zeros(), bias: zeros() }
    }

    /// Takes the statistics of `x`, `(R, C)`.
    pub(super) fn take<E: Element>(&mut self, x: &[E]) {
        batch_norm::statistics(x, &mut self.mean, &mut self.variance);
    }

    /// Makes the map of mean and variance.
    pub(super) fn map(&mut self, eps: f64, weight: &[f32], bias: &[f32]) {
        self.bias.copy_from_slice(bias);
        for (at, &variance) in self.variance.iter().enumerate() {
            self.inv_std[at] = (1.0 / (f64::from(variance) + eps).sqrt()) as f32;
            self.scale[at] = self.inv_std[at] * weight[at];
        }
    }

    pub(super) fn affine(&self) -> Affine<'_> {
        Affine { mean: &self.mean, scale: &self.scale, bias: &self.bias }
    }

    /// PyTorch's rule: `running = (1 − momentum)·running + momentum·batch`, with the unbiased
    /// variance although the batch was normalised with the biased one.
    pub(super) fn track(
        &self,
        norm: &BatchNorm2d,
        n_values: usize,
        path: &str,
        tensors: &Tensors,
    ) -> Result<()> {
        let unbiased = n_values as f64 / (n_values as f64 - 1.0);
        for (name, batch, factor) in
            [("running_mean", &self.mean, 1.0), ("running_var", &self.variance, unbiased)]
        {
            let var = &tensors.get(path, name)?.var;
            let running: Vec<f32> = tensors.read(path, name)?.slice().to_vec();
            let blend = |(old, new): (f32, &f32)| {
                let (kept, new) = (f64::from(old) * (1.0 - norm.momentum), f64::from(*new));
                (kept + new * factor * norm.momentum) as f32
            };
            let blended: Vec<f32> = running.into_iter().zip(batch).map(blend).collect();
            var.set(&Tensor::from_vec(blended, var.dims(), var.device())?)?;
        }
        let tracked = &tensors.get(path, "num_batches_tracked")?.var;
        tracked.set(&(tracked.as_detached_tensor() + 1.0)?)
    }
}
