//! The folder in which downloads lie until they are used.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use super::error::FetchError;

/// `.download` in the data folder. One process at a time works in a data folder.
///
/// Dropped, it removes itself if no unfinished download lies in it.
pub(super) struct Workspace {
    folder: PathBuf,
    /// The data folder, locked until dropped. `None` where folders cannot be locked (Windows,
    /// some network file systems): two processes may then disturb each other's downloads, but
    /// the MD5s still guard the files.
    _lock: Option<File>,
}

impl Workspace {
    /// Makes the folders if need be and waits until no other process works in them; `waiting` is
    /// called first if one does.
    pub(super) fn enter(data_dir: &Path, waiting: impl FnOnce()) -> Result<Self, FetchError> {
        let folder = data_dir.join(".download");
        fs::create_dir_all(data_dir).map_err(FetchError::write(data_dir))?;
        let lock = lock(data_dir, waiting);
        fs::create_dir_all(&folder).map_err(FetchError::write(&folder))?;
        Ok(Self { folder, _lock: lock })
    }

    /// Where a download called `name` lies.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Removes the downloads.
    pub(super) fn clear(self) -> Result<(), FetchError> {
        fs::remove_dir_all(&self.folder).map_err(FetchError::write(&self.folder))
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        // Fails, as it should, where an unfinished download lies in it.
        let _ = fs::remove_dir(&self.folder);
    }
}

fn lock(folder: &Path, waiting: impl FnOnce()) -> Option<File> {
    let lock = File::open(folder).ok()?;
    match lock.try_lock() {
        Ok(()) => Some(lock),
        Err(TryLockError::WouldBlock) => {
            waiting();
            lock.lock().ok().map(|()| lock)
        }
        Err(TryLockError::Error(_)) => None,
    }
}
