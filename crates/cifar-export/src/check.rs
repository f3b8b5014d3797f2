//! Whether a file answers as the network does.

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Dtype, ExportError};

/// What two sets of logits may differ by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Largest difference of a logit.
    pub max_abs_difference: f64,
    /// Least share of images with the same likeliest class.
    pub top1_agreement: f64,
}

impl Tolerance {
    /// For f32, 1e-4, what other orders of summation cost; for f16 2e-2, what its rounding of
    /// weights costs; and 99.9 % of the images.
    pub fn of(dtype: Dtype) -> Self {
        let max_abs_difference = match dtype {
            Dtype::F32 => 1e-4,
            Dtype::F16 => 2e-2,
        };
        Self { max_abs_difference, top1_agreement: 0.999 }
    }
}

/// What came of comparing a file's logits with the network's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Images compared.
    pub n_images: usize,
    /// Largest absolute difference of a logit.
    pub max_abs_difference: f64,
    /// Mean absolute difference of the logits.
    pub mean_abs_difference: f64,
    /// Share of images with the same likeliest class.
    pub top1_agreement: f64,
    /// Share of images that the file classifies rightly.
    pub accuracy: f64,
    /// What was allowed.
    pub tolerance: Tolerance,
}

impl Check {
    /// Passes the check on where the differences are within the tolerance.
    ///
    /// # Errors
    /// [`ExportError::Differs`] with the figures.
    pub fn passed(self) -> Result<Self, ExportError> {
        let Tolerance { max_abs_difference, top1_agreement } = self.tolerance;
        // Written so that a NaN fails.
        if self.max_abs_difference <= max_abs_difference && self.top1_agreement >= top1_agreement {
            return Ok(self);
        }
        let difference = format!(
            "largest difference of a logit {:.2e}, allowed {max_abs_difference:.0e}; same class for \
             {:.2} % of {} images, expected at least {:.1} %",
            self.max_abs_difference,
            100.0 * self.top1_agreement,
            self.n_images,
            100.0 * top1_agreement
        );
        Err(ExportError::Differs { difference })
    }
}

/// Compares logits batch by batch.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    n_images: usize,
    n_values: usize,
    max: f64,
    sum: f64,
    n_agreeing: usize,
    n_right: usize,
}

impl Comparison {
    /// Counts one batch. `expected` and `got`: `(N, K)` f32, of the network and of the file;
    /// `labels`: the true classes, `N`.
    ///
    /// # Errors
    /// [`ExportError::Differs`] for logits of another shape.
    pub fn add(
        &mut self,
        expected: &Tensor,
        got: &Tensor,
        labels: &[u8],
    ) -> Result<(), ExportError> {
        if expected.dims() != got.dims() || expected.dims().first() != Some(&labels.len()) {
            let (want, got) = (expected.dims(), got.dims());
            let difference = format!("its logits have the shape {got:?}, expected {want:?}");
            return Err(ExportError::Differs { difference });
        }
        let rows = |logits: &Tensor| logits.to_dtype(DType::F32)?.to_vec2::<f32>();
        for ((want, got), &label) in rows(expected)?.iter().zip(&rows(got)?).zip(labels) {
            for (want, got) in want.iter().zip(got) {
                let difference = f64::from((want - got).abs());
                // A NaN stays, which `f64::max` would drop.
                if difference > self.max || difference.is_nan() {
                    self.max = difference;
                }
                self.sum += difference;
            }
            let predicted = likeliest(got);
            self.n_agreeing += usize::from(predicted == likeliest(want));
            self.n_right += usize::from(predicted == usize::from(label));
            self.n_images += 1;
            self.n_values += want.len();
        }
        Ok(())
    }

    /// The figures of all batches.
    pub fn finish(self, tolerance: Tolerance) -> Check {
        let share = |n: usize, of: usize| n as f64 / of as f64;
        Check {
            n_images: self.n_images,
            max_abs_difference: self.max,
            mean_abs_difference: self.sum / self.n_values as f64,
            top1_agreement: share(self.n_agreeing, self.n_images),
            accuracy: share(self.n_right, self.n_images),
            tolerance,
        }
    }
}

/// The first of the largest.
fn likeliest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (at, value) in logits.iter().enumerate() {
        if *value > logits[best] {
            best = at;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn check(got: [[f32; 3]; 2]) -> Check {
        let logits = |rows: [[f32; 3]; 2]| Tensor::new(&rows, &Device::Cpu).unwrap();
        let mut comparison = Comparison::default();
        let expected = logits([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]);
        comparison.add(&expected, &logits(got), &[0, 1]).unwrap();
        comparison.finish(Tolerance::of(Dtype::F32))
    }

    #[test]
    fn figures_are_those_of_the_values() {
        let found = check([[1.0, 0.0, 0.0], [0.0, 2.5, 2.0]]);
        assert_eq!((found.n_images, found.max_abs_difference), (2, 2.5));
        assert_eq!(found.mean_abs_difference, 2.5 / 6.0);
        assert_eq!((found.top1_agreement, found.accuracy), (0.5, 1.0));
        let error = found.passed().unwrap_err().to_string();
        assert!(error.contains("2.50e0") && error.contains("50.00 %"), "{error}");
    }

    #[test]
    fn equal_logits_pass_and_a_nan_does_not() {
        let equal = check([[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]).passed().unwrap();
        assert_eq!((equal.top1_agreement, equal.accuracy), (1.0, 0.5));
        assert!(check([[f32::NAN, 0.0, 0.0], [0.0, 0.0, 2.0]]).passed().is_err());
    }

    #[test]
    fn logits_of_another_shape_are_told() {
        let zeros = |shape| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let error = Comparison::default().add(&zeros((2, 3)), &zeros((2, 4)), &[0, 0]);
        assert!(error.unwrap_err().to_string().contains("[2, 4], expected [2, 3]"));
    }
}
