//! The official binary layout: records of one label byte and 3072 picture bytes.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::dataset::IMAGE_LEN;
use crate::error::DataError;
use crate::facts::CLASS_NAMES;

/// Bytes of one record: the label, then the planes red, green, blue.
pub const RECORD_LEN: usize = 1 + IMAGE_LEN;

/// Records read at once: 393 kB, small beside the caches.
const RECORDS_PER_READ: usize = 128;

/// The pictures of a batch and, apart from them, their labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Records {
    /// `N × 3 × 32 × 32` bytes.
    pub images: Vec<u8>,
    /// `N` labels below 10.
    pub labels: Vec<u8>,
}

/// Reads a batch file of exactly `expected_records` records (10,000 in the official files).
///
/// # Errors
/// If the file cannot be read, has any other size, or holds a label above 9.
pub fn read_records(path: &Path, expected_records: usize) -> Result<Records, DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    check_size(path, file.metadata().map_err(unreadable)?.len(), expected_records)?;
    let mut images = vec![0; expected_records * IMAGE_LEN];
    let mut labels = vec![0; expected_records];
    fill_records(file, path, &mut images, &mut labels)?;
    Ok(Records { images, labels })
}

/// Checks that a batch of `found` bytes has the right number of records.
pub(crate) fn check_size(path: &Path, found: u64, records: usize) -> Result<(), DataError> {
    let expected = (records * RECORD_LEN) as u64;
    if found == expected {
        return Ok(());
    }
    Err(DataError::Size { path: path.to_owned(), found, expected, records })
}

/// Reads as many records as `labels` has room for; `path` only names the source in errors.
///
/// `images`: `N × 3072` bytes, `labels`: `N`. What follows the last record is not looked at.
pub(crate) fn fill_records(
    mut reader: impl Read,
    path: &Path,
    images: &mut [u8],
    labels: &mut [u8],
) -> Result<(), DataError> {
    let n = labels.len();
    let mut buffer = vec![0; RECORDS_PER_READ.min(n) * RECORD_LEN];
    let mut pictures = images.chunks_exact_mut(IMAGE_LEN).zip(labels).enumerate();
    for first in (0..n).step_by(RECORDS_PER_READ) {
        let part = &mut buffer[..RECORDS_PER_READ.min(n - first) * RECORD_LEN];
        let got = read_fully(&mut reader, part)
            .map_err(|source| DataError::Read { path: path.to_owned(), source })?;
        if got < part.len() {
            return check_size(path, (first * RECORD_LEN + got) as u64, n);
        }
        for (bytes, (record, (image, label))) in part.chunks_exact(RECORD_LEN).zip(&mut pictures) {
            *label = checked_label(bytes[0], path, record)?;
            image.copy_from_slice(&bytes[1..]);
        }
    }
    Ok(())
}

/// The label of record number `record` of the batch at `path`, if a class has it.
pub(crate) fn checked_label(label: u8, path: &Path, record: usize) -> Result<u8, DataError> {
    if usize::from(label) < CLASS_NAMES.len() {
        return Ok(label);
    }
    Err(DataError::RecordLabel { path: path.to_owned(), record, label })
}

/// Fills `buffer` as far as the source goes; returns how far.
pub(crate) fn read_fully(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` records: record `i` has label `i % 10` and picture bytes `i + position`.
    fn records(n: usize) -> Vec<u8> {
        let record = |i: usize| {
            let picture = (0..IMAGE_LEN).map(move |at| (i + at) as u8);
            std::iter::once((i % 10) as u8).chain(picture)
        };
        (0..n).flat_map(record).collect()
    }

    fn read(bytes: &[u8], expected_records: usize) -> Result<Records, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data_batch_1.bin");
        std::fs::write(&path, bytes).unwrap();
        read_records(&path, expected_records)
    }

    #[test]
    fn records_are_read_in_order() {
        // More than one read, the last one partly filled.
        let n = 2 * RECORDS_PER_READ + 3;
        let got = read(&records(n), n).unwrap();
        for i in [0, 1, RECORDS_PER_READ, n - 1] {
            assert_eq!(got.labels[i], (i % 10) as u8);
            let picture = &got.images[i * IMAGE_LEN..][..IMAGE_LEN];
            assert_eq!((picture[0], picture[IMAGE_LEN - 1]), (i as u8, (i + IMAGE_LEN - 1) as u8));
        }
        assert_eq!(got.images.len(), n * IMAGE_LEN);
    }

    #[test]
    fn a_truncated_file_names_both_sizes() {
        let error = read(&records(3)[..9000], 3).unwrap_err();
        assert!(matches!(error, DataError::Size { found: 9000, expected: 9219, records: 3, .. }));
        let text = error.to_string();
        assert!(text.contains("data_batch_1.bin has 9000 bytes, expected 9219"), "{text}");
        assert!(text.contains("fetch-data"), "{text}");
    }

    #[test]
    fn a_file_that_is_too_long_is_refused() {
        let error = read(&records(4), 3).unwrap_err();
        assert!(matches!(error, DataError::Size { found: 12292, expected: 9219, .. }));
    }

    #[test]
    fn a_stream_that_ends_early_names_how_far_it_went() {
        let (mut images, mut labels) = (vec![0; 200 * IMAGE_LEN], vec![0; 200]);
        let bytes = &records(199)[..];
        let error = fill_records(bytes, Path::new("b"), &mut images, &mut labels).unwrap_err();
        let found = 199 * 3073;
        assert!(matches!(error, DataError::Size { found: f, records: 200, .. } if f == found));
    }

    #[test]
    fn label_10_names_the_record() {
        let mut bytes = records(150);
        bytes[140 * RECORD_LEN] = 10;
        let text = read(&bytes, 150).unwrap_err().to_string();
        assert!(
            text.contains("data_batch_1.bin: record 140 has label 10, expected 0..=9"),
            "{text}"
        );
    }
}
