//! The Python version: `cifar-10-batches-py`, which torchvision downloads.

use std::path::Path;

use cifar_pickle::{PickleError, Value};

use crate::dataset::IMAGE_LEN;
use crate::error::DataError;
use crate::numpy::{self, Object};
use crate::records::{RECORD_LEN, checked_label};

/// Largest pickle that is read: a batch has 31 MB, mostly its pictures.
pub(crate) const MAX_PICKLE_LEN: u64 = 64 << 20;

/// Brings a pickled batch of `n` pictures into the official binary layout.
///
/// `pickle`: the file's bytes; `path` only names them in errors. The batch is a dictionary whose
/// `data` is an array of `n × 3072` bytes, planes red, green, blue, and whose `labels` is a list
/// of `n` integers.
pub(crate) fn to_records(pickle: &[u8], path: &Path, n: usize) -> Result<Vec<u8>, DataError> {
    let refused = |source| DataError::Pickle { path: path.to_owned(), source };
    let content = |text: String| refused(PickleError::Content(text));
    let batch = numpy::load(pickle).map_err(refused)?;
    let heap = &batch.heap;
    let data = numpy::get(&batch, "data").and_then(|data| heap.object(data));
    let Some(Object::Array(data)) = data else {
        return Err(content("it has no array `data`".to_owned()));
    };
    if (data.n_rows, data.n_columns) != (n, IMAGE_LEN) {
        let (rows, columns) = (data.n_rows, data.n_columns);
        return Err(content(format!("`data` is {rows} × {columns}, expected {n} × {IMAGE_LEN}")));
    }
    let images = data.values().filter(|values| values.len() == n * IMAGE_LEN);
    let Some(images) = images else {
        return Err(content(format!("`data` does not hold {n} × {IMAGE_LEN} bytes")));
    };
    let Some(labels) = numpy::get(&batch, "labels").and_then(|labels| heap.list(labels)) else {
        return Err(content("it has no list `labels`".to_owned()));
    };
    if labels.len() != n {
        return Err(content(format!("it has {} labels, expected {n}", labels.len())));
    }
    let mut records = Vec::with_capacity(n * RECORD_LEN);
    for (record, (image, label)) in images.chunks_exact(IMAGE_LEN).zip(labels).enumerate() {
        let label = match label {
            Value::Int(label) => u8::try_from(*label).unwrap_or(u8::MAX),
            _ => return Err(content(format!("label {record} is no integer"))),
        };
        records.push(checked_label(label, path, record)?);
        records.extend_from_slice(image);
    }
    Ok(records)
}

/// The names of the classes, from `batches.meta`.
pub(crate) fn class_names(pickle: &[u8], path: &Path) -> Result<Vec<String>, DataError> {
    let refused = |source| DataError::Pickle { path: path.to_owned(), source };
    let meta = numpy::load(pickle).map_err(refused)?;
    let names = numpy::get(&meta, "label_names").and_then(|names| meta.heap.list(names));
    let Some(names) = names else {
        let text = "it has no list `label_names`".to_owned();
        return Err(refused(PickleError::Content(text)));
    };
    let text = |name: &Value<'_>| match numpy::bytes(&meta.heap, *name) {
        Some(name) => String::from_utf8_lossy(name).into_owned(),
        None => format!("{name:?}"),
    };
    Ok(names.iter().map(text).collect())
}
