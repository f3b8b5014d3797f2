//! What a file is once it is read back.

use std::collections::HashMap;

use candle_core::{DType, Device, ModuleT, Tensor};
use candle_nn::VarBuilder;
use cifar_net::{CandleNet, Net};

use crate::ExportError;

/// A network as a reader found it in a file.
pub trait Reread {
    /// Logits `(N, K)` f32 of `images`, which are what the written graph takes: normalised f32
    /// `(N, 3, 32, 32)`, or u8 `(N, 32, 32, 3)` with preprocessing.
    ///
    /// # Errors
    /// Those of the runtime.
    fn logits(&self, images: &Tensor) -> Result<Tensor, ExportError>;
}

/// A net run by candle's operations with tensors from a file.
pub(crate) struct RereadNet {
    module: CandleNet,
}

impl RereadNet {
    /// `tensors` by their `state_dict` names; all but counters become f32.
    pub(crate) fn new(net: &Net, tensors: HashMap<String, Tensor>) -> Result<Self, ExportError> {
        let widen = |(name, tensor): (String, Tensor)| {
            let dtype = if tensor.dtype() == DType::F16 { DType::F32 } else { tensor.dtype() };
            Ok((name, tensor.to_dtype(dtype)?))
        };
        let tensors = tensors.into_iter().map(widen).collect::<Result<_, ExportError>>()?;
        let vb = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        Ok(Self { module: CandleNet::new(net, vb)? })
    }
}

impl Reread for RereadNet {
    fn logits(&self, images: &Tensor) -> Result<Tensor, ExportError> {
        Ok(self.module.forward_t(images, false)?)
    }
}
