//! What a complete CIFAR-10 holds: names, record counts, checksums.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::error::DataError;

/// The ten classes; a label is an index into this list.
pub const CLASS_NAMES: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// The six batches, in the order in which they are read: five for training, one for the test.
pub const BATCH_NAMES: [&str; 6] =
    ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

/// Where in [`BATCH_NAMES`] the training batches lie.
pub const TRAIN_BATCHES: std::ops::Range<usize> = 0..5;

/// Where in [`BATCH_NAMES`] the test batch lies.
pub const TEST_BATCH: usize = 5;

/// Records of each official batch.
const OFFICIAL_RECORDS: usize = 10_000;

/// Records that a batch of another set may have: 3 GB.
const MAX_RECORDS: usize = 1_000_000;

/// MD5s of the official binary batches, in the order of [`BATCH_NAMES`].
const OFFICIAL_MD5: [&str; 6] = [
    "5dd7e06a14cb22eb9f671a540d1b7c25",
    "5ea93a67294ea407fff1d09f752e9692",
    "942cd6a4bcdd0dd3c604fbe906cb4421",
    "ae636b3ba5c66a11e91e8cb52e771fcb",
    "53f37980c15c3d472c316c40844f3f0d",
    "803d5f7f4d78ea53de84dbe85f74fb6d",
];

/// File beside the batches that states the facts of a set other than the official one.
const FACTS_FILE: &str = "dataset.json";

/// What one batch must be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchFacts {
    /// Labelled pictures in the batch.
    pub(crate) records: usize,
    /// MD5, in lower-case hexadecimal, of the batch in the official binary layout.
    pub(crate) md5: String,
}

/// What the six batches of a set must be, in the order of [`BATCH_NAMES`].
///
/// They are the official ones unless the folder holds a `dataset.json`, which then replaces them
/// as a whole:
///
/// ```json
/// {"batches": {"data_batch_1": {"records": 200, "md5": "…"}, …, "test_batch": {…}}}
/// ```
///
/// So a small set for a test has to say that it is small, and a truncated official file can
/// never be mistaken for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) batches: [BatchFacts; 6],
    /// Whether these are the facts of the official files.
    pub(crate) official: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FactsFile {
    batches: BTreeMap<String, BatchFacts>,
}

impl Facts {
    /// The facts of the official files.
    pub(crate) fn official() -> Self {
        let batch = |md5: &str| BatchFacts { records: OFFICIAL_RECORDS, md5: md5.to_owned() };
        Self { batches: OFFICIAL_MD5.map(batch), official: true }
    }

    /// The facts that hold in `folder`.
    pub(crate) fn of_folder(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(FACTS_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|reason| DataError::FactsFile { path, reason }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::official()),
            Err(source) => Err(DataError::Read { path, source }),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: FactsFile = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if let Some(name) = file.batches.keys().find(|name| !BATCH_NAMES.contains(&name.as_str())) {
            return Err(format!("unknown batch `{name}`, expected {}", BATCH_NAMES.join(", ")));
        }
        let mut batches = Self::official().batches;
        for (batch, name) in batches.iter_mut().zip(BATCH_NAMES) {
            let found =
                file.batches.get(name).ok_or_else(|| format!("batch `{name}` is missing"))?;
            if found.records > MAX_RECORDS {
                return Err(format!("batch `{name}` has more than {MAX_RECORDS} records"));
            }
            batch.clone_from(found);
        }
        Ok(Self { batches, official: false })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(names: &[&str]) -> String {
        let batches: Vec<String> = names
            .iter()
            .map(|name| format!(r#""{name}": {{"records": 7, "md5": "ab"}}"#))
            .collect();
        format!(r#"{{"batches": {{{}}}}}"#, batches.join(", "))
    }

    #[test]
    fn a_file_replaces_the_official_facts() {
        let facts = Facts::parse(&text(&BATCH_NAMES)).unwrap();
        assert!(!facts.official);
        assert!(facts.batches.iter().all(|batch| batch.records == 7 && batch.md5 == "ab"));
    }

    #[test]
    fn every_batch_must_be_stated() {
        let error = Facts::parse(&text(&BATCH_NAMES[..5])).unwrap_err();
        assert_eq!(error, "batch `test_batch` is missing");
    }

    #[test]
    fn an_unknown_batch_is_refused() {
        let error = Facts::parse(&text(&["data_batch_6"])).unwrap_err();
        assert!(
            error.starts_with("unknown batch `data_batch_6`, expected data_batch_1, "),
            "{error}"
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let error = Facts::parse(r#"{"batches": {}, "size": 1}"#).unwrap_err();
        assert!(error.contains("unknown field `size`"), "{error}");
    }

    #[test]
    fn a_folder_without_a_file_is_official() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Facts::of_folder(folder.path()).unwrap(), Facts::official());
    }
}
