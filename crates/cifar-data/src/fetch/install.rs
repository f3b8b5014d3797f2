//! Putting files into their place, whole or not at all.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use cifar_files::{folder_of, sync_folder};
use md5::{Digest, Md5};

use super::error::{FetchError, Obstacle};
use crate::cifar10::Format;
use crate::error::DataError;
use crate::facts::{BATCH_NAMES, CLASS_NAMES, Facts};
use crate::records::check_size;
use crate::verify::{check_md5, hexadecimal};

/// Bytes copied at once.
const BLOCK_LEN: usize = 1 << 18;

/// A file that is being written beside its place. Dropped before [`commit`](Self::commit), it
/// leaves nothing behind. Unlike one of `cifar_files` it has the same name each time, so that what a
/// killed process leaves there, some 30 MB, is overwritten by the next.
struct PendingFile {
    file: File,
    temporary: PathBuf,
    target: PathBuf,
}

impl PendingFile {
    fn create(target: &Path) -> Result<Self, FetchError> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        let temporary = target.with_file_name(name);
        let file = File::create(&temporary).map_err(FetchError::write(&temporary))?;
        Ok(Self { file, temporary, target: target.to_owned() })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(FetchError::write(&self.target))
    }

    /// Brings the bytes to the disk, then gives the file its name.
    fn commit(self) -> Result<(), FetchError> {
        let put = || {
            self.file.sync_all()?;
            fs::rename(&self.temporary, &self.target)?;
            sync_folder(folder_of(&self.target))
        };
        put().map_err(FetchError::write(&self.target))
    }
}

impl Drop for PendingFile {
    fn drop(&mut self) {
        // After a commit there is nothing under this name any more.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The folder `cifar-10-batches-bin` being filled.
pub(super) struct Installation<'a> {
    folder: PathBuf,
    facts: &'a Facts,
    /// For each batch, whether it is in its place.
    done: [bool; BATCH_NAMES.len()],
}

impl<'a> Installation<'a> {
    /// `intact` tells which batches are in `folder` already.
    pub(super) fn new(
        folder: PathBuf,
        facts: &'a Facts,
        intact: [bool; BATCH_NAMES.len()],
    ) -> Self {
        Self { folder, facts, done: intact }
    }

    pub(super) fn facts(&self) -> &Facts {
        self.facts
    }

    /// Whether batch number `batch` is in its place.
    pub(super) fn has(&self, batch: usize) -> bool {
        self.done[batch]
    }

    /// How many batches are in their places.
    pub(super) fn n_done(&self) -> usize {
        self.done.iter().filter(|&&done| done).count()
    }

    /// Writes batch number `batch` from `records`, its official layout, and puts it into its
    /// place if size and MD5 are right. `path` names the source in errors.
    pub(super) fn put(
        &mut self,
        batch: usize,
        path: &Path,
        records: &mut dyn Read,
    ) -> Result<(), Obstacle> {
        fs::create_dir_all(&self.folder).map_err(FetchError::write(&self.folder))?;
        let mut pending = PendingFile::create(&self.folder.join(Format::Binary.file_name(batch)))?;
        let (mut hasher, mut block, mut len) = (Md5::new(), vec![0; BLOCK_LEN], 0);
        loop {
            let n = match records.read(&mut block) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(DataError::Read { path: path.to_owned(), source }.into());
                }
            };
            hasher.update(&block[..n]);
            pending.write(&block[..n])?;
            len += n as u64;
        }
        let facts = &self.facts.batches[batch];
        check_size(path, len, facts.records)?;
        check_md5(path, hexadecimal(hasher), &facts.md5)?;
        pending.commit()?;
        self.done[batch] = true;
        Ok(())
    }

    /// Adds the list of classes, as in the official archive.
    pub(super) fn finish(self) -> Result<PathBuf, FetchError> {
        let mut pending = PendingFile::create(&self.folder.join(Format::Binary.meta_name()))?;
        pending.write(format!("{}\n\n", CLASS_NAMES.join("\n")).as_bytes())?;
        pending.commit()?;
        Ok(self.folder)
    }
}
