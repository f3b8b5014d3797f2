use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use cifar_files::{PendingFile, folder_of};

use crate::{Drawing, Format};

/// Why a picture or a page could not be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The path names a folder, or no file at all.
    #[error("cannot save {path}: that is a folder, name a file in it")]
    IsFolder {
        /// The path given.
        path: PathBuf,
    },
    /// The folder of the file is missing.
    #[error("cannot save {path}: the folder {folder} does not exist, create it first")]
    MissingFolder {
        /// The path given.
        path: PathBuf,
        /// Its folder.
        folder: PathBuf,
    },
    /// The file system refused: no space, no rights.
    #[error("cannot save {path}")]
    Write {
        /// The path given.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
}

impl Drawing {
    /// Saves the drawing at `path`, replacing a file that is there; the name need not end as files of
    /// `format` do.
    ///
    /// It is written to a temporary file in the same folder, flushed to disk and renamed, so
    /// that `path` holds either the old content or the whole new picture, even after a power cut. On an
    /// error the temporary file is removed.
    ///
    /// # Errors
    /// If `path` is a folder, its folder does not exist, or the file cannot be written; the error names
    /// the path.
    pub fn save(&self, path: &Path, format: Format) -> Result<(), ReportError> {
        save(path, |out| self.write(format, out))
    }
}

/// Writes a file at `path` so that a reader sees the old one or the whole new one.
pub(crate) fn save(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<PendingFile>) -> io::Result<()>,
) -> Result<(), ReportError> {
    if path.is_dir() || path.file_name().is_none() {
        return Err(ReportError::IsFolder { path: path.to_owned() });
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        let (path, folder) = (path.to_owned(), folder.to_owned());
        return Err(ReportError::MissingFolder { path, folder });
    }
    let put = || {
        let mut out = BufWriter::new(PendingFile::create(path)?);
        content(&mut out)?;
        out.into_inner()?.commit()
    };
    put().map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
