//! Activation functions.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use cifar_kernels::activation::{self, Activation};

use crate::operand::{self, Reader};
use crate::portable;

/// `max(x, 0)` of every value of a tensor of any shape; a NaN stays NaN.
///
/// The gradient passes where `x > 0` and is 0 elsewhere, also at 0, as in PyTorch.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    activate(x, Activation::Relu)
}

/// [`Activation::Gelu`], by the error function, of every value of a tensor of any shape.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16.
pub fn gelu(x: &Tensor) -> Result<Tensor> {
    activate(x, Activation::Gelu)
}

/// [`Activation::Silu`] of every value of a tensor of any shape.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16.
pub fn silu(x: &Tensor) -> Result<Tensor> {
    activate(x, Activation::Silu)
}

/// [`Activation::LeakyRelu`] of every value of a tensor of any shape.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16.
pub fn leaky_relu(x: &Tensor) -> Result<Tensor> {
    activate(x, Activation::LeakyRelu)
}

/// An activation of every value of a tensor of any shape.
///
/// # Errors
/// A tensor that is neither f32 nor, on a CPU, bf16.
pub fn activate(x: &Tensor, activation: Activation) -> Result<Tensor> {
    operand::float_only(name(activation), "the input", x)?;
    if !x.device().is_cpu() {
        return portable::activate(x, activation);
    }
    x.contiguous()?.apply_op1(Activate(activation))
}

fn name(activation: Activation) -> &'static str {
    match activation {
        Activation::Relu => "relu",
        Activation::Gelu => "gelu",
        Activation::Silu => "silu",
        Activation::LeakyRelu => "leaky_relu",
    }
}

struct Activate(Activation);

impl CustomOp1 for Activate {
    fn name(&self) -> &'static str {
        name(self.0)
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let x = operand::values(self.name(), storage, layout)?;
        let mut y = vec![0.0; x.len()];
        activation::apply(Some(self.0), Some(&x), None, &mut y);
        Ok((operand::storage(y, storage), layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<Option<Tensor>> {
        let dy = dy.contiguous()?;
        let mut dx = Reader::new(self.name(), &dy).values()?.into_owned();
        activation::gradient(self.0, &Reader::new(self.name(), x).values()?, None, &mut dx);
        operand::gradient(dx, x).map(Some)
    }
}
