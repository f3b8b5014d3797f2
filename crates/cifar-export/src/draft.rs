//! A file that is not in its place until it is proven.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cifar_files::PendingFile;

use crate::{ExportError, Manifest};

/// Bytes on their way to a path: on disk in its folder under a hidden name, which goes when the
/// draft is dropped.
#[derive(Debug)]
pub struct Draft {
    path: PathBuf,
    file: PendingFile,
}

impl Draft {
    /// Writes `bytes` to the disk, flushed, for the place `path`.
    ///
    /// # Errors
    /// [`ExportError::Io`], also where `path` is a folder or its folder is missing.
    pub fn write(path: &Path, bytes: &[u8]) -> Result<Self, ExportError> {
        let written = pending(path, bytes).map_err(io_error("write", path))?;
        Ok(Self { path: path.to_owned(), file: written })
    }

    /// The bytes as they are on the disk.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn read_back(&self) -> Result<Vec<u8>, ExportError> {
        fs::read(self.file.hidden()).map_err(io_error("read", self.file.hidden()))
    }

    /// Moves file and manifest to their places, replacing what is there.
    ///
    /// # Errors
    /// [`ExportError::Io`]; where the manifest cannot be written, the file is not there either.
    pub fn place(self, manifest: &Manifest) -> Result<(), ExportError> {
        let beside = Manifest::path_of(&self.path);
        let mut json = serde_json::to_vec_pretty(manifest).map_err(io::Error::from);
        if let Ok(json) = &mut json {
            json.push(b'\n');
        }
        let put = json.and_then(|json| cifar_files::write(&beside, &json));
        put.map_err(io_error("write", &beside))?;
        self.file.commit().map_err(io_error("write", &self.path))
    }
}

/// A file for `path` with `bytes` in it.
fn pending(path: &Path, bytes: &[u8]) -> io::Result<PendingFile> {
    let mut file = PendingFile::create(path)?;
    file.write_all(bytes)?;
    Ok(file)
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ExportError {
    move |source| ExportError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use cifar_testkit::names_in;

    use super::*;
    use crate::{Comparison, Dtype, Format, Subject, Tolerance, test_models};

    #[test]
    fn a_draft_that_is_not_placed_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pt");
        fs::write(&path, "the old one").unwrap();
        let draft = Draft::write(&path, b"bytes").unwrap();
        assert_eq!(draft.read_back().unwrap(), b"bytes");
        drop(draft);
        assert_eq!(names_in(folder.path()), ["model.pt"]);
        assert_eq!(fs::read(&path).unwrap(), b"the old one");
    }

    #[test]
    fn file_and_manifest_come_together_and_vouch_for_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.pt");
        let model = test_models::residual(1.0);
        let subject = Subject::new(&model, &test_models::options()).unwrap();
        let check = Comparison::default().finish(Tolerance::of(Dtype::F32));
        let check =
            crate::Check { mean_abs_difference: 0.0, top1_agreement: 1.0, accuracy: 1.0, ..check };
        let metadata = test_models::metadata();
        let manifest = Manifest::new(Format::TorchScript, b"bytes", &subject, &metadata, check);
        Draft::write(&path, b"bytes").unwrap().place(&manifest).unwrap();
        assert_eq!(names_in(folder.path()), ["model.pt", "model.pt.manifest.json"]);
        let found = Manifest::read(&path).unwrap();
        assert_eq!(found, manifest);
        found.vouch_for(b"bytes").unwrap();
        for other in [&b"byte"[..], b"Bytes"] {
            assert!(found.vouch_for(other).is_err());
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_to_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("none/x");
        for (path, reason) in [(folder.path(), "that is a folder"), (&absent, "create it first")] {
            let refused = Draft::write(path, b"x").unwrap_err();
            assert_eq!(refused.to_string(), format!("cannot write {}", path.display()));
            let source = std::error::Error::source(&refused).unwrap().to_string();
            assert!(source.contains(reason), "{source}");
        }
    }
}
