//! Convolution, batch normalisation and activation, as they stand one behind another.

use candle_core::{Result, Tensor};

use crate::{Activation, BatchNormOutput, Conv2dParams, activate, batch_norm_train, conv2d};

/// `activation(batch_norm(conv(x)))` with the statistics of the batch: [`conv2d`] without a bias,
/// which the batch norm would cancel, then [`batch_norm_train`], then [`activate`].
///
/// `x`: `(N, C, H, W)`; `weight`: `(K, C, kh, kw)`; `norm_weight`, `norm_bias`: `(K)`. Returns the
/// activated images, `(N, K, OH, OW)`, with mean and variance of the convolution's result. For
/// evaluation fold the running statistics into the convolution, or use
/// [`batch_norm_eval`](crate::batch_norm_eval).
///
/// # Errors
/// Those of the three.
pub fn conv_bn_act(
    x: &Tensor,
    weight: &Tensor,
    params: Conv2dParams,
    norm_weight: &Tensor,
    norm_bias: &Tensor,
    eps: f64,
    activation: Option<Activation>,
) -> Result<BatchNormOutput> {
    let convolved = conv2d(x, weight, None, params)?;
    let normalised = batch_norm_train(&convolved, norm_weight, norm_bias, eps)?;
    let y = match activation {
        Some(activation) => activate(&normalised.y, activation)?,
        None => normalised.y,
    };
    Ok(BatchNormOutput { y, ..normalised })
}
