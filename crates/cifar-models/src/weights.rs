//! Weights in safetensors files.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use candle_core::{Device, Tensor, safetensors as candle_tensors};
use cifar_net::{ParameterSpec, Variable};

use crate::error::ModelError;
use crate::{NAMES, build};

/// Tensor names that an error shows before it only counts.
const SHOWN: usize = 3;

/// Reads the tensors of `specs`, in their order.
pub(crate) fn read(
    model: &str,
    specs: &[ParameterSpec],
    path: &Path,
    device: &Device,
) -> Result<Vec<Tensor>, ModelError> {
    let bytes = fs::read(path)
        .map_err(|source| ModelError::Io { action: "read", path: path.to_owned(), source })?;
    let mut tensors = candle_tensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| ModelError::Damaged { path: path.to_owned(), reason: e.to_string() })?;
    if let Some(differences) = differences(specs, &tensors) {
        let (path, model) = (path.to_owned(), model.to_owned());
        return Err(ModelError::Mismatch { path, hint: hint(&model, &tensors), model, differences });
    }
    let take = |spec: &ParameterSpec| tensors.remove(&spec.name);
    let values: Vec<Tensor> = specs.iter().filter_map(take).collect();
    Ok(values.iter().map(|value| value.to_device(device)).collect::<Result<_, _>>()?)
}

/// Writes `variables`; the bytes are a function of names and values.
pub(crate) fn write(variables: &[Variable], path: &Path) -> Result<(), ModelError> {
    let tensors = variables.iter().map(|v| (v.name.as_str(), v.var.as_detached_tensor()));
    let bytes = safetensors::serialize(tensors, None)
        .map_err(|e| ModelError::Damaged { path: path.to_owned(), reason: e.to_string() })?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let write = || -> io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| ModelError::Io { action: "write", path: path.to_owned(), source })
}

/// What separates the file from the network, in words; `None` where nothing does.
fn differences(specs: &[ParameterSpec], tensors: &HashMap<String, Tensor>) -> Option<String> {
    let missing = specs.iter().map(|s| &s.name).filter(|name| !tensors.contains_key(*name));
    let mut unexpected: Vec<&String> =
        tensors.keys().filter(|name| specs.iter().all(|s| s.name != **name)).collect();
    unexpected.sort();
    let odd = specs.iter().filter_map(|spec| {
        let found = tensors.get(&spec.name)?;
        let same = found.dims() == spec.shape && found.dtype() == spec.dtype;
        let (shape, dtype) = (found.dims(), found.dtype().as_str());
        let want = spec.dtype.as_str();
        (!same).then(|| format!("{} is {shape:?} {dtype}, expected {:?} {want}", spec.name, spec.shape))
    });
    let parts = [
        list("missing", missing.cloned().collect()),
        list("unexpected", unexpected.into_iter().cloned().collect()),
        list("of another shape or type", odd.collect()),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

fn list(what: &str, names: Vec<String>) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    let rest = names.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    Some(format!("{} {what} ({shown}{more})", names.len()))
}

/// The other known model that the names belong to, if any.
fn hint(model: &str, tensors: &HashMap<String, Tensor>) -> String {
    let has_names_of = |name: &&&str| {
        build(name, 10).is_ok_and(|net| {
            let specs = net.parameters();
            specs.len() == tensors.len() && specs.iter().all(|s| tensors.contains_key(&s.name))
        })
    };
    match NAMES.iter().find(has_names_of) {
        Some(other) if *other != model => format!("it holds weights of {other}: give that model"),
        _ => "is it a checkpoint of another model?".to_owned(),
    }
}
