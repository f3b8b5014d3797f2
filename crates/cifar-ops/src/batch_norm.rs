//! Batch normalisation.

use candle_core::{Result, Tensor};

use crate::{operand, portable};

/// What [`batch_norm_train`] returns.
#[derive(Debug, Clone)]
pub struct BatchNormOutput {
    /// The normalised images, `(N, C, H, W)`.
    pub y: Tensor,
    /// Mean of each channel over the batch, `(C)`; detached.
    pub mean: Tensor,
    /// Biased variance of each channel over the batch, `(C)`; detached. The running variance of
    /// PyTorch is updated with this times `m / (m − 1)`, `m = N·H·W`.
    pub variance: Tensor,
}

/// Batch normalisation with the statistics of the batch (Ioffe and Szegedy 2015,
/// arXiv:1502.03167): `(x − mean) / √(variance + eps) · weight + bias`, per channel.
///
/// `x`: `(N, C, H, W)`; `weight`, `bias`: `(C)`. The gradient flows through the statistics.
///
/// # Errors
/// A tensor that is not f32, of another rank, empty, or of other channels.
pub fn batch_norm_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<BatchNormOutput> {
    const OP: &str = "batch_norm_train";
    let [_, c, _, _] = operand::images(OP, "the input", x)?;
    operand::per_channel(OP, "the weight", weight, c)?;
    operand::per_channel(OP, "the bias", bias, c)?;
    portable::batch_norm_train(x, weight, bias, eps)
}

/// Batch normalisation with given statistics: `(x − running_mean) / √(running_var + eps) · weight
/// + bias`, per channel.
///
/// `x`: `(N, C, H, W)`; the others `(C)`. The statistics are constants to the gradient.
///
/// # Errors
/// A tensor that is not f32, of another rank, empty, or of other channels.
pub fn batch_norm_eval(
    x: &Tensor,
    running_mean: &Tensor,
    running_var: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    const OP: &str = "batch_norm_eval";
    let [_, c, _, _] = operand::images(OP, "the input", x)?;
    operand::per_channel(OP, "the running mean", running_mean, c)?;
    operand::per_channel(OP, "the running variance", running_var, c)?;
    operand::per_channel(OP, "the weight", weight, c)?;
    operand::per_channel(OP, "the bias", bias, c)?;
    let (running_mean, running_var) = (running_mean.detach(), running_var.detach());
    portable::batch_norm_eval(x, &running_mean, &running_var, weight, bias, eps)
}
