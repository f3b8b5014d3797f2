//! One part of the data in memory.

use crate::error::DataError;

/// Width and height of a picture, in pixels.
pub const SIDE: usize = 32;
/// Colour planes of a picture: red, green, blue.
pub const CHANNELS: usize = 3;
/// Values of one plane.
pub const PLANE_LEN: usize = SIDE * SIDE;
/// Values of one picture, all planes.
pub const IMAGE_LEN: usize = CHANNELS * PLANE_LEN;

/// Labelled pictures, `N × 3 × 32 × 32` bytes.
///
/// Invariants: there are `N` labels, and every label is below the number of classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataset {
    images: Vec<u8>,
    labels: Vec<u8>,
    class_names: Vec<String>,
}

/// Mean and standard deviation of each channel, of values divided by 255.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChannelStatistics {
    /// Means of red, green, blue, in `0..=1`.
    pub mean: [f64; CHANNELS],
    /// Standard deviations over all pixels of all pictures (divisor `N × 32 × 32`).
    pub std: [f64; CHANNELS],
}

impl Dataset {
    /// Takes pictures (`labels.len() × 3072` bytes: the planes red, green, blue, each row by row),
    /// their labels, and one name per class.
    ///
    /// # Errors
    /// If the lengths contradict each other, or a label has no class name.
    pub fn new(
        images: Vec<u8>,
        labels: Vec<u8>,
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        let expected = labels.len() * IMAGE_LEN;
        if images.len() != expected {
            let (found, n_labels) = (images.len(), labels.len());
            return Err(DataError::ImageBytes { found, expected, n_labels });
        }
        let n_classes = class_names.len();
        match labels.iter().position(|&label| usize::from(label) >= n_classes) {
            Some(index) => Err(DataError::Label { index, label: labels[index], n_classes }),
            None => Ok(Self { images, labels, class_names }),
        }
    }

    /// Number of pictures.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no picture at all.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Picture `index`: 3072 bytes, planes red, green, blue.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> &[u8] {
        &self.images[index * IMAGE_LEN..][..IMAGE_LEN]
    }

    /// All pictures, one after the other.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// Class of picture `index`.
    ///
    /// # Panics
    /// If `index` is not below [`len`](Self::len).
    pub fn label(&self, index: usize) -> u8 {
        self.labels[index]
    }

    /// Classes of all pictures, in order.
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Names of the classes; a label is an index into them.
    pub fn class_names(&self) -> &[String] {
        &self.class_names
    }

    /// How many pictures each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.class_names.len()];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }

    /// Mean and standard deviation of each channel over all pixels, exact to the last digits
    /// of `f64`: the sums are taken in integers. All zero for an empty set.
    pub fn channel_statistics(&self) -> ChannelStatistics {
        let mut statistics = ChannelStatistics { mean: [0.0; CHANNELS], std: [0.0; CHANNELS] };
        if self.is_empty() {
            return statistics;
        }
        let n = (self.len() * PLANE_LEN) as f64;
        for channel in 0..CHANNELS {
            let (sum, squares) = self.plane_sums(channel);
            let mean = sum as f64 / n;
            // Both sums are below 2^53 for any set that fits in memory, hence exact as f64.
            let variance = (squares as f64 / n - mean * mean).max(0.0);
            statistics.mean[channel] = mean / 255.0;
            statistics.std[channel] = variance.sqrt() / 255.0;
        }
        statistics
    }

    /// Sum of the values of one channel, and sum of their squares.
    fn plane_sums(&self, channel: usize) -> (u64, u64) {
        let planes = self.images.chunks_exact(PLANE_LEN).skip(channel).step_by(CHANNELS);
        planes.fold((0, 0), |(sum, squares), plane| {
            // 1024 × 255² fits in u32, and u32 sums vectorise.
            let plane_sum: u32 = plane.iter().map(|&v| u32::from(v)).sum();
            let plane_squares: u32 = plane.iter().map(|&v| u32::from(v) * u32::from(v)).sum();
            (sum + u64::from(plane_sum), squares + u64::from(plane_squares))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(n: usize) -> Vec<String> {
        (0..n).map(|i| format!("class {i}")).collect()
    }

    #[test]
    fn a_picture_is_its_3072_bytes() {
        let images = (0..2 * IMAGE_LEN).map(|i| (i % 251) as u8).collect::<Vec<_>>();
        let dataset = Dataset::new(images.clone(), vec![1, 0], names(2)).unwrap();
        assert_eq!(dataset.image(1), &images[IMAGE_LEN..]);
        assert_eq!((dataset.len(), dataset.label(0), dataset.class_counts()), (2, 1, vec![1, 1]));
    }

    #[test]
    fn a_label_without_a_class_is_refused() {
        let error = Dataset::new(vec![0; IMAGE_LEN], vec![10], names(10)).unwrap_err();
        assert_eq!(error.to_string(), "picture 0 has label 10, expected 0..=9");
    }

    #[test]
    fn a_wrong_number_of_bytes_is_refused() {
        let error = Dataset::new(vec![0; 100], vec![1], names(10)).unwrap_err();
        assert!(matches!(error, DataError::ImageBytes { found: 100, expected: 3072, .. }));
    }

    #[test]
    fn statistics_are_those_of_the_textbook() {
        // Red: half 0, half 255. Green: all 51. Blue: 0, 1, …, 255 four times.
        let mut image = vec![0; IMAGE_LEN];
        image[..PLANE_LEN / 2].fill(255);
        image[PLANE_LEN..2 * PLANE_LEN].fill(51);
        image[2 * PLANE_LEN..].iter_mut().enumerate().for_each(|(i, v)| *v = (i % 256) as u8);
        let got = Dataset::new(image, vec![0], names(1)).unwrap().channel_statistics();
        let uniform_std = ((256.0f64 * 256.0 - 1.0) / 12.0).sqrt() / 255.0;
        for (got, want) in got.mean.iter().zip([0.5, 0.2, 0.5]) {
            assert!((got - want).abs() < 1e-12, "mean {got}, want {want}");
        }
        for (got, want) in got.std.iter().zip([0.5, 0.0, uniform_std]) {
            assert!((got - want).abs() < 1e-12, "std {got}, want {want}");
        }
    }
}
