//! Batch normalisation with PyTorch's running statistics.

use candle_core::{Result, Tensor, Var, bail};
use cifar_ops::{batch_norm_eval, batch_norm_train};

use super::Mode;
use crate::BatchNorm2d;

/// The tensors of a [`BatchNorm2d`], `(C)` each, and the count of training batches, `()` i64.
#[derive(Debug)]
pub(super) struct BatchNorm {
    weight: Tensor,
    bias: Tensor,
    running_mean: Var,
    running_var: Var,
    num_batches_tracked: Var,
    eps: f64,
    momentum: f64,
}

impl BatchNorm {
    /// `tensors` in the order of [`Layer::parameters`](crate::Layer::parameters).
    pub(super) fn new(norm: &BatchNorm2d, tensors: [Tensor; 5]) -> Result<Self> {
        let [weight, bias, mean, var, tracked] = tensors;
        Ok(Self {
            weight,
            bias,
            // A tensor that is a variable already stays that very variable.
            running_mean: Var::from_tensor(&mean)?,
            running_var: Var::from_tensor(&var)?,
            num_batches_tracked: Var::from_tensor(&tracked)?,
            eps: norm.eps,
            momentum: norm.momentum,
        })
    }

    /// `(N, C, H, W)` to the same shape.
    pub(super) fn forward(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        match mode {
            Mode::Train => self.forward_train(xs),
            Mode::Eval => {
                let (mean, var) =
                    (self.running_mean.as_detached_tensor(), self.running_var.as_detached_tensor());
                batch_norm_eval(xs, &mean, &var, &self.weight, &self.bias, self.eps)
            }
        }
    }

    fn forward_train(&self, xs: &Tensor) -> Result<Tensor> {
        let (n, _, h, w) = xs.dims4()?;
        let per_channel = n * h * w;
        if per_channel < 2 {
            bail!(
                "batch norm in training mode needs more than 1 value per channel, got {:?}: \
                 use a larger batch, or evaluation mode",
                xs.dims()
            );
        }
        let normed = batch_norm_train(xs, &self.weight, &self.bias, self.eps)?;
        self.track(&normed.mean, &normed.variance, per_channel)?;
        Ok(normed.y)
    }

    /// PyTorch's rule: `running = (1 - momentum) * running + momentum * batch`, where the
    /// variance is the unbiased one although the batch was normalised with the biased one.
    fn track(&self, mean: &Tensor, biased_variance: &Tensor, per_channel: usize) -> Result<()> {
        let count = per_channel as f64;
        let variance = (biased_variance * (count / (count - 1.0)))?;
        self.blend(&self.running_mean, mean)?;
        self.blend(&self.running_var, &variance)?;
        let tracked = (self.num_batches_tracked.as_tensor() + 1.0)?;
        self.num_batches_tracked.set(&tracked.detach())
    }

    fn blend(&self, running: &Var, batch: &Tensor) -> Result<()> {
        let kept = (running.as_detached_tensor() * (1.0 - self.momentum))?;
        running.set(&(kept + (batch * self.momentum)?)?)
    }
}
