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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    let mut records = Records::with_capacity(expected_records);
    append_file(path, expected_records, &mut records)?;
    Ok(records)
}

/// [`read_records`], behind what `records` already holds.
pub(crate) fn append_file(
    path: &Path,
    expected_records: usize,
    records: &mut Records,
) -> Result<(), DataError> {
    let unreadable = |source| DataError::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?.len();
    check_size(path, found, expected_records)?;
    records.append(file, path, expected_records)
}

/// Checks that a batch of `found` bytes has the right number of records.
pub(crate) fn check_size(path: &Path, found: u64, records: usize) -> Result<(), DataError> {
    let expected = (records * RECORD_LEN) as u64;
    if found == expected {
        return Ok(());
    }
    Err(DataError::Size { path: path.to_owned(), found, expected, records })
}

impl Records {
    /// Room for `n` records.
    pub(crate) fn with_capacity(n: usize) -> Self {
        Self { images: Vec::with_capacity(n * IMAGE_LEN), labels: Vec::with_capacity(n) }
    }

    /// Reads `n` records in binary layout; `path` only names the source in errors.
    pub(crate) fn append(
        &mut self,
        mut reader: impl Read,
        path: &Path,
        n: usize,
    ) -> Result<(), DataError> {
        let mut buffer = vec![0; RECORDS_PER_READ.min(n) * RECORD_LEN];
        let mut done = 0;
        while done < n {
            let part = &mut buffer[..RECORDS_PER_READ.min(n - done) * RECORD_LEN];
            let got = read_fully(&mut reader, part)
                .map_err(|source| DataError::Read { path: path.to_owned(), source })?;
            check_size(path, (done * RECORD_LEN + got) as u64, n)
                .or_else(|error| if got == part.len() { Ok(()) } else { Err(error) })?;
            for record in part.chunks_exact(RECORD_LEN) {
                self.push(record[0], &record[1..], path, done)?;
                done += 1;
            }
        }
        Ok(())
    }

    /// Adds one picture; `record` is its number in the file at `path`.
    pub(crate) fn push(
        &mut self,
        label: u8,
        image: &[u8],
        path: &Path,
        record: usize,
    ) -> Result<(), DataError> {
        if usize::from(label) >= CLASS_NAMES.len() {
            return Err(DataError::RecordLabel { path: path.to_owned(), record, label });
        }
        self.labels.push(label);
        self.images.extend_from_slice(image);
        Ok(())
    }
}

/// Fills `buffer` as far as the source goes; returns how far.
fn read_fully(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
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
