//! Files that are whole or not there.
//!
//! What is written lies under a hidden name in the folder of its place until all of it is on the
//! disk, and takes the place by renaming. Whoever reads finds the old file or the new one, never a
//! part, whether the writer fails, is killed or loses its power. On an error nothing is left behind;
//! a killed process leaves its hidden file.
//!
//! ```
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("figures.csv");
//! cifar_files::write(&path, b"epoch,loss\n")?;
//! assert_eq!(std::fs::read(&path)?, b"epoch,loss\n");
//! # Ok::<(), std::io::Error>(())
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file on its way to its place. Dropped before [`commit`](Self::commit), it leaves nothing behind.
#[derive(Debug)]
pub struct PendingFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl PendingFile {
    /// An empty one for the place `path`, whose folder is there. It is as open to others as any new
    /// file of the user's.
    ///
    /// # Errors
    /// A folder that is at the place, is missing (both errors say what helps) or cannot be written to.
    pub fn create(path: &Path) -> io::Result<Self> {
        let Some(name) = path.file_name().filter(|_| !path.is_dir()) else {
            let reason = "that is a folder, name a file in it";
            return Err(io::Error::new(io::ErrorKind::IsADirectory, reason));
        };
        let folder = folder_of(path);
        if !folder.is_dir() {
            let reason = format!("the folder {} does not exist, create it first", folder.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, reason));
        }
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        prefix.push(".");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".tmp");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // What the user's umask takes away is taken away from this too.
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(folder)?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Where its bytes lie meanwhile.
    pub fn hidden(&self) -> &Path {
        self.file.path()
    }

    /// Brings the bytes to the disk and the file to its place, replacing a file that is there.
    ///
    /// # Errors
    /// A full disk; a folder at the place. What was there is then untouched.
    pub fn commit(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        self.file.persist(&self.path).map_err(|refused| refused.error)?;
        sync_folder(folder_of(&self.path))
    }
}

impl Write for PendingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes `bytes` to `path`, whole or not at all.
///
/// # Errors
/// Those of [`PendingFile::create`] and [`PendingFile::commit`].
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = PendingFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// Writes `bytes` to `path` and to the disk, for a folder that will take its own place whole: a failure
/// may leave a part of them.
///
/// # Errors
/// A full disk, a folder that is missing or cannot be written to.
pub fn write_in_place(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The folder that `path` lies in; the parent of a bare file name is empty and means the current one.
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes new and changed names in `folder` durable. Only Unix can open a folder for that; elsewhere
/// this does nothing.
///
/// # Errors
/// A folder that is missing or cannot be opened.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests;
