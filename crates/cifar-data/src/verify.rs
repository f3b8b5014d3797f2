//! Comparing the batches with their MD5s.

use std::io::Read;
use std::num::NonZero;
use std::ops::Range;
use std::path::Path;
use std::thread;

use md5::{Digest, Md5};

use crate::cifar10::{Cifar10, Format};
use crate::error::DataError;
use crate::facts::BATCH_NAMES;
use crate::records::read_fully;

/// Bytes hashed at once.
const BLOCK_LEN: usize = 1 << 18;

/// Finds the CIFAR-10 at `path` as [`Cifar10::open`] does, and compares every batch with its MD5.
///
/// # Errors
/// If there is no CIFAR-10, or a batch is missing, cut off or damaged.
pub fn verify(path: &Path) -> Result<(), DataError> {
    Cifar10::open(path)?.verify()
}

impl Cifar10 {
    /// Compares the MD5 of every batch, taken over its official binary layout, with the right one:
    /// so one list of six serves every form of the data.
    ///
    /// # Errors
    /// If a batch cannot be read or is damaged.
    pub fn verify(&self) -> Result<(), DataError> {
        self.verify_batches().into_iter().collect()
    }

    /// What is wrong: for each file of a folder, in the order of [`BATCH_NAMES`], or for an
    /// archive as a whole.
    pub(crate) fn verify_batches(&self) -> Vec<Result<(), DataError>> {
        match self.format() {
            Format::Binary | Format::Python => self.verify_files(),
            Format::BinaryArchive | Format::PythonArchive => {
                vec![self.verify_range(0..BATCH_NAMES.len())]
            }
        }
    }

    /// Hashes several files at a time.
    fn verify_files(&self) -> Vec<Result<(), DataError>> {
        let n_threads = thread::available_parallelism().map_or(1, NonZero::get).min(3);
        let share = BATCH_NAMES.len().div_ceil(n_threads);
        let mut results: Vec<_> = BATCH_NAMES.iter().map(|_| Ok(())).collect();
        thread::scope(|scope| {
            for (part, results) in results.chunks_mut(share).enumerate() {
                scope.spawn(move || {
                    for (batch, result) in (part * share..).zip(results) {
                        *result = self
                            .check_file(batch)
                            .and_then(|()| self.verify_range(batch..batch + 1));
                    }
                });
            }
        });
        results
    }

    fn verify_range(&self, batches: Range<usize>) -> Result<(), DataError> {
        self.each_batch(batches, |batch, path, records| self.verify_batch(batch, path, records))
    }

    fn verify_batch(
        &self,
        batch: usize,
        path: &Path,
        records: &mut dyn Read,
    ) -> Result<(), DataError> {
        let found =
            md5_of(records).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        check_md5(path, found, &self.facts().batches[batch].md5)
    }
}

/// Compares the MD5 of what is at `path` with the right one.
pub(crate) fn check_md5(path: &Path, found: String, expected: &str) -> Result<(), DataError> {
    if found == expected {
        return Ok(());
    }
    let (path, expected) = (path.to_owned(), expected.to_owned());
    Err(DataError::Checksum { path, found, expected })
}

/// An MD5 in the way that `md5sum` writes it.
pub(crate) fn hexadecimal(hasher: Md5) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn md5_of(mut reader: impl Read) -> std::io::Result<String> {
    let (mut hasher, mut block) = (Md5::new(), vec![0; BLOCK_LEN]);
    loop {
        let len = read_fully(&mut reader, &mut block)?;
        hasher.update(&block[..len]);
        if len < BLOCK_LEN {
            return Ok(hexadecimal(hasher));
        }
    }
}
