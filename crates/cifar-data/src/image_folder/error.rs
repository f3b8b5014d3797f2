//! Why folders do not serve as classes of pictures.

use std::io;
use std::path::PathBuf;

use super::MAX_CLASSES;
use crate::image_file::ImageFileError;

/// Why folders do not serve as classes of pictures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFolderError {
    /// The operating system refused to read.
    #[error("cannot read {path}; check that it exists and that you may read it")]
    Read {
        /// The folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is no class.
    #[error(
        "{path} has no folders of classes; put the pictures of each class into a folder of its own, \
         such as {}", path.join("cat").join("1.png").display()
    )]
    NoClasses {
        /// Where they were looked for.
        path: PathBuf,
    },
    /// A label of one byte cannot tell the classes apart.
    #[error(
        "{path} has {found} folders of classes, at most {MAX_CLASSES} are read; put some together"
    )]
    TooManyClasses {
        /// The folder that holds them.
        path: PathBuf,
        /// How many there are.
        found: usize,
    },
    /// A class without pictures.
    #[error(
        "the class {path} has no picture (PNG, JPEG, WebP, BMP or GIF); \
         put some there, or take the class away"
    )]
    EmptyClass {
        /// Its folder.
        path: PathBuf,
    },
    /// A class that is not among the known ones.
    #[error(
        "{path}: `{name}` is none of the classes {known}; \
         rename the folder, or use a network that was trained on it"
    )]
    OtherClass {
        /// Its folder.
        path: PathBuf,
        /// Its name.
        name: String,
        /// The known ones.
        known: String,
    },
    /// A class whose name cannot be written down.
    #[error("the name of the class {path} is not UTF-8; rename the folder")]
    ClassName {
        /// Its folder.
        path: PathBuf,
    },
    /// A link leads to a folder that was read before, or to one around it.
    #[error("{path} leads to the same folder as {first}; remove one of them")]
    Twice {
        /// The link.
        path: PathBuf,
        /// The name that the folder was read by.
        first: PathBuf,
    },
    /// There is nothing to train on, or nothing to test with.
    #[error(
        "{path} has no {part} images; put them into a folder for each class, such as {}, beside {}",
        path.join(part).join("cat").join("1.png").display(),
        if *part == "train" { "`test`" } else { "`train`" }
    )]
    NoPart {
        /// The folder that holds the parts.
        path: PathBuf,
        /// `train` or `test`.
        part: &'static str,
    },
    /// Pictures that cannot be read.
    #[error("{n} of the pictures in {root} cannot be read; the first")]
    Pictures {
        /// The folder that holds the classes.
        root: PathBuf,
        /// How many cannot be read.
        n: usize,
        /// What is wrong with the first.
        #[source]
        first: ImageFileError,
    },
}
