//! A tensor as a file has it.

use std::borrow::Cow;

use candle_core::safetensors::Load;
use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::error::ModelError;

/// A tensor as a file has it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTensor<'a> {
    /// Type of its values.
    pub dtype: Dtype,
    /// Its size in each dimension.
    pub shape: Vec<usize>,
    /// Its values row by row, little-endian.
    pub data: Cow<'a, [u8]>,
}

impl StoredTensor<'_> {
    /// Whether PyTorch would copy it into a tensor of type `wanted`: floating point into floating
    /// point, rounding where needed, anything else into its own type.
    pub(crate) fn converts_to(&self, wanted: DType) -> bool {
        let float = matches!(self.dtype, Dtype::F16 | Dtype::BF16 | Dtype::F32 | Dtype::F64);
        self.dtype == Dtype::from(wanted) || (float && wanted.is_float())
    }

    /// The tensor, as values of type `wanted`.
    pub(crate) fn load(&self, wanted: DType, device: &Device) -> Result<Tensor, ModelError> {
        let view = TensorView::new(self.dtype, self.shape.clone(), &self.data);
        Ok(view.map_err(candle_core::Error::from)?.load(device)?.to_dtype(wanted)?)
    }
}
