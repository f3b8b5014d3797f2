//! Two-dimensional convolution.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor, bail};
use cifar_kernels::conv::{self, Algorithm, Conv2d, Epilogue, Filters, Pass, WeightSums};
use cifar_kernels::element::bf16;
use cifar_kernels::layout::{channels_first, channels_last};

use crate::operand::{self, Reader, Value};
use crate::portable;

const OP: &str = "conv2d";

/// How a window moves over the image; the same in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dParams {
    /// Pixels from one window to the next, at least 1.
    pub stride: usize,
    /// Rows and columns of zeros added on every side of the image.
    pub padding: usize,
    /// Parts that input and output channels are cut into, each convolved by itself: 1 for an
    /// ordinary convolution, as many as channels for a depthwise one.
    pub groups: usize,
    /// How it is computed on a CPU; [`Algorithm::Direct`] is the most exact.
    pub algorithm: Algorithm,
}

impl Default for Conv2dParams {
    /// Stride 1, no padding, one group, the fastest algorithm.
    fn default() -> Self {
        Self { stride: 1, padding: 0, groups: 1, algorithm: Algorithm::Fastest }
    }
}

/// Two-dimensional cross-correlation, which PyTorch and this crate call convolution.
///
/// `x`: `(N, C, H, W)`; `weight`: `(K, C / groups, kh, kw)`; `bias`: `(K)`. Returns `(N, K, OH, OW)` with
/// `OH = (H + 2·padding − kh) / stride + 1`.
///
/// On the CPU the bits of the result are the same for any number of threads; they differ between
/// machines of different vector instructions. The relative error (L2) is about 3e-7 directly and at
/// most 1e-5 by Winograd's algorithm; see [`cifar_kernels::conv`]. In bf16, where products are summed
/// in f32, it is at most 4e-3 and 1e-2.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16, of another dtype than the input, of another
/// rank, empty, of other channels, groups that do not divide the channels, or a kernel larger than
/// the padded image.
pub fn conv2d(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: Conv2dParams,
) -> Result<Tensor> {
    let op = Convolution { conv: checked(x, weight, bias, params)?, algorithm: params.algorithm };
    if !x.device().is_cpu() {
        return portable::conv2d(x, weight, bias, params);
    }
    let (x, weight) = (x.contiguous()?, weight.contiguous()?);
    match bias {
        Some(bias) => x.apply_op3(&weight, &bias.contiguous()?, op),
        None => x.apply_op2(&weight, op),
    }
}

fn checked(
    x: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    params: Conv2dParams,
) -> Result<Conv2d> {
    let [_, in_channels, height, width] = operand::of_rank(OP, "the input", x)?;
    let [out_channels, weight_channels, kernel_height, kernel_width] =
        operand::of_rank(OP, "the weight", weight)?;
    let Conv2dParams { stride, padding, groups, .. } = params;
    if groups == 0 || !out_channels.is_multiple_of(groups) {
        bail!("{OP}: {groups} groups do not divide {out_channels} output channels");
    }
    if in_channels != groups * weight_channels {
        bail!(
            "{OP}: the input has {in_channels} channels, the weight is for {}",
            groups * weight_channels
        );
    }
    if let Some(bias) = bias {
        operand::per_channel(OP, "the bias", bias, out_channels)?;
    }
    for (name, tensor) in [("the weight", Some(weight)), ("the bias", bias)] {
        if let Some(dtype) = tensor.map(Tensor::dtype).filter(|&dtype| dtype != x.dtype()) {
            bail!(
                "{OP}: the input is {:?}, {name} {dtype:?}; convert one with to_dtype",
                x.dtype()
            );
        }
    }
    operand::window_fits(OP, height, kernel_height, stride, padding)?;
    operand::window_fits(OP, width, kernel_width, stride, padding)?;
    Ok(Conv2d {
        in_channels,
        out_channels,
        height,
        width,
        kernel_height,
        kernel_width,
        stride,
        padding,
        groups,
    })
}

struct Convolution {
    conv: Conv2d,
    algorithm: Algorithm,
}

