//! Weights in files: safetensors, which is also written, and PyTorch's own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use candle_core::{Device, Tensor};
use cifar_net::{Net, Variable};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use crate::compare::compare;
use crate::error::ModelError;
use crate::stored::StoredTensor;
use crate::torch_file;

/// Reads the tensors of `net`, in `state_dict` order. Nothing else may be in the file.
pub(crate) fn read(net: &Net, path: &Path, device: &Device) -> Result<Vec<Tensor>, ModelError> {
    let bytes = fs::read(path).map_err(io_error("read", path))?;
    parse(net, &bytes, path, device)
}

/// The same from the file's bytes, whichever of the known formats it is in; `path` only names it.
pub(crate) fn parse(
    net: &Net,
    bytes: &[u8],
    path: &Path,
    device: &Device,
) -> Result<Vec<Tensor>, ModelError> {
    let file = tensors(bytes, path)?;
    let specs = net.parameters();
    if let Some((hint, differences)) = compare(&net.name, &specs, &file) {
        let (path, model) = (path.to_owned(), net.name.clone());
        return Err(ModelError::Mismatch { path, model, hint, differences });
    }
    let found = specs.iter().filter_map(|spec| Some((spec, file.get(&spec.name)?)));
    found.map(|(spec, tensor)| tensor.load(spec.dtype, device)).collect()
}

/// All tensors of the file, by name. Where a name occurs again, the last counts, as in Python.
fn tensors<'a>(
    bytes: &'a [u8],
    path: &Path,
) -> Result<BTreeMap<String, StoredTensor<'a>>, ModelError> {
    if torch_file::recognised(bytes) {
        let read = torch_file::read(bytes);
        let read = read.map_err(|reason| ModelError::Torch { path: path.to_owned(), reason })?;
        return Ok(read.into_iter().collect());
    }
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| ModelError::Damaged { path: path.to_owned(), reason: e.to_string() })?;
    let stored = |view: TensorView<'a>| StoredTensor {
        dtype: view.dtype(),
        shape: view.shape().to_vec(),
        data: Cow::Borrowed(view.data()),
    };
    Ok(file.tensors().into_iter().map(|(name, view)| (name, stored(view))).collect())
}

/// Writes `variables`, whole or not at all. The bytes are a function of names and values:
/// safetensors orders tensors by type and name, whatever order they come in.
pub(crate) fn write(variables: &[Variable], path: &Path) -> Result<(), ModelError> {
    // On the CPU first, where handing out the bytes cannot fail.
    let on_cpu = |v: &Variable| Ok((v.name.clone(), v.var.to_device(&Device::Cpu)?));
    let tensors = variables.iter().map(on_cpu).collect::<Result<Vec<_>, ModelError>>()?;
    let bytes = safetensors::serialize(tensors, None).map_err(candle_core::Error::from)?;
    cifar_files::write(path, &bytes).map_err(io_error("write", path))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ModelError {
    move |source| ModelError::Io { action, path: path.to_owned(), source }
}
