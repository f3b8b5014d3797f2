//! The data set at a place, whatever its form.

use std::fmt;
use std::path::Path;

use crate::cifar10::Cifar10;
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::facts::CLASS_NAMES;
use crate::image_folder::ClassFolders;

/// A data set that was found.
#[derive(Debug, Clone)]
pub enum DataSource {
    /// CIFAR-10.
    Cifar10(Cifar10),
    /// Pictures of one's own, in a folder for each class.
    Folders(ClassFolders),
}

impl DataSource {
    /// Finds CIFAR-10 at `path` as [`Cifar10::open`] does, else folders of pictures as
    /// [`ClassFolders::find`] does.
    ///
    /// # Errors
    /// As [`Cifar10::open`], where there are no folders of pictures either.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        match Cifar10::open(path) {
            Ok(found) => Ok(Self::Cifar10(found)),
            Err(error @ DataError::NotFound { .. }) => {
                ClassFolders::find(path).map(Self::Folders).ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The classes that it has of its own; `None` for those of CIFAR-10.
    ///
    /// # Errors
    /// As [`ClassFolders::class_names`].
    pub fn own_class_names(&self) -> Result<Option<Vec<String>>, DataError> {
        match self {
            Self::Cifar10(_) => Ok(None),
            Self::Folders(folders) => Ok(Some(folders.class_names()?)),
        }
    }

    /// Reads the pictures to train on, of exactly the classes `class_names`.
    ///
    /// # Errors
    /// As [`Cifar10::train`] and [`ClassFolders::read_train`], and for other classes.
    pub fn train(&self, class_names: &[String]) -> Result<Dataset, DataError> {
        match self {
            Self::Cifar10(data) => expect_cifar10(data, class_names)?.train(),
            Self::Folders(folders) => folders.read_train(class_names),
        }
    }

    /// Reads the pictures to test with, labelled as `class_names` are numbered. Read them once for
    /// each number that is reported, and choose nothing by them.
    ///
    /// # Errors
    /// As [`Cifar10::test`] and [`ClassFolders::read_test`], and for other classes.
    pub fn test(&self, class_names: &[String]) -> Result<Dataset, DataError> {
        match self {
            Self::Cifar10(data) => expect_cifar10(data, class_names)?.test(),
            Self::Folders(folders) => folders.read_test(class_names),
        }
    }
}

/// What a summary calls it.
impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cifar10(_) => f.write_str("cifar-10"),
            Self::Folders(folders) => write!(f, "folders of {}", folders.path().display()),
        }
    }
}

fn expect_cifar10<'a>(data: &'a Cifar10, class_names: &[String]) -> Result<&'a Cifar10, DataError> {
    if class_names == CLASS_NAMES {
        return Ok(data);
    }
    let (path, expected) = (data.path().to_owned(), class_names.join(", "));
    Err(DataError::OtherClasses { path, expected })
}
