//! Tensors in a safetensors file, under the names of PyTorch's `state_dict`.
//!
//! `load_state_dict(strict=True)` of the PyTorch module takes them. The format holds no graph, so
//! reading back runs the architecture with the file's tensors.

use std::collections::BTreeMap;

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
    let bytes = safetensors::serialize(tensors, None).map_err(candle_core::Error::from)?;
    with_metadata(&bytes, &entries)
}

/// The crate writes metadata in the order of a hash map, another one each time; here it is that of
/// the names. A file is the header's length (8 bytes), the header (JSON) and the data.
fn with_metadata(file: &[u8], entries: &BTreeMap<String, String>) -> Result<Vec<u8>, ExportError> {
    let damaged = || ExportError::Damaged { format: FORMAT, reason: "no header".to_owned() };
    let (len, rest) = file.split_first_chunk::<8>().ok_or_else(damaged)?;
    let len = usize::try_from(u64::from_le_bytes(*len)).map_err(|_| damaged())?;
    let (header, data) = rest.split_at_checked(len).ok_or_else(damaged)?;
    let (brace, tensors) = header.trim_ascii_end().split_at_checked(1).ok_or_else(damaged)?;
    let metadata = serde_json::to_vec(entries).map_err(candle_core::Error::wrap)?;
    let mut header = [brace, b"\"__metadata__\":", &metadata, b",", tensors].concat();
    header.resize(header.len().next_multiple_of(8), b' ');
    Ok([&(header.len() as u64).to_le_bytes()[..], &header, data].concat())
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
