use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use cifar_files::PendingFile;

use crate::{Drawing, Format};

/// A picture or a page that could not be saved.
#[derive(Debug, thiserror::Error)]
#[error("cannot save {path}")]
#[non_exhaustive]
pub struct ReportError {
    /// The path given.
    pub path: PathBuf,
    /// Why, and what helps: a folder in the place of the file or none for it, no space, no rights.
    pub source: io::Error,
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
    let put = || {
        let mut out = BufWriter::new(PendingFile::create(path)?);
        content(&mut out)?;
        out.into_inner()?.commit()
    };
    put().map_err(|source| ReportError { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
