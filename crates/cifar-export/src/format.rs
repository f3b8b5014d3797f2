//! The file formats.

use serde::{Deserialize, Serialize};

use crate::{ExportError, Metadata, Reread, Subject, onnx, safetensors, torchscript};

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Tensors alone, under the names of PyTorch's `state_dict`.
    Safetensors,
    /// An archive that `torch.jit.load` opens.
    TorchScript,
    /// A graph of operators for onnxruntime and other runtimes.
    Onnx,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Safetensors, Self::TorchScript, Self::Onnx];

    /// Its name in commands and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
            Self::TorchScript => "torchscript",
            Self::Onnx => "onnx",
        }
    }

    /// The file's bytes, a function of the arguments alone.
    ///
    /// # Errors
    /// [`ExportError::NoGraph`] where the options ask for what the format cannot hold.
    pub fn write(self, subject: &Subject, metadata: &Metadata) -> Result<Vec<u8>, ExportError> {
        match self {
            Self::Safetensors => safetensors::write(subject, metadata),
            Self::TorchScript => torchscript::write(subject, metadata),
            Self::Onnx => onnx::write(subject, metadata),
        }
    }

    /// A file's bytes as something that can be run. `subject` says what the format does not: the
    /// size of images, and for a format without a graph the architecture.
    ///
    /// # Errors
    /// [`ExportError::Damaged`] where they are not what [`Format::write`] would write.
    pub fn reread(self, bytes: &[u8], subject: &Subject) -> Result<Box<dyn Reread>, ExportError> {
        match self {
            Self::Safetensors => safetensors::reread(bytes, &subject.net),
            Self::TorchScript => torchscript::reread(bytes, &subject.net),
            Self::Onnx => onnx::reread(bytes),
        }
    }
}
