//! The folder that holds everything of one run.
//!
//! ```text
//! config.toml                 the resolved recipe
//! metrics.jsonl metrics.csv   every step and epoch
//! events.out.tfevents.*       the same and more for TensorBoard, one file a sitting
//! checkpoints/last/           model.safetensors optimizer.safetensors state.json
//! checkpoints/best/           the same, of the best validation accuracy
//! summary.json                the result, once there is one
//! run.lock                    held by the process that trains
//! ```

use std::fs::{self, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use cifar_files::folder_of;
use serde::Serialize;

use crate::checkpoint::CheckpointStore;
use crate::recipe::{Recipe, RecipeError};

const CONFIG: &str = "config.toml";

const LOCK: &str = "run.lock";

/// A run's folder on disk.
#[derive(Debug, Clone)]
pub struct RunFolder {
    path: PathBuf,
}

/// A run that no other process trains meanwhile; see [`RunFolder::lock`].
#[derive(Debug)]
pub struct RunLock {
    _file: fs::File,
}

/// A run folder that cannot be made, opened or written to.
#[derive(Debug, thiserror::Error)]
pub enum RunFolderError {
    /// The place is taken.
    #[error(
        "{0} already exists; choose another folder with --out, or go on with that run by --resume"
    )]
    Taken(PathBuf),
    /// There is no run there.
    #[error(
        "{path} holds no run: it has no {CONFIG}; give the folder that `train` printed, such as runs/<name>"
    )]
    NotARun {
        /// The folder given.
        path: PathBuf,
    },
    /// Another process trains it.
    #[error("{0} is being trained by another process; wait for it, or stop it with Ctrl-C")]
    InUse(PathBuf),
    /// Its recipe does not parse.
    #[error("cannot use {path}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        source: RecipeError,
    },
    /// A resolved recipe has no TOML form.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl RunFolder {
    /// Makes the folder with the recipe in it: both are there, or neither.
    ///
    /// # Errors
    /// [`RunFolderError::Taken`] where `path` exists and is not an empty folder.
    pub fn create(path: &Path, recipe: &Recipe) -> Result<Self, RunFolderError> {
        if path.read_dir().map_or_else(|_| path.exists(), |mut entries| entries.next().is_some()) {
            return Err(RunFolderError::Taken(path.to_owned()));
        }
        let config = recipe.to_toml()?;
        let parent = folder_of(path);
        fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        let fresh = tempfile::Builder::new()
            .prefix(".new-run-")
            .tempdir_in(parent)
            .map_err(io_error("create a folder in", parent))?;
        let written = fresh.path().join(CONFIG);
        cifar_files::write_in_place(&written, config.as_bytes())
            .map_err(io_error("write", &written))?;
        // A temporary folder is private; a run is as open as any other new folder of the user's.
        share(fresh.path(), parent);
        fs::rename(fresh.path(), path).map_err(io_error("create", path))?;
        let _renamed = fresh.keep();
        Ok(Self { path: path.to_owned() })
    }

    /// An existing run.
    ///
    /// # Errors
    /// [`RunFolderError::NotARun`] where there is none.
    pub fn open(path: &Path) -> Result<Self, RunFolderError> {
        if path.join(CONFIG).is_file() {
            Ok(Self { path: path.to_owned() })
        } else {
            Err(RunFolderError::NotARun { path: path.to_owned() })
        }
    }

    /// Keeps other processes from training this run as long as the result lives. The system lets go
    /// of it when the process ends, however it ends.
    ///
    /// # Errors
    /// [`RunFolderError::InUse`] where another process has it.
    pub fn lock(&self) -> Result<RunLock, RunFolderError> {
        let path = self.path.join(LOCK);
        let options = fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = options.map_err(io_error("write", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(RunLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(RunFolderError::InUse(self.path.clone())),
            Err(TryLockError::Error(source)) => Err(io_error("lock", &path)(source)),
        }
    }

    /// Whether a process trains it now.
    pub fn is_in_use(&self) -> bool {
        // Shared and let go of at once: nobody is kept from the run by looking at it.
        let file = fs::File::open(self.path.join(LOCK));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The recipe that the run was made with.
    ///
    /// # Errors
    /// [`RunFolderError::Config`] where the file does not parse.
    pub fn recipe(&self) -> Result<Recipe, RunFolderError> {
        let path = self.path.join(CONFIG);
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        Recipe::from_toml(&text, &[]).map_err(|source| RunFolderError::Config { path, source })
    }

    /// Its checkpoints.
    pub fn checkpoints(&self) -> CheckpointStore {
        CheckpointStore::new(self.path.join("checkpoints"))
    }

    /// Path of the log of steps and epochs, one JSON object a line.
    pub fn metrics_jsonl(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Path of the log of steps as CSV.
    pub fn metrics_csv(&self) -> PathBuf {
        self.path.join("metrics.csv")
    }

    /// Writes `value` as JSON to `name` in the folder, whole or not at all.
    ///
    /// # Errors
    /// [`RunFolderError::Io`]; an earlier file of that name is then untouched.
    pub fn write_json(
        &self,
        name: &str,
        value: &impl Serialize,
    ) -> Result<PathBuf, RunFolderError> {
        let path = self.path.join(name);
        let mut json =
            serde_json::to_vec_pretty(value).map_err(|e| io_error("write", &path)(e.into()))?;
        json.push(b'\n');
        cifar_files::write(&path, &json).map_err(io_error("write", &path))?;
        Ok(path)
    }
}

/// Gives `path` the permissions of `like`; where that fails it stays private, which is safe.
fn share(path: &Path, like: &Path) {
    if let Ok(metadata) = fs::metadata(like) {
        let _ = fs::set_permissions(path, metadata.permissions());
    }
}

fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> RunFolderError + 'a {
    move |source| RunFolderError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
