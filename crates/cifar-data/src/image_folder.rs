//! Pictures of one's own in a folder for each class, as `torchvision.datasets.ImageFolder` has them:
//!
//! ```text
//! root/cat/one.png
//! root/cat/holiday/two.jpg
//! root/dog/three.webp
//! ```
//!
//! The folders directly in the root are the classes, in the order of their names' bytes. All
//! pictures below one, in further folders too, are of its class; links are followed. A picture is a
//! file whose name ends as one of [`ENDINGS`], whatever the case. Everything else is left alone:
//! other files, pictures directly in the root and, unlike in torchvision, all whose names begin with
//! a dot. [`image_file`] says how a picture becomes 32 by 32 pixels.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::dataset::{Dataset, IMAGE_LEN, SIDE};
use crate::error::DataError;
use crate::image_file::{self, ImageFileError};
pub use error::ImageFolderError;
pub use export::write_image_folder;
pub use listing::{ENDINGS, Listing, list_pictures};
use listing::{Walk, folders_in};

mod error;
mod export;
mod listing;

/// Most classes that a label of one byte tells apart.
pub const MAX_CLASSES: usize = 256;

/// The names of pictures in class folders; none has been read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFolder {
    root: PathBuf,
    class_names: Vec<String>,
    /// Class by class.
    files: Vec<PathBuf>,
    labels: Vec<u8>,
}

impl ImageFolder {
    /// Lists the pictures in `root`; its folders are the classes.
    ///
    /// # Errors
    /// No class at all, more than [`MAX_CLASSES`], one without a picture or whose name is not UTF-8,
    /// a folder that is reached twice, or one that cannot be read.
    pub fn open(root: &Path) -> Result<Self, ImageFolderError> {
        let classes = class_folders(root)?;
        if classes.len() > MAX_CLASSES {
            let found = classes.len();
            return Err(ImageFolderError::TooManyClasses { path: root.to_owned(), found });
        }
        let class_names = classes.keys().cloned().collect();
        Self::list(root, classes, class_names)
    }

    /// Like [`open`](Self::open) for given classes, at most [`MAX_CLASSES`]: the label of a picture is
    /// the place of its folder's name among `class_names`. Classes may have no folder.
    ///
    /// # Errors
    /// As [`open`](Self::open), and a folder whose name is not among `class_names`.
    pub fn open_as(root: &Path, class_names: &[String]) -> Result<Self, ImageFolderError> {
        let classes = class_folders(root)?;
        if let Some((name, path)) = classes.iter().find(|(name, _)| !class_names.contains(name)) {
            return Err(ImageFolderError::OtherClass {
                path: path.clone(),
                name: name.clone(),
                known: class_names.join(", "),
            });
        }
        Self::list(root, classes, class_names.to_vec())
    }

    fn list(
        root: &Path,
        classes: BTreeMap<String, PathBuf>,
        class_names: Vec<String>,
    ) -> Result<Self, ImageFolderError> {
        let mut walk = Walk::default();
        let (mut files, mut labels) = (Vec::new(), Vec::new());
        for (class, name) in class_names.iter().enumerate().take(MAX_CLASSES) {
            let Some(folder) = classes.get(name) else { continue };
            let Listing { pictures, mut problems } = walk.list(folder);
            if !problems.is_empty() {
                return Err(problems.swap_remove(0));
            }
            if pictures.is_empty() {
                return Err(ImageFolderError::EmptyClass { path: folder.clone() });
            }
            labels.extend(pictures.iter().map(|_| class as u8));
            files.extend(pictures);
        }
        Ok(Self { root: root.to_owned(), class_names, files, labels })
    }

    /// The folder that holds the classes.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names of the classes; a label is an index into them.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// The pictures, class by class, each class in the order of torchvision: folder by folder.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Their classes.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Decodes all pictures, several at a time, on the caller's rayon pool.
    ///
    /// # Errors
    /// If a picture cannot be read; the error names the first and says how many others there are.
    pub fn read(&self) -> Result<Dataset, DataError> {
        let mut images = vec![0; self.files.len() * IMAGE_LEN];
        let each = images.par_chunks_exact_mut(IMAGE_LEN).zip(&self.files);
        let mut failures: Vec<ImageFileError> = each
            .filter_map(|(out, path)| match image_file::read(path, SIDE, SIDE) {
                Ok(file) => {
                    out.copy_from_slice(&file.pixels);
                    None
                }
                Err(error) => Some(error),
            })
            .collect();
        if failures.is_empty() {
            return Dataset::new(images, self.labels.clone(), self.class_names.clone());
        }
        let (root, n) = (self.root.clone(), failures.len());
        Err(ImageFolderError::Pictures { root, n, first: failures.swap_remove(0) }.into())
    }
}

