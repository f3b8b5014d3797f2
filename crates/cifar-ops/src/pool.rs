//! Max and average pooling.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use cifar_kernels::pool::{self, PoolShape};

use crate::operand::{self, Reader};
use crate::portable;

const MAX: &str = "max_pool2d";
const AVG: &str = "avg_pool2d";

/// The largest value of each `kernel × kernel` window.
///
/// `x`: `(N, C, H, W)`; windows start every `stride` pixels in an image with `padding` rows and
/// columns of −∞ on every side. Returns `(N, C, OH, OW)` with
/// `OH = (H + 2·padding − kernel) / stride + 1`. The gradient goes to the first maximum of the
/// window in row-major order, as in PyTorch; a NaN counts as larger than any number.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16, of another rank, empty, a window larger than the padded image, or a
/// padding of more than half the window (a window could then lie wholly outside).
pub fn max_pool2d(x: &Tensor, kernel: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let shape = checked(MAX, x, kernel, stride, padding)?;
    if padding > kernel / 2 {
        bail!("{MAX}: padding {padding} is more than half of kernel {kernel}");
    }
    if !x.device().is_cpu() {
        return portable::max_pool2d(x, kernel, stride, padding);
    }
    x.contiguous()?.apply_op1(MaxPool2d { shape, argmax: OnceLock::new() })
}

/// The mean of each `kernel × kernel` window, windows starting every `stride` pixels.
///
/// `x`: `(N, C, H, W)`. Returns `(N, C, OH, OW)` with `OH = (H − kernel) / stride + 1`.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16, of another rank, empty, or a window larger than the image.
pub fn avg_pool2d(x: &Tensor, kernel: usize, stride: usize) -> Result<Tensor> {
    let shape = checked(AVG, x, kernel, stride, 0)?;
    if !x.device().is_cpu() {
        return portable::avg_pool2d(x, kernel, stride);
    }
    x.contiguous()?.apply_op1(AvgPool2d { shape })
}

/// The mean of each plane: `(N, C, H, W)` to `(N, C, 1, 1)`.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16, of another rank, or empty.
pub fn global_avg_pool2d(x: &Tensor) -> Result<Tensor> {
    operand::of_rank::<4>("global_avg_pool2d", "the input", x)?;
    // Sums of bf16 would be rounded to it on the way.
    x.contiguous()?.to_dtype(DType::F32)?.mean_keepdim((2, 3))?.to_dtype(x.dtype())
}

fn checked(
    op: &str,
    x: &Tensor,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<PoolShape> {
    let [_, _, height, width] = operand::of_rank(op, "the input", x)?;
    operand::window_fits(op, height, kernel, stride, padding)?;
    operand::window_fits(op, width, kernel, stride, padding)?;
    Ok(PoolShape { height, width, kernel, stride, padding })
}

/// `(N, C, OH, OW)` for an input of `dims`.
fn pooled(dims: &[usize], shape: &PoolShape) -> Shape {
    Shape::from((dims[0], dims[1], shape.out_height(), shape.out_width()))
}

struct MaxPool2d {
    shape: PoolShape,
    /// Where in its plane each output was found.
    argmax: OnceLock<Vec<u32>>,
}

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        MAX
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = operand::values(MAX, storage, layout)?;
        let shape = pooled(layout.dims(), &self.shape);
        let (mut y, mut argmax) = (vec![0.0; shape.elem_count()], vec![0; shape.elem_count()]);
        pool::max_pool(&x, &self.shape, &mut y, &mut argmax);
        self.argmax.get_or_init(|| argmax);
        Ok((operand::storage(y, storage), shape))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let Some(argmax) = self.argmax.get() else {
            bail!("{MAX}: a backward pass without a forward pass");
        };
        let dy = dy.contiguous()?;
        let mut dx = vec![0.0; x.elem_count()];
        pool::max_pool_backward(&Reader::new(MAX, &dy).values()?, argmax, &self.shape, &mut dx);
        operand::gradient(dx, x).map(Some)
    }
}

struct AvgPool2d {
    shape: PoolShape,
}

impl CustomOp1 for AvgPool2d {
    fn name(&self) -> &'static str {
        AVG
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = operand::values(AVG, storage, layout)?;
        let shape = pooled(layout.dims(), &self.shape);
        let mut y = vec![0.0; shape.elem_count()];
        pool::avg_pool(&x, &self.shape, &mut y);
        Ok((operand::storage(y, storage), shape))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let mut dx = vec![0.0; x.elem_count()];
        pool::avg_pool_backward(&Reader::new(AVG, &dy).values()?, &self.shape, &mut dx);
        operand::gradient(dx, x).map(Some)
    }
}
