//! The file formats.

use serde::{Deserialize, Serialize};

use crate::{ExportError, Metadata, Reread, Subject, safetensors};

/// A file format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Tensors alone, under the names of PyTorch's `state_dict`.
    Safetensors,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Safetensors];

    /// Its name in commands and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Safetensors => "safetensors",
        }
    }

    /// The file's bytes, a function of the arguments alone.
    ///
    /// # Errors
    /// [`ExportError::NoGraph`] where the options ask for what the format cannot hold.
    pub fn write(self, subject: &Subject, metadata: &Metadata) -> Result<Vec<u8>, ExportError> {
        match self {
            Self::Safetensors => safetensors::write(subject, metadata),
        }
    }

    /// A file's bytes as something that can be run. `subject` serves only formats without a graph,
    /// for their architecture.
    ///
    /// # Errors
    /// [`ExportError::Damaged`] where they are not what [`Format::write`] would write.
    pub fn reread(self, bytes: &[u8], subject: &Subject) -> Result<Box<dyn Reread>, ExportError> {
        match self {
            Self::Safetensors => safetensors::reread(bytes, &subject.net),
        }
    }
}
