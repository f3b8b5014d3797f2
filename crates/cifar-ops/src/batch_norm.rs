//! Batch normalisation.

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor};
use cifar_kernels::norm::{self, NormShape, Normalised};

use crate::operand::{self, Reader};
use crate::portable;

/// What [`batch_norm_train`] returns.
#[derive(Debug, Clone)]
pub struct BatchNormOutput {
    /// The normalised images, `(N, C, H, W)`.
    pub y: Tensor,
    /// Mean of each channel over the batch, `(C)`, f32; detached.
    pub mean: Tensor,
    /// Biased variance of each channel over the batch, `(C)`, f32; detached. PyTorch's running
    /// variance is updated with this times `m / (m − 1)`, `m = N·H·W`.
    pub variance: Tensor,
}

/// Batch normalisation with the statistics of the batch (Ioffe and Szegedy 2015,
/// arXiv:1502.03167): `(x − mean) / √(variance + eps) · weight + bias`, per channel.
///
/// `x`: `(N, C, H, W)`; `weight`, `bias`: `(C)`. The gradient flows through the statistics.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16, of another rank, empty, or of other channels.
pub fn batch_norm_train(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<BatchNormOutput> {
    const OP: &str = "batch_norm_train";
    let shape = checked(OP, x, &[("the weight", weight), ("the bias", bias)])?;
    if !x.device().is_cpu() {
        return portable::batch_norm_train(x, weight, bias, eps);
    }
    let x = x.contiguous()?;
    let (mut mean, mut variance) = (vec![0.0; shape.channels], vec![0.0; shape.channels]);
    norm::statistics(&Reader::new(OP, &x).values()?, shape, &mut mean, &mut variance);
    let op = BatchNorm {
        op: OP,
        shape,
        inv_std: inverse_deviation(&variance, eps),
        mean: mean.clone(),
        statistics: Statistics::OfTheBatch,
    };
    let y = x.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?;
    let per_channel = |values| Tensor::from_vec(values, shape.channels, x.device());
    Ok(BatchNormOutput { y, mean: per_channel(mean)?, variance: per_channel(variance)? })
}

/// Batch normalisation with given statistics: `(x − running_mean) / √(running_var + eps) · weight
/// + bias`, per channel.
///
/// `x`: `(N, C, H, W)`; the others `(C)`. The statistics are constants to the gradient.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16, of another rank, empty, or of other channels.
pub fn batch_norm_eval(
    x: &Tensor,
    running_mean: &Tensor,
    running_var: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    const OP: &str = "batch_norm_eval";
    let vectors = [
        ("the running mean", running_mean),
        ("the running variance", running_var),
        ("the weight", weight),
        ("the bias", bias),
    ];
    let shape = checked(OP, x, &vectors)?;
    if !x.device().is_cpu() {
        let (mean, variance) = (running_mean.detach(), running_var.detach());
        return portable::batch_norm_eval(x, &mean, &variance, weight, bias, eps);
    }
    let op = BatchNorm {
        op: OP,
        shape,
        inv_std: inverse_deviation(&running_var.to_dtype(DType::F32)?.to_vec1()?, eps),
        mean: running_mean.to_dtype(DType::F32)?.to_vec1()?,
        statistics: Statistics::Given,
    };
    x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)
}

fn checked(op: &str, x: &Tensor, vectors: &[(&str, &Tensor)]) -> Result<NormShape> {
    let [_, channels, h, w] = operand::of_rank(op, "the input", x)?;
    for (name, vector) in vectors {
        operand::per_channel(op, name, vector, channels)?;
    }
    Ok(NormShape { channels, plane_len: h * w })
}

fn inverse_deviation(variance: &[f32], eps: f64) -> Vec<f32> {
    variance.iter().map(|&variance| (1.0 / (f64::from(variance) + eps).sqrt()) as f32).collect()
}

/// Whether the mean and variance move with the input.
enum Statistics {
    OfTheBatch,
    Given,
}

struct BatchNorm {
    op: &'static str,
    shape: NormShape,
    /// `(C)`
    mean: Vec<f32>,
    /// `1 / √(variance + eps)`, `(C)`
    inv_std: Vec<f32>,
    statistics: Statistics,
}

impl BatchNorm {
    /// `weight / √(variance + eps)`, `(C)`.
    fn scale(&self, weight: &[f32]) -> Vec<f32> {
        self.inv_std.iter().zip(weight).map(|(inv_std, weight)| inv_std * weight).collect()
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        self.op
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
        let values = operand::values(self.op, x, x_layout)?;
        let scale = self.scale(&operand::values(self.op, weight, weight_layout)?);
        let bias = operand::values(self.op, bias, bias_layout)?;
        let mut y = vec![0.0; values.len()];
        norm::apply(&values, self.shape, &self.mean, &scale, &bias, &mut y);
        Ok((operand::storage(y, x), x_layout.shape().clone()))
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
        let [x_read, weight_read, dy_read] = [x, weight, &dy].map(|t| Reader::new(self.op, t));
        let (x_values, dy_values) = (x_read.values()?, dy_read.values()?);
        let (shape, weight_values) = (self.shape, weight_read.values()?);
        let forward =
            Normalised { mean: &self.mean, inv_std: &self.inv_std, weight: &weight_values };
        let (mut dweight, mut dbias) = (vec![0.0; shape.channels], vec![0.0; shape.channels]);
        norm::parameter_gradients(&x_values, &dy_values, shape, forward, &mut dweight, &mut dbias);
        let mut dx = vec![0.0; x_values.len()];
        match self.statistics {
            Statistics::OfTheBatch => {
                let sums = (&dweight[..], &dbias[..]);
                norm::input_gradient(&x_values, &dy_values, shape, forward, sums, &mut dx);
            }
            Statistics::Given => {
                norm::scale_planes(&dy_values, shape, &self.scale(forward.weight), &mut dx);
            }
        }
        let gradient = |values, of| operand::gradient(values, of).map(Some);
        Ok((gradient(dx, x)?, gradient(dweight, weight)?, gradient(dbias, bias)?))
    }
}
