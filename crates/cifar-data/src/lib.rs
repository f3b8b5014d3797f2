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
//! [`image_file`] reads a picture of anyone's in the same form.
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
mod duplicates;
mod error;
mod facts;
pub mod fetch;
pub mod image_file;
#[cfg(feature = "candle-datasets")]
pub mod interop;
mod loader;
mod numpy;
mod python;
mod records;
mod seed;
mod split;
mod transform;
mod verify;

pub use batch::Batch;
pub use cifar_pickle::PickleError;
pub use cifar10::{Cifar10, Format};
pub use dataset::{CHANNELS, ChannelStatistics, Dataset, IMAGE_LEN, PLANE_LEN, SIDE};
pub use duplicates::Duplicates;
pub use error::DataError;
pub use facts::{BATCH_NAMES, CLASS_NAMES, TEST_BATCH, TRAIN_BATCHES};
pub use image_file::{ImageFile, ImageFileError};
pub use loader::{Batches, Loader, LoaderConfig, Preparation};
pub use records::{RECORD_LEN, Records, read_records};
pub use seed::{epoch_order, sample_seed};
pub use split::{Split, stratified_split};
pub use transform::{Augmentation, HorizontalFlip, Normalization, PaddingMode, RandomCrop};
pub use verify::verify;
