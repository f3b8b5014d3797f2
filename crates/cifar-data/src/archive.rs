//! Reading a tar.gz from its beginning to its end, without unpacking it to the disk.

use std::fs::File;
use std::io::{BufReader, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use tar::{Archive, Entry};

use crate::error::DataError;

/// A file inside an archive.
pub(crate) struct ArchivedFile<'a> {
    /// Its folder and name, such as `cifar-10-batches-bin/data_batch_1.bin`; only ever compared
    /// with names we know, never opened.
    pub(crate) name: PathBuf,
    /// Bytes that its header announces.
    pub(crate) len: u64,
    /// What it holds.
    pub(crate) content: &'a mut dyn Read,
}

/// Shows every file of the archive at `path` to `visit`, in the archive's order, until there are
/// no more or `visit` breaks off.
pub(crate) fn each_file<E: From<DataError>>(
    path: &Path,
    mut visit: impl FnMut(ArchivedFile<'_>) -> Result<ControlFlow<()>, E>,
) -> Result<(), E> {
    let file =
        File::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    let unpacks = |source| DataError::Archive { path: path.to_owned(), source };
    let mut archive = Archive::new(GzDecoder::new(BufReader::with_capacity(1 << 16, file)));
    for entry in archive.entries().map_err(unpacks)? {
        let mut entry = entry.map_err(unpacks)?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let (name, len) = (short_name(&entry).map_err(unpacks)?, entry.size());
        if visit(ArchivedFile { name, len, content: &mut entry })?.is_break() {
            break;
        }
    }
    Ok(())
}

/// The last two parts of an entry's path: `./cifar-10-batches-py/batches.meta` and
/// `cifar-10-batches-py/batches.meta` are the same to us.
fn short_name<R: Read>(entry: &Entry<'_, R>) -> std::io::Result<PathBuf> {
    let path = entry.path()?;
    let parts: Vec<_> = path.components().rev().take(2).collect();
    Ok(parts.into_iter().rev().collect())
}
