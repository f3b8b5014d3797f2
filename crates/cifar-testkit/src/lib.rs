//! Small synthetic data sets in the official CIFAR-10 layout, and cargo, for tests and checks.
//!
//! The files have the official names and records, and a `dataset.json` that says how many
//! records there are and which MD5s the batches have. The pictures can be learned: each class has
//! its own colours and stripes, under noise.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

mod cargo;
mod picture;
mod random;

pub use cargo::{FEATURES, build_program, cargo};
use picture::{PICTURE_LEN, paint};
pub use random::Random;

/// The names of what is in a folder, in order.
///
/// # Panics
/// If the folder cannot be read or a name is no text.
pub fn names_in(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let name = |entry: io::Result<fs::DirEntry>| {
        entry.expect("read an entry").file_name().into_string().expect("a name that is text")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// Name of the folder of the official binary version.
pub const FOLDER: &str = "cifar-10-batches-bin";

/// Names of the six batches, without `.bin`.
pub const BATCHES: [&str; 6] =
    ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];

/// Bytes of one record: the label and a picture of 3 × 32 × 32.
pub const RECORD_LEN: usize = 1 + PICTURE_LEN;

const N_CLASSES: usize = 10;

/// Writes six batches of `records_per_batch` pictures each, and their `dataset.json`, into
/// `dir/cifar-10-batches-bin`; returns that folder.
///
/// `dir` is made if it is not there. Equal arguments give equal bytes on every machine.
///
/// # Errors
/// If a folder or a file cannot be written.
pub fn write_synthetic(dir: &Path, records_per_batch: usize, seed: u64) -> io::Result<PathBuf> {
    write_batches(dir, &synthetic(records_per_batch, seed))
}

/// The batches of [`write_synthetic`], in the order of [`BATCHES`].
pub fn synthetic(records_per_batch: usize, seed: u64) -> [Vec<u8>; 6] {
    std::array::from_fn(|batch_idx| batch(records_per_batch, seed, batch_idx as u64))
}

/// Writes six batches of whole records, in the order of [`BATCHES`], and their `dataset.json`, into
/// `dir/cifar-10-batches-bin`; returns that folder.
///
/// # Errors
/// If a folder or a file cannot be written.
pub fn write_batches(dir: &Path, batches: &[Vec<u8>; 6]) -> io::Result<PathBuf> {
    let folder = dir.join(FOLDER);
    fs::create_dir_all(&folder)?;
    let mut facts = Vec::new();
    for (name, bytes) in BATCHES.iter().zip(batches) {
        let (records, md5) = (bytes.len() / RECORD_LEN, hexadecimal(&Md5::digest(bytes)));
        facts.push(format!("    \"{name}\": {{\"records\": {records}, \"md5\": \"{md5}\"}}"));
        fs::write(folder.join(format!("{name}.bin")), bytes)?;
    }
    let facts = format!("{{\n  \"batches\": {{\n{}\n  }}\n}}\n", facts.join(",\n"));
    fs::write(folder.join("dataset.json"), facts)?;
    Ok(folder)
}

/// The bytes of one batch of `n_records` records: as many of each class as of any other, up to
/// one, in random order. `batch_idx` keeps the batches of one `seed` apart.
pub fn batch(n_records: usize, seed: u64, batch_idx: u64) -> Vec<u8> {
    let mut random = Random::new(seed, batch_idx);
    let mut labels: Vec<u8> = (0..n_records).map(|i| (i % N_CLASSES) as u8).collect();
    for end in (1..n_records).rev() {
        labels.swap(end, random.below(end + 1));
    }
    let mut bytes = Vec::with_capacity(n_records * RECORD_LEN);
    for label in labels {
        bytes.push(label);
        paint(label, &mut random, &mut bytes);
    }
    bytes
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_balanced_and_repeats() {
        let bytes = batch(40, 3, 0);
        assert_eq!(bytes.len(), 40 * RECORD_LEN);
        let mut counts = [0; N_CLASSES];
        for record in bytes.chunks_exact(RECORD_LEN) {
            counts[usize::from(record[0])] += 1;
        }
        assert_eq!(counts, [4; N_CLASSES]);
        assert_eq!(bytes, batch(40, 3, 0));
        assert_ne!(bytes, batch(40, 3, 1));
        assert_ne!(bytes, batch(40, 4, 0));
    }

    /// The nearest class mean already tells most pictures apart, so a network can.
    #[test]
    fn classes_can_be_told_apart() {
        let (train, test) = (batch(400, 0, 0), batch(200, 0, 5));
        let mut sums = vec![[0.0f64; PICTURE_LEN]; N_CLASSES];
        for record in train.chunks_exact(RECORD_LEN) {
            let sum = &mut sums[usize::from(record[0])];
            sum.iter_mut().zip(&record[1..]).for_each(|(s, &v)| *s += f64::from(v) / 40.0);
        }
        let distance = |mean: &[f64; PICTURE_LEN], picture: &[u8]| -> f64 {
            mean.iter().zip(picture).map(|(m, &v)| (m - f64::from(v)).powi(2)).sum()
        };
        let right = test.chunks_exact(RECORD_LEN).filter(|record| {
            let distances = sums.iter().map(|mean| distance(mean, &record[1..]));
            let nearest = distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
            nearest.is_some_and(|(class, _)| class == usize::from(record[0]))
        });
        let right = right.count();
        assert!(right > 160, "{right} of 200");
    }

    #[test]
    fn the_files_are_there() {
        let dir = std::env::temp_dir().join(format!("cifar-testkit-{}", std::process::id()));
        let folder = write_synthetic(&dir, 10, 1).unwrap();
        for name in BATCHES {
            let len = fs::metadata(folder.join(format!("{name}.bin"))).unwrap().len();
            assert_eq!(len, 10 * RECORD_LEN as u64, "{name}");
        }
        let facts = fs::read_to_string(folder.join("dataset.json")).unwrap();
        assert!(facts.contains("\"test_batch\": {\"records\": 10, \"md5\": \""), "{facts}");
        fs::remove_dir_all(dir).unwrap();
    }
}
