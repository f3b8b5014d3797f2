//! What the dropout layers of a net draw from.

use std::rc::Rc;

use candle_core::{Result, bail};
use cifar_kernels::random::split_mix64;

/// A dropout layer of a net.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Dropout {
    /// Probability that a value is left out, in `0..1`.
    pub(crate) p: f64,
    /// A number of its own for each path, so that two layers leave out different values.
    place: u64,
}

impl Dropout {
    pub(crate) fn new(p: f64, path: &str) -> Self {
        Self { p, place: path.bytes().fold(0, |hash, byte| split_mix64(hash ^ u64::from(byte))) }
    }

    /// The layer's keys for images with these.
    pub(crate) fn keys(self, image_keys: &[u64]) -> impl Iterator<Item = u64> {
        image_keys.iter().map(move |key| split_mix64(key ^ self.place))
    }
}

/// The keys of a pass on `n_images`, from the one who trains.
pub(crate) fn image_keys(n_images: usize) -> Result<Rc<[u64]>> {
    let keys = cifar_ops::image_keys();
    if keys.len() != n_images {
        bail!(
            "dropout in training mode needs a key for each of {n_images} images and was given {}: \
             run the pass within cifar_ops::with_image_keys",
            keys.len()
        );
    }
    Ok(keys)
}