impl Convolution {
    fn forward(
        &self,
        (x, x_layout): (&CpuStorage, &Layout),
        weight: (&CpuStorage, &Layout),
        bias: Option<&[f32]>,
    ) -> Result<(CpuStorage, Shape)> {
        let (conv, n_images) = (&self.conv, x_layout.dims()[0]);
        let weight = operand::values(OP, weight.0, weight.1)?;
        let y = match x {
            CpuStorage::BF16(_) => {
                self.forward_in::<bf16>(operand::stored_values(OP, x, x_layout)?, &weight, bias)
            }
            _ => self.forward_in::<f32>(operand::stored_values(OP, x, x_layout)?, &weight, bias),
        };
        let shape = (n_images, conv.out_channels, conv.out_height(), conv.out_width());
        Ok((y, Shape::from(shape)))
    }

    fn forward_in<E: Value>(&self, x: &[E], weight: &[f32], bias: Option<&[f32]>) -> CpuStorage {
        let conv = &self.conv;
        let mut filters = Filters::new(*conv, Pass::Forward, self.algorithm);
        filters.pack(weight);
        let mut y = vec![E::default(); x.len() / conv.in_len() * conv.out_len()];
        let x = pixels(x, conv.in_channels, conv.in_len());
        conv::forward(&filters, &x, Epilogue { bias, ..Epilogue::default() }, &mut y);
        E::to_cpu_storage_owned(planes(&y, conv.out_channels, conv.out_len()))
    }

    fn gradients(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        dy: &Tensor,
    ) -> Result<Gradients> {
        match x.dtype() {
            DType::BF16 => self.gradients_in::<bf16>(x, weight, bias, dy),
            _ => self.gradients_in::<f32>(x, weight, bias, dy),
        }
    }

    fn gradients_in<E: Value>(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: Option<&Tensor>,
        dy: &Tensor,
    ) -> Result<Gradients> {
        let conv = &self.conv;
        let dy = dy.contiguous()?;
        let dy = Reader::new(OP, &dy);
        let dy = pixels(dy.stored_values::<E>()?, conv.out_channels, conv.out_len());
        let mut gradients = Gradients::default();
        if x.track_op() {
            let mut filters = Filters::new(*conv, Pass::InputGradient, self.algorithm);
            filters.pack(&Reader::new(OP, weight).values()?);
            let mut dx = vec![E::default(); x.elem_count()];
            conv::input_gradient(&filters, &dy, false, &mut dx);
            let dx = planes(&dx, conv.in_channels, conv.in_len());
            gradients.dx = Some(Tensor::from_vec(dx, x.shape(), x.device())?);
        }
        if weight.track_op() {
            let x = Reader::new(OP, x);
            let x = pixels(x.stored_values::<E>()?, conv.in_channels, conv.in_len());
            let mut dweight = vec![0.0; weight.elem_count()];
            let sums = WeightSums::new(*conv, self.algorithm);
            conv::weight_gradient(&sums, &x, &dy, &mut dweight);
            gradients.dweight = Some(operand::gradient(dweight, weight)?);
        }
        if let Some(bias) = bias {
            let mut dbias = vec![0.0; bias.elem_count()];
            conv::bias_gradient(&dy, &mut dbias);
            gradients.dbias = Some(operand::gradient(dbias, bias)?);
        }
        Ok(gradients)
    }
}

/// Those of image and weight only if something asks for them, that of the bias if there is one.
#[derive(Default)]
struct Gradients {
    dx: Option<Tensor>,
    dweight: Option<Tensor>,
    dbias: Option<Tensor>,
}

/// `(N, C, H, W)` to `(N, H, W, C)`; an image holds `image_len` values.
fn pixels<E: Value>(planes: &[E], channels: usize, image_len: usize) -> Vec<E> {
    let mut pixels = vec![E::default(); planes.len()];
    channels_last(planes, channels, image_len / channels, &mut pixels);
    pixels
}

/// `(N, H, W, C)` to `(N, C, H, W)`.
fn planes<E: Value>(pixels: &[E], channels: usize, image_len: usize) -> Vec<E> {
    let mut planes = vec![E::default(); pixels.len()];
    channels_first(pixels, channels, image_len / channels, &mut planes);
    planes
}

impl CustomOp2 for Convolution {
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
        self.forward((x, x_layout), (weight, weight_layout), None)
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let Gradients { dx, dweight, .. } = self.gradients(x, weight, None, dy)?;
        Ok((dx, dweight))
    }
}

impl CustomOp3 for Convolution {
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
        let bias = operand::values(OP, bias, bias_layout)?;
        self.forward((x, x_layout), (weight, weight_layout), Some(&bias))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Gradients { dx, dweight, dbias } = self.gradients(x, weight, Some(bias), dy)?;
        Ok((dx, dweight, dbias))
    }
}
