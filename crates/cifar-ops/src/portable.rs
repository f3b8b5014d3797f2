//! The operations through candle's own, on any device.
//!
//! These are what a device without kernels runs, and what the kernels are tested against. They
//! trust their arguments: the public functions have checked them.

use candle_core::{D, Device, Result, Tensor};
use cifar_kernels::activation::LEAKY_SLOPE;

use crate::Activation;
use crate::batch_norm::BatchNormOutput;
use crate::conv::Conv2dParams;

/// See [`crate::conv2d`].
pub(crate) fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: Conv2dParams,
) -> Result<Tensor> {
    let y = x.conv2d(weight, params.padding, params.stride, 1, params.groups)?;
    match bias {
        Some(bias) => y.broadcast_add(&channels(bias)?),
        None => Ok(y),
    }
}

/// See [`crate::batch_norm_train`].
pub(crate) fn batch_norm_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<BatchNormOutput> {
    let mean = x.mean_keepdim((0, 2, 3))?; // (1, C, 1, 1)
    let centred = x.broadcast_sub(&mean)?;
    let variance = centred.sqr()?.mean_keepdim((0, 2, 3))?;
    let normalised = centred.broadcast_div(&(&variance + eps)?.sqrt()?)?;
    let y = normalised.broadcast_mul(&channels(weight)?)?.broadcast_add(&channels(bias)?)?;
    let per_channel = |x: Tensor| x.flatten_all().map(|x| x.detach());
    Ok(BatchNormOutput { y, mean: per_channel(mean)?, variance: per_channel(variance)? })
}

/// See [`crate::batch_norm_eval`].
pub(crate) fn batch_norm_eval(
    x: &Tensor,
    running_mean: &Tensor,
    running_var: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let scale = (weight / (running_var + eps)?.sqrt()?)?;
    let shift = (bias - (running_mean * &scale)?)?;
    x.broadcast_mul(&channels(&scale)?)?.broadcast_add(&channels(&shift)?)
}

/// See [`crate::max_pool2d`]: a running maximum over the positions of the window.
pub(crate) fn max_pool2d(
    x: &Tensor,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<Tensor> {
    let x = pad(x, padding, f32::NEG_INFINITY)?;
    let mut best: Option<Tensor> = None;
    for (row, column) in window(kernel) {
        let here = shifted(&x, row, column, kernel, stride)?;
        best = Some(match best {
            None => here,
            Some(best) => {
                // Two masks that exclude each other: a larger value, or a NaN.
                let wins = (here.gt(&best)? + here.ne(&here)?)?;
                wins.where_cond(&here, &best)?
            }
        });
    }
    best.ok_or_else(|| candle_core::Error::Msg("max_pool2d: the window is empty".into()))
}

/// See [`crate::avg_pool2d`].
pub(crate) fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let mut sum: Option<Tensor> = None;
    for (row, column) in window(kernel) {
        let here = shifted(x, row, column, kernel, stride)?;
        sum = Some(match sum {
            None => here,
            Some(sum) => (sum + here)?,
        });
    }
    match sum {
        Some(sum) => sum / (kernel * kernel) as f64,
        None => Err(candle_core::Error::Msg("avg_pool2d: the window is empty".into())),
    }
}

/// See [`crate::activate`].
pub(crate) fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    match activation {
        Activation::Relu => {
            // Not candle's own, whose gradient at 0 is 1; and "not at most 0" keeps a NaN.
            let zeros = x.zeros_like()?;
            x.le(&zeros)?.where_cond(&zeros, x)
        }
        Activation::Gelu => x.gelu_erf(),
        Activation::Silu => x.silu(),
        Activation::LeakyRelu => {
            let below = (x * f64::from(LEAKY_SLOPE))?;
            x.gt(&x.zeros_like()?)?.where_cond(x, &below)
        }
    }
}

/// See [`crate::cross_entropy`].
pub(crate) fn cross_entropy(logits: &Tensor, labels: &Tensor, smoothing: f64) -> Result<Tensor> {
    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let log_p = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(D::Minus1)?.log()?)?; // (N, K)
    let nll = log_p.gather(&labels.unsqueeze(1)?.contiguous()?, 1)?.mean_all()?.neg()?;
    if smoothing == 0.0 {
        return Ok(nll); // not 0 · ∞ for a class of probability 0
    }
    let uniform = log_p.mean_all()?.neg()?;
    (nll * (1.0 - smoothing))? + (uniform * smoothing)?
}

/// `(C)` as `(1, C, 1, 1)`.
fn channels(x: &Tensor) -> Result<Tensor> {
    x.reshape((1, (), 1, 1))
}

/// The positions of a square window in row-major order.
fn window(kernel: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..kernel).flat_map(move |row| (0..kernel).map(move |column| (row, column)))
}

/// `x` with `padding` rows and columns of `value` on every side.
fn pad(x: &Tensor, padding: usize, value: f32) -> Result<Tensor> {
    if padding == 0 {
        return Ok(x.clone());
    }
    let (n, c, h, w) = x.dims4()?;
    let edge = |shape: (usize, usize, usize, usize)| Tensor::full(value, shape, x.device());
    let side = edge((n, c, h, padding))?;
    let x = Tensor::cat(&[&side, x, &side], 3)?;
    let side = edge((n, c, padding, w + 2 * padding))?;
    Tensor::cat(&[&side, &x, &side], 2)
}

/// What the window's position `(row, column)` sees as the window moves: `(N, C, OH, OW)`.
fn shifted(x: &Tensor, row: usize, column: usize, kernel: usize, stride: usize) -> Result<Tensor> {
    let (_, _, h, w) = x.dims4()?;
    let seen = |first: usize, len: usize, device: &Device| {
        let last = first + len - kernel;
        Tensor::arange_step(first as u32, last as u32 + 1, stride as u32, device)
    };
    x.index_select(&seen(row, h, x.device())?, 2)?.index_select(&seen(column, w, x.device())?, 3)
}

#[cfg(test)]
mod tests;
