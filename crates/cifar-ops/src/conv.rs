//! Two-dimensional convolution.

mod backward;
mod forward;
mod product;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};
use cifar_kernels::conv::ConvShape;
use cifar_kernels::norm::{self, NormShape};

use crate::operand::{self, Reader};
use crate::portable;
use backward::Backward;
use product::Matrix;

const OP: &str = "conv2d";

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
/// On the CPU the bits of the result are the same for any number of threads; they may differ
/// between machines, because candle's matrix product blocks its sums by cache size.
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
    let shape = checked(x, weight, bias, params)?;
    if !x.device().is_cpu() {
        return portable::conv2d(x, weight, bias, params);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, Conv2d { shape }),
        None => x.apply_op2(&weight, Conv2d { shape }),
    }
}

fn checked(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: Conv2dParams,
) -> Result<ConvShape> {
    let [_, channels, height, width] = operand::of_rank(OP, "the input", x)?;
    let [k, weight_channels, kernel_height, kernel_width] =
        operand::of_rank(OP, "the weight", weight)?;
    if channels != weight_channels {
        bail!("{OP}: the input has {channels} channels, the weight is for {weight_channels}");
    }
    if let Some(bias) = bias {
        operand::per_channel(OP, "the bias", bias, k)?;
    }
    let Conv2dParams { stride, padding } = params;
    operand::window_fits(OP, height, kernel_height, stride, padding)?;
    operand::window_fits(OP, width, kernel_width, stride, padding)?;
    Ok(ConvShape { channels, height, width, kernel_height, kernel_width, stride, padding })
}

struct Conv2d {
    shape: ConvShape,
}

impl Conv2d {
    /// The filters as a matrix `(K, C·kh·kw)`.
    fn filters<'a>(&self, weight: &'a CpuStorage, layout: &Layout) -> Matrix<'a> {
        let n_filters = layout.dims()[0];
        Matrix::new(weight, layout.start_offset(), n_filters, self.shape.patch_len())
    }

    fn forward(
        &self,
        (x, x_layout): (&CpuStorage, &Layout),
        (weight, weight_layout): (&CpuStorage, &Layout),
    ) -> Result<(Vec<f32>, Shape)> {
        let filters = self.filters(weight, weight_layout);
        let shape = Shape::from((
            x_layout.dims()[0],
            filters.rows(),
            self.shape.out_height(),
            self.shape.out_width(),
        ));
        let y = if is_pointwise(&self.shape) {
            product::of_images(filters, x, x_layout, self.shape.out_len())?
        } else {
            let (x, out_len) = (operand::values(OP, x, x_layout)?, self.shape.out_len());
            let n_images = x_layout.dims()[0];
            let group = forward::group_len(self.shape.patch_len(), out_len, n_images);
            forward::forward(x, filters, &self.shape, group)?
        };
        Ok((y, shape))
    }

    /// Gradients of `x` and `weight`, each only if something asks for it.
    fn gradients(
        &self,
        x: &Tensor,
        weight: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let [x_read, weight_read, dy_read] = [x, weight, dy].map(|t| Reader::new(OP, t));
        let backward = Backward {
            shape: &self.shape,
            x: x_read.values()?,
            weight: weight_read.values()?,
            filters: self.filters(weight_read.storage()?, weight_read.layout()),
            dy: dy_read.values()?,
        };
        let (dx, dweight) = backward.gradients(x.track_op(), weight.track_op())?;
        let tensor = |values: Option<Vec<f32>>, like: &Tensor| {
            values.map(|values| Tensor::from_vec(values, like.shape(), like.device())).transpose()
        };
        Ok((tensor(dx, x)?, tensor(dweight, weight)?))
    }
}

/// Whether every patch is one pixel and every pixel a patch, so that the image is its own matrix
/// of patches.
fn is_pointwise(shape: &ConvShape) -> bool {
    (shape.kernel_height, shape.kernel_width, shape.stride, shape.padding) == (1, 1, 1, 0)
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (y, shape) = self.forward((x, x_layout), (weight, weight_layout))?;
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        self.gradients(x, weight, &dy.contiguous()?)
    }
}

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (mut y, shape) = self.forward((x, x_layout), (weight, weight_layout))?;
        let bias = operand::values(OP, bias, bias_layout)?;
        norm::add_bias(&mut y, planes(bias.len(), &self.shape), bias);
        Ok((CpuStorage::F32(y), shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let dy = dy.contiguous()?;
        let (dx, dweight) = self.gradients(x, weight, &dy)?;
        let mut dbias = vec![0.0; bias.elem_count()];
        let values = Reader::new(OP, &dy);
        norm::channel_sums(values.values()?, planes(dbias.len(), &self.shape), &mut dbias);
        Ok((dx, dweight, Some(Tensor::from_vec(dbias, bias.shape(), bias.device())?)))
    }
}

/// The output's planes, one per filter.
fn planes(n_filters: usize, shape: &ConvShape) -> NormShape {
    NormShape { channels: n_filters, plane_len: shape.out_len() }
}

#[cfg(test)]
mod tests;
