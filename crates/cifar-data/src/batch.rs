//! What a network is given at once.

use candle_core::{Device, Tensor};

use crate::dataset::{CHANNELS, SIDE};
use crate::seed::sample_seed;

/// Pictures ready for a network, with their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `N × 3 × 32 × 32`, augmented and normalised.
    pub images: Vec<f32>,
    /// `N` classes.
    pub labels: Vec<u32>,
    /// `N` indices into the data set, to find the pictures again.
    pub indices: Vec<u32>,
    /// The epoch it is of; 0 where there are none.
    pub epoch: u32,
    /// What the pictures were mixed with. `None`: each is itself.
    pub mixed: Option<Mixed>,
}

/// The other half of mixed pictures. The target of a picture is `own_share` of its own label and
/// the rest of its partner's.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixed {
    /// `N` classes of the partners.
    pub labels: Vec<u32>,
    /// What is left of the pictures themselves, in `0..=1`.
    pub own_share: f64,
}

impl Batch {
    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no picture at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// One number for each picture, [`sample_seed`]: what is drawn for it in this epoch of a run.
    pub fn image_keys(&self, run_seed: u64) -> Vec<u64> {
        self.indices.iter().map(|&index| sample_seed(run_seed, self.epoch, index)).collect()
    }

    /// The pictures as a tensor `(N, 3, 32, 32)` of f32.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn image_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_slice(&self.images, (self.len(), CHANNELS, SIDE, SIDE), device)
    }

    /// The labels as a tensor `(N)` of u32.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn label_tensor(&self, device: &Device) -> candle_core::Result<Tensor> {
        Tensor::from_slice(&self.labels, self.len(), device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::IMAGE_LEN;
    use candle_core::DType;

    #[test]
    fn tensors_hold_the_pictures_in_order() {
        let images: Vec<f32> = (0..2 * IMAGE_LEN).map(|i| i as f32).collect();
        let batch =
            Batch { images, labels: vec![3, 9], indices: vec![0, 1], epoch: 0, mixed: None };
        let tensor = batch.image_tensor(&Device::Cpu).unwrap();
        assert_eq!((tensor.dims(), tensor.dtype()), (&[2, 3, 32, 32][..], DType::F32));
        let pixel = tensor.get(1).unwrap().get(2).unwrap().get(31).unwrap().get(0).unwrap();
        assert_eq!(pixel.to_scalar::<f32>().unwrap(), (3072 + 2 * 1024 + 31 * 32) as f32);
        let labels = batch.label_tensor(&Device::Cpu).unwrap();
        assert_eq!(labels.to_vec1::<u32>().unwrap(), [3, 9]);
    }
}
