//! Finding and reading CIFAR-10, in whichever form it is there.

use std::fmt;
use std::fs::{self, File};
use std::io::{Cursor, ErrorKind, Read};
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use crate::archive::{self, ArchivedFile};
use crate::dataset::{Dataset, IMAGE_LEN};
use crate::error::DataError;
use crate::facts::{BATCH_NAMES, CLASS_NAMES, Facts, TEST_BATCH, TRAIN_BATCHES};
use crate::python;
use crate::records::{check_size, fill_records};

/// In which form the data lie on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `cifar-10-batches-bin`, the official binary version.
    Binary,
    /// `cifar-10-batches-py`, the Python version that torchvision unpacks.
    Python,
    /// The tar.gz of the binary version.
    BinaryArchive,
    /// The tar.gz of the Python version.
    PythonArchive,
}

impl Format {
    /// The name that the folder has in the archive and, unpacked, on the disk.
    pub(crate) fn folder_name(self) -> &'static str {
        match self {
            Self::Binary | Self::BinaryArchive => "cifar-10-batches-bin",
            Self::Python | Self::PythonArchive => "cifar-10-batches-py",
        }
    }

    /// The file name of batch number `batch` of [`BATCH_NAMES`].
    pub(crate) fn file_name(self, batch: usize) -> String {
        match self {
            Self::Binary | Self::BinaryArchive => format!("{}.bin", BATCH_NAMES[batch]),
            Self::Python | Self::PythonArchive => BATCH_NAMES[batch].to_owned(),
        }
    }

    /// The file that lists the classes.
    pub(crate) fn meta_name(self) -> &'static str {
        match self {
            Self::Binary | Self::BinaryArchive => "batches.meta.txt",
            Self::Python | Self::PythonArchive => "batches.meta",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Binary => "binary",
            Self::Python => "python",
            Self::BinaryArchive => "binary tar.gz",
            Self::PythonArchive => "python tar.gz",
        })
    }
}

/// A CIFAR-10 that was found: all six batches are there.
#[derive(Debug, Clone)]
pub struct Cifar10 {
    format: Format,
    path: PathBuf,
    facts: Facts,
}

