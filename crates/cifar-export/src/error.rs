//! What can go wrong between a model and its file.

use std::io;
use std::path::PathBuf;

use cifar_models::ModelError;
use cifar_net::NetError;

/// Why a model could not be exported, or a file not be trusted.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The options ask for something in the graph of a format that has none.
    #[error(
        "{format} files hold tensors but no graph that could {wish}; choose torchscript or onnx"
    )]
    NoGraph {
        /// The format.
        format: &'static str,
        /// What the graph was to do.
        wish: &'static str,
    },
    /// A weight that f16 cannot hold.
    #[error("{tensor} holds {value}, which f16 cannot hold (at most 65504); export it as f32")]
    Range {
        /// The tensor's name.
        tensor: String,
        /// The first such value.
        value: f32,
    },
    /// A layer whose name cannot stand in code.
    #[error("the layer name `{name}` cannot be an attribute of a TorchScript class; rename it")]
    Name {
        /// The name.
        name: String,
    },
    /// The bytes are not a file of the format, or not one of this program.
    #[error("not a whole {format} file of this program ({reason}); export it again")]
    Damaged {
        /// The format.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file's logits are not the network's.
    #[error("the file does not answer as the network does: {difference}")]
    Differs {
        /// How much, and how much would do.
        difference: String,
    },
    /// The file system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A manifest that does not parse.
    #[error("{path} is no manifest of an exported file; export the file again")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Where it does not parse.
        source: serde_json::Error,
    },
    /// The architecture does not hold together.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The weights do not fit the architecture.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An operation of candle's failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
