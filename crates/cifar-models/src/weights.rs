//! Weights in files: safetensors, which is also written, and PyTorch's own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
    let temporary = temporary(path);
    let result = write_synced(&temporary, &bytes).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    result.and_then(|()| sync_folder(path)).map_err(io_error("write", path))
}

/// A hidden neighbour of `path`, always the same: what a killed process left there is overwritten
/// by the next, so that leftovers do not pile up.
fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".tmp");
    path.with_file_name(name)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes the rename itself durable; only Unix can open a folder for that.
fn sync_folder(path: &Path) -> io::Result<()> {
    // The parent of a bare file name is empty and means the current folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if cfg!(unix) { File::open(folder.unwrap_or(Path::new(".")))?.sync_all() } else { Ok(()) }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ModelError {
    move |source| ModelError::Io { action, path: path.to_owned(), source }
}
