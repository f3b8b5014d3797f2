//! Fetching a set of three pictures a batch from servers and archives that behave and misbehave.

mod archives;
mod disk;
mod network;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cifar_testkit::names_in;
use md5::{Digest, Md5};
use tempfile::TempDir;

use super::download::Patience;
use super::sources::Sources;
use super::{FetchError, FetchOptions, Fetched, Progress, ServedBy};
use crate::cifar10::Format;
use crate::facts::{BATCH_NAMES, BatchFacts, Facts};
use crate::records::RECORD_LEN;
use crate::verify::hexadecimal;

const RECORDS: usize = 3;

/// A small set, where it is to go, and what was reported on the way.
struct World {
    batches: Vec<Vec<u8>>,
    sources: Sources,
    options: FetchOptions,
    reports: Vec<Progress>,
    data_dir: TempDir,
}

impl World {
    fn new() -> Self {
        let batches: Vec<Vec<u8>> = (0..BATCH_NAMES.len()).map(records).collect();
        let facts = |i: usize| BatchFacts { records: RECORDS, md5: md5_of(&batches[i]) };
        let facts = Facts { batches: std::array::from_fn(facts), official: true };
        let data_dir = tempfile::tempdir().unwrap();
        Self {
            batches,
            sources: Sources {
                facts,
                archive_url: "http://127.0.0.1:1/nobody".to_owned(),
                npm_program: "no-npm-on-this-machine".to_owned(),
                patience: Patience {
                    connect: Duration::from_secs(5),
                    read: Duration::from_millis(300),
                    pause: Duration::ZERO,
                    fruitless_attempts: 3,
                },
            },
            options: FetchOptions {
                data_dir: data_dir.path().to_owned(),
                archive: None,
                download: true,
            },
            reports: Vec::new(),
            data_dir,
        }
    }

    fn fetch(&mut self) -> Result<Fetched, FetchError> {
        self.reports.clear();
        self.sources.fetch(&self.options, &mut |report| self.reports.push(report))
    }

    fn folder(&self) -> PathBuf {
        self.options.data_dir.join("cifar-10-batches-bin")
    }

    fn batch(&self, i: usize) -> PathBuf {
        self.folder().join(batch_file(i))
    }

    /// Puts the batches on the disk.
    fn place(&self) {
        fs::create_dir_all(self.folder()).unwrap();
        for (i, batch) in self.batches.iter().enumerate() {
            fs::write(self.batch(i), batch).unwrap();
        }
    }

    fn notes(&self) -> String {
        let notes = self.reports.iter().filter_map(|report| match report {
            Progress::Note(text) => Some(text.as_str()),
            _ => None,
        });
        notes.collect::<Vec<_>>().join("\n")
    }

    /// Fails unless the batches and the class names are there, and nothing else.
    #[track_caller]
    fn assert_whole(&self) {
        for (i, batch) in self.batches.iter().enumerate() {
            assert_eq!(fs::read(self.batch(i)).unwrap(), *batch, "{}", BATCH_NAMES[i]);
        }
        let mut names: Vec<String> = (0..BATCH_NAMES.len()).map(batch_file).collect();
        names.push("batches.meta.txt".to_owned());
        names.sort();
        assert_eq!(names_in(&self.folder()), names);
        assert_eq!(names_in(&self.options.data_dir), ["cifar-10-batches-bin"]);
    }
}

/// Records that differ from batch to batch, from picture to picture and from channel to channel.
fn records(batch: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        (0..RECORDS * RECORD_LEN).map(|i| (i * 7 + i / 251 + batch * 31) as u8).collect();
    for (i, record) in bytes.chunks_exact_mut(RECORD_LEN).enumerate() {
        record[0] = ((batch + 3 * i) % 10) as u8;
    }
    bytes
}

fn batch_file(batch: usize) -> String {
    Format::Binary.file_name(batch)
}

fn md5_of(bytes: &[u8]) -> String {
    let mut hasher = Md5::new();
    hasher.update(bytes);
    hexadecimal(hasher)
}

/// An error and what caused it, in one line.
fn text_of(error: &FetchError) -> String {
    super::error::chain(error)
}
