use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), ReportError> {
    if path.is_dir() || path.file_name().is_none() {
        return Err(ReportError::IsFolder { path: path.to_owned() });
    }
    let folder = folder_of(path);
    if !folder.is_dir() {
        let (path, folder) = (path.to_owned(), folder.to_owned());
        return Err(ReportError::MissingFolder { path, folder });
    }
    let temporary = folder.join(temporary_name());
    let result = write(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    result
        .and_then(|()| sync_folder(folder))
        .map_err(|source| ReportError::Write { path: path.to_owned(), source })
}

/// The parent of a bare file name is empty and means the current folder.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A hidden name that no other process and no other thread of this one uses.
fn temporary_name() -> String {
    static N_SAVED: AtomicU64 = AtomicU64::new(0);
    let number = N_SAVED.fetch_add(1, Ordering::Relaxed);
    format!(".{}-{number}.report.tmp", std::process::id())
}

fn write(
    path: &Path,
    content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    content(&mut out)?;
    out.flush()?;
    out.get_ref().sync_all()
}

/// Makes the rename itself durable; only Unix can open a folder for that.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests;
