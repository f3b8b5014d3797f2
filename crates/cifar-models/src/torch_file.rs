//! Tensors from the files that PyTorch writes: `torch.save`'s, and TorchScript's.
//!
//! Both are a zip archive of uncompressed records: `data.pkl`, a pickle of the whole in which
//! storages stand as persistent ids, and the bytes of each storage in `data/KEY`. Nothing in the
//! archive is executed or unpacked; tensors borrow their bytes from the file.
//!
//! The format: <https://docs.pytorch.org/docs/stable/notes/serialization.html>.

mod archive;
mod error;
mod state_dict;
mod tensor;
mod vocabulary;

use std::borrow::Cow;

use cifar_pickle::Pickle;

pub use archive::Archive;
pub use error::TorchFileError;
pub use tensor::{Storage, TorchTensor};
pub use vocabulary::{Object, Torch};

use crate::stored::StoredTensor;

/// Whether `bytes` begin as PyTorch's files do, also those of before 1.6, which are refused.
pub(crate) fn recognised(bytes: &[u8]) -> bool {
    Archive::recognised(bytes) || is_legacy(bytes)
}

/// A pickle of protocol 2 where the archive should be: `torch.save` before PyTorch 1.6.
fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(b"\x80\x02")
}

/// The tensors of the `state_dict` in the file, by name, in its order.
///
/// The `state_dict` is the dictionary that was saved, or what it has under `state_dict`,
/// `model_state_dict` or `model`, or the parameters and buffers of a TorchScript module. Names may
/// occur more than once; Python keeps the last.
///
/// # Errors
/// [`TorchFileError`] says what the file is instead, and what would help.
pub fn read(bytes: &[u8]) -> Result<Vec<(String, StoredTensor<'_>)>, TorchFileError> {
    if is_legacy(bytes) {
        return Err(TorchFileError::Legacy);
    }
    let archive = Archive::open(bytes)?;
    let pickle = unpickle(&archive, "data.pkl")?;
    let tensors = state_dict::find(&pickle)?;
    // What is brought into another order is copied. Views of one storage could be copied without
    // end; true files have a storage for each.
    let mut budget = bytes.len();
    let mut stored = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let misfit = |reason: String| TorchFileError::Tensor { name: name.clone(), reason };
        let found = tensor.stored(&archive, &pickle.heap).map_err(|e| misfit(e.to_string()))?;
        if let Cow::Owned(copy) = &found.data {
            let left = budget.checked_sub(copy.len());
            budget = left.ok_or_else(|| misfit("it shares its storage with many".to_owned()))?;
        }
        stored.push((name, found));
    }
    Ok(stored)
}

/// The values of a pickled record, such as `data.pkl`.
///
/// # Errors
/// If there is no such record, or it names something else than tensors and plain containers.
pub fn unpickle<'a>(
    archive: &Archive<'a>,
    record: &str,
) -> Result<Pickle<'a, Object<'a>>, TorchFileError> {
    let loaded = cifar_pickle::load(archive.record(record)?, &vocabulary::Torch);
    loaded.map_err(|reason| TorchFileError::Pickle { record: record.to_owned(), reason })
}