impl Cifar10 {
    /// Finds the data at `path`: a folder that holds `cifar-10-batches-bin` or
    /// `cifar-10-batches-py`, one of these folders itself, the tar.gz of either, or a folder that
    /// holds such a tar.gz under its published name. Of several, the first of this list is taken.
    ///
    /// Checks that the six batches are there and, in the binary version, have the right sizes.
    /// Labels are checked when the batches are read, MD5s by [`verify`](Self::verify). A folder
    /// may state other sizes and MD5s than the official ones in a file `dataset.json`:
    ///
    /// ```json
    /// {"batches": {"data_batch_1": {"records": 200, "md5": "…"}, "…": {}}}
    /// ```
    ///
    /// # Errors
    /// If there is no CIFAR-10, it is incomplete, a size is wrong, or it cannot be read.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let found = match (Self::locate(path), archive_in(path)) {
            (Err(DataError::NotFound { .. }), Some(archive)) => {
                Self::in_archive(&archive, Facts::official())?
            }
            (found, _) => found?,
        };
        found.check_files()?;
        Ok(found)
    }

    /// Reads the training part: 50,000 pictures, batches 1 to 5 in order.
    ///
    /// # Errors
    /// If a batch cannot be read, is cut off, or holds a label above 9.
    pub fn train(&self) -> Result<Dataset, DataError> {
        self.read(TRAIN_BATCHES)
    }

    /// Reads the test part: 10,000 pictures. Read it once for each number that is reported, and
    /// choose nothing by it.
    ///
    /// # Errors
    /// As [`train`](Self::train).
    pub fn test(&self) -> Result<Dataset, DataError> {
        self.read(TEST_BATCH..TEST_BATCH + 1)
    }

    /// In which form the data are.
    pub fn format(&self) -> Format {
        self.format
    }

    /// The folder of the batches, or the archive.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The same data, expected to match other facts.
    pub(crate) fn expecting(self, facts: Facts) -> Self {
        Self { facts, ..self }
    }

    /// [`open`](Self::open), without looking at the batches.
    pub(crate) fn locate(path: &Path) -> Result<Self, DataError> {
        let unreadable = |source: std::io::Error| match source.kind() {
            ErrorKind::NotFound => DataError::NotFound { path: path.to_owned() },
            _ => DataError::Read { path: path.to_owned(), source },
        };
        if fs::metadata(path).map_err(unreadable)?.is_file() {
            return Self::in_archive(path, Facts::official());
        }
        // Tells a folder that may not be read from one that is empty.
        fs::read_dir(path).map_err(unreadable)?;
        let formats = [Format::Binary, Format::Python];
        let inside = formats.map(|format| (format, path.join(format.folder_name())));
        let itself = formats.map(|format| (format, path.to_owned()));
        let holds_a_batch = |(format, folder): &(Format, PathBuf)| {
            (0..BATCH_NAMES.len()).any(|batch| folder.join(format.file_name(batch)).is_file())
        };
        match inside.into_iter().chain(itself).find(holds_a_batch) {
            Some((format, path)) => Ok(Self { format, facts: Facts::of_folder(&path)?, path }),
            None => Err(DataError::NotFound { path: path.to_owned() }),
        }
    }

    /// Finds out of which version the tar.gz at `path` is.
    pub(crate) fn in_archive(path: &Path, facts: Facts) -> Result<Self, DataError> {
        let mut format = None;
        archive::each_file(path, |file| {
            let folder = file.name.parent();
            format = [Format::BinaryArchive, Format::PythonArchive]
                .into_iter()
                .find(|format| folder == Some(Path::new(format.folder_name())));
            let go_on = format.map_or(ControlFlow::Continue(()), |_| ControlFlow::Break(()));
            Ok::<_, DataError>(go_on)
        })?;
        match format {
            Some(format) => Ok(Self { format, path: path.to_owned(), facts }),
            None => Err(DataError::OtherArchive { path: path.to_owned() }),
        }
    }

    /// Where batch number `batch` lies; for an archive, a name to put into errors.
    pub(crate) fn batch_path(&self, batch: usize) -> PathBuf {
        match self.format {
            Format::Binary | Format::Python => self.path.join(self.format.file_name(batch)),
            Format::BinaryArchive | Format::PythonArchive => {
                self.path.join(self.format.folder_name()).join(self.format.file_name(batch))
            }
        }
    }

    /// Checks, as far as that costs nothing, that the folder is complete.
    pub(crate) fn check_files(&self) -> Result<(), DataError> {
        if matches!(self.format, Format::BinaryArchive | Format::PythonArchive) {
            return Ok(());
        }
        for batch in 0..BATCH_NAMES.len() {
            self.check_file(batch)?;
        }
        self.check_class_names()
    }

    /// Checks that the file of batch number `batch` is there, with the right size.
    pub(crate) fn check_file(&self, batch: usize) -> Result<(), DataError> {
        let path = self.batch_path(batch);
        let found = fs::metadata(&path).map_err(|error| unreadable(&path, error))?.len();
        match self.format {
            Format::Binary => check_size(&path, found, self.facts.batches[batch].records),
            _ => Ok(()),
        }
    }

    /// Checks the list of classes, where there is one.
    fn check_class_names(&self) -> Result<(), DataError> {
        let path = self.path.join(self.format.meta_name());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(DataError::Read { path, source }),
        };
        let names = match self.format {
            Format::Python => python::class_names(&bytes, &path)?,
            _ => String::from_utf8_lossy(&bytes).split_whitespace().map(str::to_owned).collect(),
        };
        if names == CLASS_NAMES {
            return Ok(());
        }
        let (found, expected) = (names.join(" "), CLASS_NAMES.join(" "));
        Err(DataError::ClassNames { path, found, expected })
    }

    fn read(&self, batches: Range<usize>) -> Result<Dataset, DataError> {
        let sizes: Vec<usize> = self.facts.batches.iter().map(|batch| batch.records).collect();
        let start_of = |batch: usize| sizes[batches.start..batch].iter().sum::<usize>();
        let n = start_of(batches.end);
        let (mut images, mut labels) = (vec![0; n * IMAGE_LEN], vec![0; n]);
        self.each_batch(batches.clone(), |batch, path, records| {
            let (start, end) = (start_of(batch), start_of(batch + 1));
            let images = &mut images[start * IMAGE_LEN..end * IMAGE_LEN];
            fill_records(records, path, images, &mut labels[start..end])
        })?;
        Dataset::new(images, labels, CLASS_NAMES.map(str::to_owned).to_vec())
    }

    /// Shows each of `batches`, in official binary layout, to `visit`, with its number and path;
    /// an archive's come in the order of the archive.
    pub(crate) fn each_batch<E: From<DataError>>(
        &self,
        batches: Range<usize>,
        mut visit: impl FnMut(usize, &Path, &mut dyn Read) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.format {
            Format::Binary | Format::Python => {
                for batch in batches {
                    let path = self.batch_path(batch);
                    let mut file = File::open(&path).map_err(|error| unreadable(&path, error))?;
                    let len = file.metadata().map_err(|error| unreadable(&path, error))?.len();
                    self.decode(batch, len, &mut file, &mut visit)?;
                }
                Ok(())
            }
            Format::BinaryArchive | Format::PythonArchive => self.each_archived(batches, visit),
        }
    }

    fn each_archived<E: From<DataError>>(
        &self,
        batches: Range<usize>,
        mut visit: impl FnMut(usize, &Path, &mut dyn Read) -> Result<(), E>,
    ) -> Result<(), E> {
        let folder = Path::new(self.format.folder_name());
        let mut missing: Vec<usize> = batches.collect();
        archive::each_file(&self.path, |ArchivedFile { name, len, content }| {
            let is_here = |&batch: &usize| name == folder.join(self.format.file_name(batch));
            if let Some(at) = missing.iter().position(is_here) {
                self.decode(missing.swap_remove(at), len, content, &mut visit)?;
            }
            Ok::<_, E>(match missing.is_empty() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        match missing.first() {
            Some(&batch) => Err(DataError::Missing { path: self.batch_path(batch) }.into()),
            None => Ok(()),
        }
    }

    /// Brings the `len` bytes of a batch's file into official layout and shows them to `visit`.
    fn decode<E: From<DataError>>(
        &self,
        batch: usize,
        len: u64,
        content: &mut dyn Read,
        visit: &mut impl FnMut(usize, &Path, &mut dyn Read) -> Result<(), E>,
    ) -> Result<(), E> {
        let (path, n) = (self.batch_path(batch), self.facts.batches[batch].records);
        if matches!(self.format, Format::Binary | Format::BinaryArchive) {
            check_size(&path, len, n)?;
            return visit(batch, &path, content);
        }
        let mut pickle = Vec::new();
        content
            .take(python::MAX_PICKLE_LEN)
            .read_to_end(&mut pickle)
            .map_err(|source| DataError::Read { path: path.clone(), source })?;
        let records = python::pickled_records(&pickle, &path, n)?;
        drop(pickle);
        visit(batch, &path, &mut Cursor::new(records))
    }
}

/// The published tar.gz that lies in `folder`, if there is one.
fn archive_in(folder: &Path) -> Option<PathBuf> {
    let archives = ["cifar-10-binary.tar.gz", "cifar-10-python.tar.gz"];
    archives.map(|name| folder.join(name)).into_iter().find(|archive| archive.is_file())
}

/// The error for a batch that cannot be opened.
fn unreadable(path: &Path, source: std::io::Error) -> DataError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => DataError::Missing { path },
        _ => DataError::Read { path, source },
    }
}

#[cfg(test)]
mod tests;