/// The class folders in `root` by name.
fn class_folders(root: &Path) -> Result<BTreeMap<String, PathBuf>, ImageFolderError> {
    let mut classes = BTreeMap::new();
    for path in folders_in(root)? {
        let name = path.file_name().and_then(|name| name.to_str());
        match name.map(str::to_owned) {
            Some(name) => classes.insert(name, path),
            None => return Err(ImageFolderError::ClassName { path }),
        };
    }
    match classes.is_empty() {
        true => Err(ImageFolderError::NoClasses { path: root.to_owned() }),
        false => Ok(classes),
    }
}

/// Pictures of one's own to train on and to test with: `root/train/CLASS/` and `root/test/CLASS/`,
/// `root/val/CLASS/` in the place of a missing `test`; or `root/CLASS/`, to test with alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassFolders {
    path: PathBuf,
    train: Option<PathBuf>,
    test: Option<PathBuf>,
}

impl ClassFolders {
    /// Finds out which of the layouts `path` has; `None` where it holds no picture down to the third
    /// level.
    pub fn find(path: &Path) -> Option<Self> {
        if !fs::metadata(path).is_ok_and(|found| found.is_dir()) || !holds_pictures(path, 3) {
            return None;
        }
        // A class may be called `train`; it then holds pictures, not folders.
        let part = |name: &str| {
            let part = path.join(name);
            folders_in(&part).is_ok_and(|folders| !folders.is_empty()).then_some(part)
        };
        let (train, test) = (part("train"), part("test").or_else(|| part("val")));
        let path = path.to_owned();
        Some(match (train, test) {
            (None, None) => Self { train: None, test: Some(path.clone()), path },
            (train, test) => Self { path, train, test },
        })
    }

    /// The folder that holds all of it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of the classes that there are to train on.
    ///
    /// # Errors
    /// As [`ImageFolder::open`], and if there is nothing to train on.
    pub fn class_names(&self) -> Result<Vec<String>, ImageFolderError> {
        Ok(ImageFolder::open(self.train()?)?.class_names)
    }

    /// The pictures to train on, of exactly the classes `class_names`.
    ///
    /// # Errors
    /// As [`ImageFolder::open_as`] and [`ImageFolder::read`], if there is nothing to train on, and if
    /// a class has no folder.
    pub fn read_train(&self, class_names: &[String]) -> Result<Dataset, DataError> {
        let root = self.train()?;
        let folder = ImageFolder::open_as(root, class_names)?;
        let there = |class: usize| folder.labels.iter().any(|&label| usize::from(label) == class);
        match (0..class_names.len()).find(|&class| !there(class)) {
            Some(class) => {
                let path = root.join(&class_names[class]);
                Err(ImageFolderError::EmptyClass { path }.into())
            }
            None => folder.read(),
        }
    }

    /// The pictures to test with, whose classes are among `class_names`.
    ///
    /// # Errors
    /// As [`ImageFolder::open_as`] and [`ImageFolder::read`], and if there is nothing to test with.
    pub fn read_test(&self, class_names: &[String]) -> Result<Dataset, DataError> {
        let missing = || ImageFolderError::NoPart { path: self.path.clone(), part: "test" };
        ImageFolder::open_as(self.test.as_deref().ok_or_else(missing)?, class_names)?.read()
    }

    fn train(&self) -> Result<&Path, ImageFolderError> {
        let missing = || ImageFolderError::NoPart { path: self.path.clone(), part: "train" };
        self.train.as_deref().ok_or_else(missing)
    }
}

/// Whether there is a picture in `folder` or in the `depth - 1` levels of folders below it.
fn holds_pictures(folder: &Path, depth: usize) -> bool {
    if depth == 0 {
        return false;
    }
    let Ok(entries) = fs::read_dir(folder) else { return false };
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    let visible = |path: &&PathBuf| !listing::is_hidden(path);
    paths.iter().filter(visible).any(|path| listing::is_picture(path) && !path.is_dir())
        || paths.iter().filter(visible).any(|path| path.is_dir() && holds_pictures(path, depth - 1))
}

#[cfg(test)]
mod tests;
