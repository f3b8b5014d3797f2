//! Activation functions.

use candle_core::{DType, Result, Tensor, bail};

use crate::portable;

/// `max(x, 0)` of every value of an f32 tensor of any shape.
///
/// The gradient is 1 where `x > 0`, else 0 (also at 0, as in PyTorch); a NaN stays NaN.
///
/// # Errors
/// A tensor that is not f32.
pub fn relu(x: &Tensor) -> Result<Tensor> {
    if x.dtype() != DType::F32 {
        bail!("relu: the input is {:?}, expected F32; convert it with to_dtype", x.dtype());
    }
    portable::relu(x)
}
