//! Finding and reading CIFAR-10, in whichever form it is there.

use std::path::{Path, PathBuf};

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::facts::{BATCH_NAMES, CLASS_NAMES, Facts, TEST_BATCH, TRAIN_BATCHES};
use crate::records::{Records, append_file, check_size};

/// In which form the data lie on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `cifar-10-batches-bin`: the official binary version.
    Binary,
}

/// A CIFAR-10 that was found and whose files have the right sizes.
#[derive(Debug, Clone)]
pub struct Cifar10 {
    folder: PathBuf,
    facts: Facts,
}

impl Cifar10 {
    /// Finds the data at `path`.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let inner = path.join("cifar-10-batches-bin");
        let folder = if inner.is_dir() { inner } else { path.to_owned() };
        let file = |i: usize| folder.join(format!("{}.bin", BATCH_NAMES[i]));
        if !(0..6).any(|i| file(i).is_file()) {
            return Err(DataError::NotFound { path: path.to_owned() });
        }
        let facts = Facts::of_folder(&folder)?;
        for i in 0..6 {
            let path = file(i);
            match std::fs::metadata(&path) {
                Ok(meta) => check_size(&path, meta.len(), facts.batches[i].records)?,
                Err(_) => return Err(DataError::Missing { path }),
            }
        }
        Ok(Self { folder, facts })
    }

    /// The training images.
    pub fn train(&self) -> Result<Dataset, DataError> {
        self.read(TRAIN_BATCHES)
    }

    /// The test images.
    pub fn test(&self) -> Result<Dataset, DataError> {
        self.read(TEST_BATCH..TEST_BATCH + 1)
    }

    /// In which form the data are.
    pub fn format(&self) -> Format {
        Format::Binary
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    fn read(&self, batches: std::ops::Range<usize>) -> Result<Dataset, DataError> {
        let n = batches.clone().map(|i| self.facts.batches[i].records).sum();
        let mut records = Records::with_capacity(n);
        for i in batches {
            append_file(&self.folder.join(format!("{}.bin", BATCH_NAMES[i])), self.facts.batches[i].records, &mut records)?;
        }
        Dataset::new(records.images, records.labels, CLASS_NAMES.map(str::to_owned).to_vec())
    }
}
