//! Checkpoints: folders that are either whole or not there.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use crate::example_losses::ExampleLosses;
use crate::state::{FORMAT, TrainState};

const MODEL: &str = "model.safetensors";
const EMA: &str = "ema.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const EXAMPLE_LOSSES: &str = "example_losses.safetensors";
const STATE: &str = "state.json";

/// Which of a run's checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The latest.
    Last,
    /// The one with the best validation accuracy.
    Best,
    /// The state just before a step whose loss or gradient was not finite.
    NonFinite,
}

impl Slot {
    /// Name of its folder.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Last => "last",
            Self::Best => "best",
            Self::NonFinite => "non-finite",
        }
    }
}

/// All that a run needs to go on as if it had never stopped.
#[derive(Debug)]
pub struct Snapshot {
    /// Weights and buffers under PyTorch's names.
    pub model: BTreeMap<String, Tensor>,
    /// Averaged weights, where the recipe asks for them.
    pub ema: Option<BTreeMap<String, Tensor>>,
    /// The optimiser's state.
    pub optimizer: BTreeMap<String, Tensor>,
    /// The losses of the training images; empty where an older program, which did not keep them,
    /// saved it.
    pub example_losses: ExampleLosses,
    /// Position and sums.
    pub state: TrainState,
}

/// A checkpoint that cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The disk refused.
    #[error("cannot {action} {path}; free space or check its permissions, then resume the run")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// There is no such checkpoint.
    #[error(
        "no checkpoint at {0}; a run has one after its first epoch or `checkpoint-every` steps"
    )]
    Missing(PathBuf),
    /// A file is not what it should be.
    #[error("{path} is damaged ({reason}); restore it from a copy or start the run again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tensor could not be copied.
    #[error("cannot copy a tensor of the checkpoint")]
    Tensor(#[from] candle_core::Error),
}

/// The `checkpoints` folder of a run.
#[derive(Debug, Clone)]
pub struct CheckpointStore {
    dir: PathBuf,
}

impl CheckpointStore {
    /// Checkpoints under `dir`, which is made when the first one is saved.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into() }
    }

    /// Folder of a checkpoint, whether or not it is there.
    pub fn path(&self, slot: Slot) -> PathBuf {
        self.dir.join(slot.folder())
    }

    /// Whether a checkpoint is there.
    pub fn contains(&self, slot: Slot) -> bool {
        self.path(slot).is_dir() || self.retired(slot).is_dir()
    }

    /// The checkpoint that a run is judged by: the best on validation, or the last where nothing
    /// was held out (or no epoch has ended yet).
    pub fn reported(&self) -> Slot {
        if self.contains(Slot::Best) { Slot::Best } else { Slot::Last }
    }

    /// The weights to evaluate: the averaged ones where the checkpoint has them.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`] where there is no such checkpoint.
    pub fn evaluation_weights(&self, slot: Slot) -> Result<PathBuf, CheckpointError> {
        let dir = self.recover(slot)?;
        let averaged = dir.join(EMA);
        Ok(if averaged.is_file() { averaged } else { dir.join(MODEL) })
    }

    /// Saves a checkpoint in the place of an earlier one.
    ///
    /// All files are written and synced in a new folder which then takes the name, so that
    /// a process killed at any moment leaves the earlier checkpoint or the new one.
    ///
    /// # Errors
    /// [`CheckpointError::Io`]; the earlier checkpoint is then untouched.
    pub fn save(&self, slot: Slot, snapshot: &Snapshot) -> Result<PathBuf, CheckpointError> {
        let (path, fresh, retired) = (self.path(slot), self.fresh(slot), self.retired(slot));
        remove_dir(&fresh)?;
        fs::create_dir_all(&fresh).map_err(io_error("create", &fresh))?;
        if let Err(error) = write_snapshot(&fresh, snapshot) {
            // The error at hand says more than one about the clean-up would.
            let _ = fs::remove_dir_all(&fresh);
            return Err(error);
        }
        if path.is_dir() {
            remove_dir(&retired)?;
            fs::rename(&path, &retired).map_err(io_error("rename", &path))?;
        }
        fs::rename(&fresh, &path).map_err(io_error("rename", &fresh))?;
        sync_dir(&self.dir)?;
        remove_dir(&retired)?;
        Ok(path)
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`CheckpointError::Missing`], or [`CheckpointError::Damaged`] naming the file.
    pub fn load(&self, slot: Slot) -> Result<Snapshot, CheckpointError> {
        let dir = self.recover(slot)?;
        let averaged = dir.join(EMA);
        Ok(Snapshot {
            model: read_tensors(&dir.join(MODEL))?,
            ema: averaged.is_file().then(|| read_tensors(&averaged)).transpose()?,
            optimizer: read_tensors(&dir.join(OPTIMIZER))?,
            example_losses: read_example_losses(&dir.join(EXAMPLE_LOSSES))?,
            state: read_state(&dir.join(STATE))?,
        })
    }

    /// The losses of the training images alone; empty where an older program saved the checkpoint.
    ///
    /// # Errors
    /// As [`CheckpointStore::load`].
    pub fn example_losses(&self, slot: Slot) -> Result<ExampleLosses, CheckpointError> {
        read_example_losses(&self.recover(slot)?.join(EXAMPLE_LOSSES))
    }

    /// The checkpoint's folder; where a process died between the two renames of
    /// [`CheckpointStore::save`], the earlier one gets its name back.
    fn recover(&self, slot: Slot) -> Result<PathBuf, CheckpointError> {
        let (path, retired) = (self.path(slot), self.retired(slot));
        if !path.is_dir() {
            if !retired.is_dir() {
                return Err(CheckpointError::Missing(path));
            }
            fs::rename(&retired, &path).map_err(io_error("rename", &retired))?;
        }
        Ok(path)
    }

    fn fresh(&self, slot: Slot) -> PathBuf {
        self.dir.join(format!(".{}.new", slot.folder()))
    }

    fn retired(&self, slot: Slot) -> PathBuf {
        self.dir.join(format!(".{}.old", slot.folder()))
    }
}

