//! The description beside a file.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Check, ExportError, Folding, Format, Metadata, Options, Subject};

/// `FILE.manifest.json`: what the file is, and what proved it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its format.
    pub format: Format,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, hexadecimal. Runtimes open a file with a flipped bit without a word.
    pub sha256: String,
    /// What was asked for.
    pub options: Options,
    /// What the graph takes, in words.
    pub input: String,
    /// What it gives, in words.
    pub output: String,
    /// What became of the batch norms.
    pub batch_norms: Folding,
    /// The network, its classes and where it is from.
    pub metadata: Metadata,
    /// The file's logits against the network's.
    pub check: Check,
}

impl Manifest {
    /// Describes `bytes`, written from `subject`.
    pub fn new(
        format: Format,
        bytes: &[u8],
        subject: &Subject,
        metadata: &Metadata,
        check: Check,
    ) -> Self {
        Self {
            format,
            bytes: bytes.len() as u64,
            sha256: sha256(bytes),
            options: subject.options.clone(),
            input: subject.options.input().to_owned(),
            output: format!("logits, f32 (N, {})", subject.net.n_classes),
            batch_norms: subject.folding.clone(),
            metadata: metadata.clone(),
            check,
        }
    }

    /// Where the manifest of the file at `path` is.
    pub fn path_of(path: &Path) -> PathBuf {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".manifest.json");
        path.with_file_name(name)
    }

    /// The manifest beside the file at `path`.
    ///
    /// # Errors
    /// [`ExportError::Io`] where there is none, [`ExportError::Manifest`] where it does not parse.
    pub fn read(path: &Path) -> Result<Self, ExportError> {
        let path = Self::path_of(path);
        let read =
            |source: io::Error| ExportError::Io { action: "read", path: path.clone(), source };
        let bytes = fs::read(&path).map_err(read)?;
        serde_json::from_slice(&bytes)
            .map_err(|source| ExportError::Manifest { path: path.clone(), source })
    }

    /// Whether `bytes` are those it describes.
    ///
    /// # Errors
    /// [`ExportError::Damaged`] where length or SHA-256 differ.
    pub fn vouch_for(&self, bytes: &[u8]) -> Result<(), ExportError> {
        let damaged = |reason| Err(ExportError::Damaged { format: self.format.name(), reason });
        if bytes.len() as u64 != self.bytes {
            return damaged(format!("{} bytes, its manifest says {}", bytes.len(), self.bytes));
        }
        let found = sha256(bytes);
        if found != self.sha256 {
            return damaged(format!("SHA-256 {found}, its manifest says {}", self.sha256));
        }
        Ok(())
    }
}

/// The SHA-256 of `bytes`, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
