//! Max and average pooling.

use candle_core::{Result, Tensor, bail};

use crate::{operand, portable};

/// The largest value of each `kernel × kernel` window.
///
/// `x`: `(N, C, H, W)`; windows start every `stride` pixels in an image with `padding` rows and
/// columns of −∞ on every side. Returns `(N, C, OH, OW)` with
/// `OH = (H + 2·padding − kernel) / stride + 1`. The gradient goes to the first maximum of the
/// window in row-major order, as in PyTorch; a NaN counts as larger than any number.
///
/// # Errors
/// A tensor that is not f32, of another rank, empty, a window larger than the padded image, or a
/// padding of more than half the window (a window could then lie wholly outside).
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    const OP: &str = "max_pool2d";
    let [_, _, h, w] = operand::images(OP, "the input", x)?;
    operand::extent(OP, h, kernel, stride, padding)?;
    operand::extent(OP, w, kernel, stride, padding)?;
    if padding > kernel / 2 {
        bail!("{OP}: padding {padding} is more than half of kernel {kernel}");
    }
    portable::max_pool2d(x, kernel, stride, padding)
}

/// The mean of each `kernel × kernel` window, windows starting every `stride` pixels.
///
/// `x`: `(N, C, H, W)`. Returns `(N, C, OH, OW)` with `OH = (H − kernel) / stride + 1`.
///
/// # Errors
/// A tensor that is not f32, of another rank, empty, or a window larger than the image.
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    const OP: &str = "avg_pool2d";
    let [_, _, h, w] = operand::images(OP, "the input", x)?;
    operand::extent(OP, h, kernel, stride, 0)?;
    operand::extent(OP, w, kernel, stride, 0)?;
    portable::avg_pool2d(x, kernel, stride)
}

/// The mean of each plane: `(N, C, H, W)` to `(N, C, 1, 1)`.
///
/// # Errors
/// A tensor that is not f32, of another rank, or empty.
pub fn global_avg_pool2d(x: &Tensor) -> Result<Tensor> {
    operand::images("global_avg_pool2d", "the input", x)?;
    x.mean_keepdim((2, 3))
}
