//! Two-dimensional convolution.

use candle_core::{Result, Tensor, bail};

use crate::{operand, portable};

/// How a window moves over the image; the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dParams {
    /// Pixels from one window to the next, at least 1.
    pub stride: usize,
    /// Rows and columns of zeros added on every side of the image.
    pub padding: usize,
}

/// Two-dimensional cross-correlation, which PyTorch and this crate call convolution.
///
/// `x`: `(N, C, H, W)`; `weight`: `(K, C, kh, kw)`; `bias`: `(K)`. Returns `(N, K, OH, OW)` with
/// `OH = (H + 2·padding − kh) / stride + 1`.
///
/// # Errors
/// A tensor that is not f32, of another rank, empty, of other channels, or a kernel larger than
/// the padded image.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: Conv2dParams,
) -> Result<Tensor> {
    const OP: &str = "conv2d";
    let [_, c, h, w] = operand::images(OP, "the input", x)?;
    let [k, weight_c, kh, kw] = operand::images(OP, "the weight", weight)?;
    if c != weight_c {
        bail!("{OP}: the input has {c} channels, the weight is for {weight_c}");
    }
    if let Some(bias) = bias {
        operand::per_channel(OP, "the bias", bias, k)?;
    }
    operand::extent(OP, h, kh, params.stride, params.padding)?;
    operand::extent(OP, w, kw, params.stride, params.padding)?;
    portable::conv2d(x, weight, bias, params)
}
