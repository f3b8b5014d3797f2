//! Activation functions.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use cifar_kernels::activation;

use crate::operand::{self, Reader};
use crate::portable;

const OP: &str = "relu";

/// `max(x, 0)` of every value of a tensor of any shape; a NaN stays NaN.
///
/// The gradient passes where `x > 0` and is 0 elsewhere, also at 0, as in PyTorch.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    operand::float_only(OP, "the input", x)?;
    if !x.device().is_cpu() {
        return portable::relu(x);
    }
    x.contiguous()?.apply_op1(Relu)
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = operand::values(OP, storage, layout)?;
        let mut y = vec![0.0; x.len()];
        activation::relu(&x, &mut y);
        Ok((operand::storage(y, storage), layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let (y_values, dy_values) = (Reader::new(OP, y), Reader::new(OP, &dy));
        let mut dx = vec![0.0; y.elem_count()];
        activation::relu_backward(&y_values.values()?, &dy_values.values()?, &mut dx);
        operand::gradient(dx, y).map(Some)
    }
}
