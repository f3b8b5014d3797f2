//! Tensors in a safetensors file, under the names of PyTorch's `state_dict`.
//!
//! `load_state_dict(strict=True)` of the PyTorch module takes them. The format holds no graph, so
//! reading back runs the architecture with the file's tensors.

use candle_core::{Device, safetensors::Load};
use cifar_net::Net;
use safetensors::{Dtype, SafeTensors};

use crate::reread::RereadNet;
use crate::{ExportError, Metadata, Reread, Subject};

const FORMAT: &str = "safetensors";

pub(crate) fn write(subject: &Subject, metadata: &Metadata) -> Result<Vec<u8>, ExportError> {
    if subject.options.preprocess.is_some() {
        return Err(ExportError::NoGraph { format: FORMAT, wish: "normalise images" });
    }
    let mut entries = metadata.entries(&subject.options)?;
    // What PyTorch's and Hugging Face's readers look for.
    entries.insert("format".to_owned(), "pt".to_owned());
    let tensors = subject.tensors.iter().map(|(name, tensor)| (name, tensor));
    let bytes = safetensors::serialize(tensors, Some(entries.into_iter().collect()));
    Ok(bytes.map_err(candle_core::Error::from)?)
}

pub(crate) fn reread(bytes: &[u8], net: &Net) -> Result<Box<dyn Reread>, ExportError> {
    let damaged = |reason: String| ExportError::Damaged { format: FORMAT, reason };
    let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
    let specs = net.parameters();
    if file.len() != specs.len() {
        return Err(damaged(format!("{} tensors, expected {}", file.len(), specs.len())));
    }
    let mut tensors = Vec::with_capacity(specs.len());
    for spec in specs {
        let view = file.tensor(&spec.name).map_err(|error| damaged(error.to_string()))?;
        let fits = view.dtype() == Dtype::from(spec.dtype) || view.dtype() == Dtype::F16;
        if !fits || view.shape() != spec.shape {
            let (name, dtype, shape) = (&spec.name, view.dtype(), view.shape());
            return Err(damaged(format!(
                "{name} is {dtype:?} {shape:?}, expected {:?}",
                spec.shape
            )));
        }
        tensors.push((spec.name, view.load(&Device::Cpu)?));
    }
    Ok(Box::new(RereadNet::new(net, tensors.into_iter().collect())?))
}

#[cfg(test)]
mod tests;