fn write_snapshot(dir: &Path, snapshot: &Snapshot) -> Result<(), CheckpointError> {
    write_tensors(&dir.join(MODEL), &snapshot.model)?;
    write_tensors(&dir.join(OPTIMIZER), &snapshot.optimizer)?;
    if let Some(ema) = &snapshot.ema {
        write_tensors(&dir.join(EMA), ema)?;
    }
    if !snapshot.example_losses.is_empty() {
        write_tensors(&dir.join(EXAMPLE_LOSSES), &snapshot.example_losses.tensors()?)?;
    }
    let path = dir.join(STATE);
    let json = serde_json::to_vec_pretty(&snapshot.state)
        .map_err(|e| CheckpointError::Damaged { path: path.clone(), reason: e.to_string() })?;
    write(&path, &json)?;
    sync_dir(dir)
}

fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>) -> Result<(), CheckpointError> {
    let bytes = safetensors::serialize(tensors, None)
        .map_err(|e| CheckpointError::Damaged { path: path.to_owned(), reason: e.to_string() })?;
    write(path, &bytes)
}

fn read_tensors(path: &Path) -> Result<BTreeMap<String, Tensor>, CheckpointError> {
    let damaged = |reason: String| CheckpointError::Damaged { path: path.to_owned(), reason };
    let bytes = fs::read(path).map_err(|e| damaged(e.to_string()))?;
    let tensors: HashMap<String, Tensor> =
        candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
            .map_err(|e| damaged(e.to_string()))?;
    Ok(tensors.into_iter().collect())
}

fn read_example_losses(path: &Path) -> Result<ExampleLosses, CheckpointError> {
    if !path.is_file() {
        return Ok(ExampleLosses::default());
    }
    ExampleLosses::from_tensors(&read_tensors(path)?)
        .map_err(|reason| CheckpointError::Damaged { path: path.to_owned(), reason })
}

fn read_state(path: &Path) -> Result<TrainState, CheckpointError> {
    let damaged = |reason: String| CheckpointError::Damaged { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|e| damaged(e.to_string()))?;
    let state: TrainState = serde_json::from_str(&text).map_err(|e| damaged(e.to_string()))?;
    if state.format != FORMAT {
        return Err(damaged(format!(
            "layout version {}, this program reads {FORMAT}",
            state.format
        )));
    }
    Ok(state)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), CheckpointError> {
    cifar_files::write_in_place(path, bytes).map_err(io_error("write", path))
}

fn sync_dir(dir: &Path) -> Result<(), CheckpointError> {
    cifar_files::sync_folder(dir).map_err(io_error("sync", dir))
}

fn remove_dir(dir: &Path) -> Result<(), CheckpointError> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", dir)(e)),
        _ => Ok(()),
    }
}

fn io_error<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> CheckpointError + 'a {
    move |source| CheckpointError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests;
