//! TorchScript archives without libtorch.
//!
//! An archive is a zip file: `data.pkl` holds the tree of modules with their attributes, `data/N` the
//! bytes of tensors, and `code/__torch__/cifar.py` one class for each kind of module. The code reads
//! like the model: a module for every node, under its own name, so that `state_dict` and
//! `named_modules` are those of the PyTorch module. It is a model in evaluation mode; batch norms that
//! were kept follow `.train()`, so it can be trained on.
//!
//! Layout and dialect are those of `torch.jit.save`, file format version 10 (PyTorch 1.13 and later;
//! `torch/csrc/jit/serialization`). Reading back parses the code, so that what is compared is what
//! the code says.

mod archive;
mod modules;
mod pickle;
mod reread;
mod source;

use crate::{ExportError, Metadata, Subject};
use archive::Record;
pub(crate) use reread::reread;

const FORMAT: &str = "torchscript";

/// Where the code of the file says its classes are.
const NAMESPACE: &str = "__torch__.cifar";

/// The namespace as a file.
const CODE: &str = "code/__torch__/cifar.py";

/// An empty tuple.
const NO_CONSTANTS: &[u8] = b"\x80\x02).";

/// From this version on, no operation is replaced by an older meaning of it.
const VERSION: &[u8] = b"10\n";

pub(crate) fn write(subject: &Subject, metadata: &Metadata) -> Result<Vec<u8>, ExportError> {
    let (root, classes) = modules::describe(subject)?;
    let record = |name: &str, bytes| Record { name: name.to_owned(), bytes };
    let mut records = vec![
        record("data.pkl", pickle::write(&root, subject)?),
        record(CODE, classes.into_bytes()),
    ];
    for (at, (_, tensor)) in subject.tensors.iter().enumerate() {
        records.push(record(&format!("data/{at}"), archive::tensor_bytes(tensor)?));
    }
    let entries = serde_json::to_vec_pretty(&metadata.entries(&subject.options)?);
    records.extend([
        record("extra/metadata.json", entries.map_err(candle_core::Error::wrap)?),
        record("constants.pkl", NO_CONSTANTS.to_vec()),
        record("byteorder", b"little".to_vec()),
        record("version", VERSION.to_vec()),
    ]);
    archive::write(&subject.net.name, &records)
}

#[cfg(test)]
mod tests;
