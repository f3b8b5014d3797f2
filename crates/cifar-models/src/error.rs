//! What can go wrong between an architecture's name and its saved weights.

use std::io;
use std::path::PathBuf;

use cifar_net::NetError;

use crate::NAMES;
use crate::torch_file::TorchFileError;

/// Why a network cannot be built, or its weights not read or written.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No architecture has that name.
    #[error("no model is called `{name}`; known are {}", NAMES.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
    },
    /// The architecture cannot be changed in that way.
    #[error("{model} takes no `network.{key}`; of these keys it takes {takes}")]
    Variant {
        /// The architecture.
        model: String,
        /// The key.
        key: &'static str,
        /// What it takes.
        takes: &'static str,
    },
    /// The architecture does not hold together, such as one for 0 classes.
    #[error(transparent)]
    Net(#[from] NetError),
    /// There is nothing to whiten, or nothing to whiten it by.
    #[error("cannot whiten {model}: {reason}")]
    Whitening {
        /// The network's name.
        model: String,
        /// What is missing.
        reason: &'static str,
    },
    /// The file cannot be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file is no safetensors file, or half of one.
    #[error("{path} is not a whole safetensors file ({reason}); copy or export it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The file is PyTorch's, but holds no weights that can be read.
    #[error("cannot use {path}: {reason}")]
    Torch {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: TorchFileError,
    },
    /// The tensors in the file are not those of the network.
    #[error("{path} does not hold weights of {model}: {hint}: {differences}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// The network's name.
        model: String,
        /// What the file may be instead.
        hint: String,
        /// Missing and unexpected tensors, and those of another shape or type. All of them, unless
        /// the file was recognised as another model's.
        differences: String,
    },
    /// An operation of candle's failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
