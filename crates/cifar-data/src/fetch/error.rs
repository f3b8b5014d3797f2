//! Why data could not be fetched.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::DataError;

/// Why [`fetch`](super::fetch) gave up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The disk cannot be written.
    #[error("cannot write {path}; {}", write_remedy(.source))]
    Write {
        /// What was to be written.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The data folder cannot be read, or what it holds cannot be made out.
    #[error(transparent)]
    Unusable(DataError),
    /// The archive that the user named cannot be used.
    #[error("the archive cannot be used")]
    Archive(#[source] DataError),
    /// The user's own data set (one with a `dataset.json`) is not intact.
    #[error("the data set in {path} is described by its own dataset.json and does not match it")]
    OwnData {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        source: DataError,
    },
    /// Something is missing, and downloading is off.
    #[error(
        "the data are not complete and downloading is off; allow the download, or name \
         a cifar-10-binary.tar.gz with --archive FILE or another folder with --data-dir DIR"
    )]
    Offline(#[source] DataError),
    /// Every source failed.
    #[error("no source could serve CIFAR-10:{}", list(.failures))]
    AllSources {
        /// Why each did, in the order in which they were tried.
        failures: Vec<SourceFailure>,
    },
}

/// Why one source could not serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFailure {
    /// The source's name.
    pub source: &'static str,
    /// What went wrong, and what may help.
    pub reason: String,
}

impl FetchError {
    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }
}

fn write_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free 400 MB, or choose another place with --data-dir DIR"
        }
        _ => "check that you may write there, or choose another place with --data-dir DIR",
    }
}

fn list(failures: &[SourceFailure]) -> String {
    let mut text = String::new();
    for SourceFailure { source, reason } in failures {
        let _ = write!(text, "\n  {source}: {reason}");
    }
    text.push_str(
        "\ncheck the connection and run it again; or fetch cifar-10-binary.tar.gz on another \
         machine and name it with --archive FILE, or name a folder that holds CIFAR-10 with \
         --data-dir DIR",
    );
    text
}

/// An error and what caused it, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

/// Why one attempt at a source ended: decides what happens next.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// Our own disk: no other source would help.
    Local(FetchError),
    /// The source does not serve: try the next.
    Source(String),
    /// What was downloaded is not right: throw it away and try once more.
    Corrupt(DataError),
}

impl From<DataError> for Obstacle {
    fn from(error: DataError) -> Self {
        Self::Corrupt(error)
    }
}

impl From<FetchError> for Obstacle {
    fn from(error: FetchError) -> Self {
        Self::Local(error)
    }
}
