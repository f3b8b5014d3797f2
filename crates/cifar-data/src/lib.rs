//! CIFAR-10 from bytes to augmented, shuffled, prefetched batches.
//!
//! The road of the data, one module a step:
//!
//! 1. [`fetch`] brings the six official files onto the disk, verified against their MD5s.
//! 2. [`Cifar10`] opens what is there: the official binary folder, the folder that torchvision
//!    unpacked, or the tar.gz of either.
//! 3. [`Dataset`] holds one part of it as `u8`, one byte a value, labels checked.
//! 4. [`stratified_split`] sets validation images aside.
//! 5. [`Loader`] turns indices into shuffled, augmented, normalised [`Batch`]es.
//!
//! [`image_file`] reads a picture of anyone's in the same form, [`image_folder`] folders of them, and
//! [`DecodeAhead`] a stream of them. [`DataSource`] is CIFAR-10 or such folders.
//!
//! Randomness has identity: what happens to a sample follows from the run's seed, the epoch and
//! the sample's index, never from threads or timing. The crate prints nothing and reads no
//! environment; the test part is read only when [`Cifar10::test`] is called.
//!
//! Alex Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009, describes the
//! data; <https://www.cs.toronto.edu/~kriz/cifar.html> describes the files.

mod archive;
mod batch;
mod cifar10;
mod dataset;
mod decode_ahead;
mod duplicates;
mod error;
mod facts;
pub mod fetch;
pub mod image_file;
pub mod image_folder;
#[cfg(feature = "candle-datasets")]
pub mod interop;
mod loader;
mod mix;
mod numpy;
mod python;
mod records;
mod seed;
mod source;
mod split;
mod transform;
mod verify;

pub use batch::{Batch, Mixed};
pub use cifar_pickle::PickleError;
pub use cifar10::{Cifar10, Format};
pub use dataset::{CHANNELS, ChannelStatistics, Dataset, IMAGE_LEN, PLANE_LEN, SIDE};
pub use decode_ahead::DecodeAhead;
pub use duplicates::Duplicates;
pub use error::DataError;
pub use facts::{BATCH_NAMES, CLASS_NAMES, TEST_BATCH, TRAIN_BATCHES};
pub use image_file::{ImageFile, ImageFileError};
pub use image_folder::{ImageFolder, ImageFolderError};
pub use loader::{Batches, Loader, LoaderConfig, Preparation};
pub use python::pickled_records;
pub use records::{RECORD_LEN, Records, read_records};
pub use seed::{epoch_order, sample_seed};
pub use source::DataSource;
pub use split::{Split, stratified_split};
pub use transform::{Augmentation, HorizontalFlip, Normalization, PaddingMode, RandomCrop};
pub use verify::verify;
