//! To and from the data sets of `candle-datasets`.

use candle_core::{DType, Device, Tensor};
use candle_datasets::vision;

use crate::dataset::{CHANNELS, Dataset, IMAGE_LEN, SIDE};
use crate::error::DataError;
use crate::facts::CLASS_NAMES;

/// Training and test part together, as `candle_datasets::vision::Dataset` has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrainAndTest {
    /// The training part.
    pub train: Dataset,
    /// The test part.
    pub test: Dataset,
}

/// Why a data set of `candle-datasets` cannot become one of ours, or the other way round.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InteropError {
    /// A tensor cannot be made, or has another shape or type than it should.
    #[error("a tensor is not as expected: pictures are (N, 3, 32, 32) f32, labels (N) u8")]
    Tensor(#[from] candle_core::Error),
    /// A value is none that a byte divided by 255 gives.
    #[error("value {index} is {value}, expected a whole number divided by 255")]
    Value {
        /// Which value of the pictures, counted from 0.
        index: usize,
        /// The value.
        value: f32,
    },
    /// The number of classes is not CIFAR-10's.
    #[error("{found} classes, expected 10")]
    Classes {
        /// How many there are.
        found: usize,
    },
    /// Labels and pictures do not belong together.
    #[error(transparent)]
    Data(#[from] DataError),
}

/// Pictures become f32 divided by 255, bit for bit as `candle_datasets::vision::cifar::load_dir`
/// makes them; all tensors are on the CPU.
impl TryFrom<&TrainAndTest> for vision::Dataset {
    type Error = InteropError;

    fn try_from(from: &TrainAndTest) -> Result<Self, InteropError> {
        let (n_train, n_test) = (from.train.class_names().len(), from.test.class_names().len());
        for found in [n_train, n_test] {
            check_classes(found)?;
        }
        Ok(Self {
            train_images: image_tensor(&from.train)?,
            train_labels: label_tensor(&from.train)?,
            test_images: image_tensor(&from.test)?,
            test_labels: label_tensor(&from.test)?,
            labels: n_train,
        })
    }
}

/// The exact inverse: values must be bytes divided by 255.
impl TryFrom<&vision::Dataset> for TrainAndTest {
    type Error = InteropError;

    fn try_from(from: &vision::Dataset) -> Result<Self, InteropError> {
        check_classes(from.labels)?;
        Ok(Self {
            train: dataset(&from.train_images, &from.train_labels)?,
            test: dataset(&from.test_images, &from.test_labels)?,
        })
    }
}

fn check_classes(found: usize) -> Result<(), InteropError> {
    if found == CLASS_NAMES.len() {
        return Ok(());
    }
    Err(InteropError::Classes { found })
}

/// `(N, 3, 32, 32)` f32.
fn image_tensor(dataset: &Dataset) -> candle_core::Result<Tensor> {
    let shape = (dataset.len(), CHANNELS, SIDE, SIDE);
    let bytes = Tensor::from_slice(dataset.images(), shape, &Device::Cpu)?;
    // candle multiplies by the reciprocal; dividing the bytes ourselves would give other bits.
    bytes.to_dtype(DType::F32)? / 255.0
}

/// `(N)` u8.
fn label_tensor(dataset: &Dataset) -> candle_core::Result<Tensor> {
    Tensor::from_slice(dataset.labels(), dataset.len(), &Device::Cpu)
}

/// `images`: `(N, 3, 32, 32)` f32, `labels`: `(N)` u8.
fn dataset(images: &Tensor, labels: &Tensor) -> Result<Dataset, InteropError> {
    let labels = labels.to_vec1::<u8>()?;
    let values = images.reshape((labels.len() * IMAGE_LEN,))?.to_vec1::<f32>()?;
    images.dims4().and_then(|dims| match dims {
        (_, CHANNELS, SIDE, SIDE) => Ok(()),
        _ => candle_core::bail!("pictures of shape {dims:?}"),
    })?;
    let bytes = values.iter().enumerate().map(|(index, &value)| byte(index, value));
    let bytes = bytes.collect::<Result<Vec<u8>, _>>()?;
    Ok(Dataset::new(bytes, labels, CLASS_NAMES.map(str::to_owned).to_vec())?)
}

/// The byte that `value` is 1/255 of, up to rounding.
fn byte(index: usize, value: f32) -> Result<u8, InteropError> {
    let scaled = value * 255.0;
    let nearest = scaled.round();
    // `<=` fails on NaN.
    if (scaled - nearest).abs() <= 1e-3 && (0.0..=255.0).contains(&nearest) {
        return Ok(nearest as u8);
    }
    Err(InteropError::Value { index, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cifar10::Cifar10;
    use std::path::Path;

    fn parts(folder: &Path) -> TrainAndTest {
        let there = Cifar10::open(folder).unwrap();
        TrainAndTest { train: there.train().unwrap(), test: there.test().unwrap() }
    }

    fn small() -> TrainAndTest {
        let dir = tempfile::tempdir().unwrap();
        parts(&cifar_testkit::write_synthetic(dir.path(), 20, 3).unwrap())
    }

    fn assert_equal_bits(ours: &Tensor, theirs: &Tensor) {
        assert_eq!((ours.dims(), ours.dtype()), (theirs.dims(), theirs.dtype()));
        let bits = |tensor: &Tensor| -> Vec<u32> {
            let flat = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            flat.into_iter().map(f32::to_bits).collect()
        };
        assert!(bits(ours) == bits(theirs));
    }

    /// On the published data where they are there, else on synthetic files of the same size, for
    /// candle reads no smaller ones.
    #[test]
    fn both_read_the_same_tensors() {
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/cifar-10-batches-bin");
        let dir = tempfile::tempdir().unwrap();
        let folder = match real.is_dir() {
            true => real,
            false => cifar_testkit::write_synthetic(dir.path(), 10_000, 0).unwrap(),
        };
        let parts = parts(&folder);
        let theirs = vision::cifar::load_dir(&folder).unwrap();
        let ours = vision::Dataset::try_from(&parts).unwrap();
        assert_eq!(ours.labels, theirs.labels);
        for (ours, theirs) in
            [(&ours.train_labels, &theirs.train_labels), (&ours.test_labels, &theirs.test_labels)]
        {
            assert_eq!(ours.to_vec1::<u8>().unwrap(), theirs.to_vec1::<u8>().unwrap());
        }
        assert_equal_bits(&ours.train_images, &theirs.train_images);
        assert_equal_bits(&ours.test_images, &theirs.test_images);
        assert!(TrainAndTest::try_from(&theirs).unwrap() == parts);
    }

    #[test]
    fn every_byte_comes_back() {
        for by_division in [true, false] {
            for byte in 0..=255u8 {
                let value = f32::from(byte);
                let value = if by_division { value / 255.0 } else { value * (1.0 / 255.0) };
                assert_eq!(super::byte(0, value).unwrap(), byte);
            }
        }
    }

    #[test]
    fn what_is_no_byte_is_refused() {
        let mut theirs = vision::Dataset::try_from(&small()).unwrap();
        theirs.train_images = (theirs.train_images * 1.01).unwrap();
        let error = TrainAndTest::try_from(&theirs).unwrap_err();
        assert!(matches!(error, InteropError::Value { .. }), "{error:?}");
        for value in [-0.1, 1.1, f32::NAN, f32::INFINITY] {
            assert!(matches!(super::byte(4, value), Err(InteropError::Value { index: 4, .. })));
        }
    }

    #[test]
    fn other_shapes_and_classes_are_refused() {
        let mut theirs = vision::Dataset::try_from(&small()).unwrap();
        theirs.test_images = theirs.test_images.permute((0, 2, 3, 1)).unwrap();
        let error = TrainAndTest::try_from(&theirs).unwrap_err();
        assert!(matches!(error, InteropError::Tensor(_)), "{error:?}");
        theirs.labels = 100;
        let error = TrainAndTest::try_from(&theirs).unwrap_err();
        assert!(matches!(error, InteropError::Classes { found: 100 }), "{error:?}");
    }
}
