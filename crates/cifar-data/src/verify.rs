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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use cifar_testkit::write_synthetic;

    #[test]
    fn the_md5_is_that_of_md5sum() {
        // RFC 1321, section A.5.
        assert_eq!(md5_of(&b"abc"[..]).unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(md5_of(&b""[..]).unwrap(), "d41d8cd98f00b204e9800998ecf8427e");
        // Blocks are put together: two, and one that ends with its block.
        for len in [BLOCK_LEN, BLOCK_LEN + 1] {
            let bytes = vec![7; len];
            assert_eq!(md5_of(&bytes[..]).unwrap(), hexadecimal(Md5::new_with_prefix(&bytes)));
        }
    }

    #[test]
    fn a_flipped_bit_is_found_in_every_batch() {
        let dir = tempfile::tempdir().unwrap();
        let folder = write_synthetic(dir.path(), 10, 3).unwrap();
        verify(dir.path()).unwrap();
        for name in BATCH_NAMES {
            let path = folder.join(format!("{name}.bin"));
            let intact = fs::read(&path).unwrap();
            let mut damaged = intact.clone();
            damaged[20_000] ^= 1;
            fs::write(&path, damaged).unwrap();
            let error = verify(dir.path()).unwrap_err();
            assert!(matches!(&error, DataError::Checksum { path: named, .. } if *named == path));
            let text = error.to_string();
            assert!(text.contains(" is damaged: its MD5 is ") && text.contains("fetch-data"));
            fs::write(&path, intact).unwrap();
        }
        verify(dir.path()).unwrap();
    }

    #[test]
    fn every_file_of_a_folder_gets_its_own_verdict() {
        let dir = tempfile::tempdir().unwrap();
        let folder = write_synthetic(dir.path(), 10, 3).unwrap();
        fs::remove_file(folder.join("data_batch_2.bin")).unwrap();
        fs::write(folder.join("test_batch.bin"), "short").unwrap();
        let results = Cifar10::locate(dir.path()).unwrap().verify_batches();
        assert!(matches!(results[1], Err(DataError::Missing { .. })));
        assert!(matches!(results[5], Err(DataError::Size { found: 5, .. })));
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4);
    }
}
