use serde::{Deserialize, Serialize};

/// Figures of one class against all the others, as fractions in `0..=1`.
///
/// With `TP` the samples of the class that were predicted as it, `FP` samples of other classes
/// predicted as it and `FN` its samples predicted as another class. Each figure is `None` exactly
/// where its formula reads 0/0. Definitions: van Rijsbergen, *Information Retrieval* (1979),
/// chapter 7; F1 is his effectiveness `1 - E` with equal weights, written over counts so that it
/// is 0, not undefined, for a class that has samples and was never predicted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassMetrics {
    /// `TP / (TP + FP)`: how many of the predictions of this class are right.
    pub precision: Option<f64>,
    /// `TP / (TP + FN)`: how many of the samples of this class were found.
    pub recall: Option<f64>,
    /// `2 TP / (2 TP + FP + FN)`: the harmonic mean of precision and recall.
    pub f1: Option<f64>,
    /// `TP + FN`: number of samples of this class.
    pub support: usize,
}

impl ClassMetrics {
    /// From `TP`, `TP + FP` and `TP + FN`.
    pub(crate) fn from_counts(right: u64, n_predicted: u64, n_true: u64) -> Self {
        Self {
            precision: ratio(right, n_predicted),
            recall: ratio(right, n_true),
            f1: ratio(2 * right, n_predicted + n_true),
            support: n_true as usize,
        }
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worked_example() {
        let metrics = ClassMetrics::from_counts(3, 4, 6);
        assert_eq!(metrics.precision, Some(0.75));
        assert_eq!(metrics.recall, Some(0.5));
        assert_eq!(metrics.f1, Some(0.6));
        assert_eq!(metrics.support, 6);
    }

    #[test]
    fn undefined_only_where_the_formula_is_zero_over_zero() {
        let absent = ClassMetrics::from_counts(0, 0, 0);
        assert_eq!((absent.precision, absent.recall, absent.f1), (None, None, None));
        let never_predicted = ClassMetrics::from_counts(0, 0, 6);
        assert_eq!(never_predicted.precision, None);
        assert_eq!((never_predicted.recall, never_predicted.f1), (Some(0.0), Some(0.0)));
        let without_samples = ClassMetrics::from_counts(0, 4, 0);
        assert_eq!(without_samples.recall, None);
        assert_eq!((without_samples.precision, without_samples.f1), (Some(0.0), Some(0.0)));
    }
}
