//! What a file is once it is read back.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{DType, Device, Tensor, Var};
use cifar_net::{Arithmetic, Inference, Net, Variable};

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

/// A net run by the planned executor with tensors from a file.
pub(crate) struct RereadNet {
    inference: RefCell<Inference>,
    n_classes: usize,
}

impl RereadNet {
    /// `tensors` by their `state_dict` names; all but counters become f32.
    pub(crate) fn new(net: &Net, tensors: HashMap<String, Tensor>) -> Result<Self, ExportError> {
        let variable = |(name, tensor): (String, Tensor)| {
            let dtype = if tensor.dtype() == DType::F16 { DType::F32 } else { tensor.dtype() };
            let var = Var::from_tensor(&tensor.to_dtype(dtype)?.contiguous()?)?;
            Ok(Variable { name, var, trainable: false })
        };
        let variables =
            tensors.into_iter().map(variable).collect::<Result<Vec<_>, ExportError>>()?;
        let inference = Inference::new(net, &variables, Arithmetic::default())?;
        Ok(Self { inference: RefCell::new(inference), n_classes: net.n_classes })
    }
}

impl Reread for RereadNet {
    fn logits(&self, images: &Tensor) -> Result<Tensor, ExportError> {
        let images = images.flatten_all()?.to_vec1::<f32>()?;
        let mut inference = self.inference.borrow_mut();
        let logits = inference.logits(&images)?;
        let shape = (logits.len() / self.n_classes, self.n_classes);
        Ok(Tensor::from_slice(logits, shape, &Device::Cpu)?)
    }
}
