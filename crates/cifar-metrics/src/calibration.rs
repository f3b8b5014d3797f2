use serde::{Deserialize, Serialize};

/// Number of bins of equal width, as in Guo et al. 2017.
const N_BINS: usize = 15;

/// How far the probabilities given to the predicted classes agree with how often they are right
/// (Guo et al. 2017, arXiv:1706.04599, section 2).
///
/// Confidence is the softmax probability of the predicted class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Expected calibration error in `0..=1`: the mean over samples of the distance between the
    /// accuracy and the mean confidence of the sample's bin. NaN without samples.
    pub ece: f64,
    /// 15 bins of equal width; bin `m` of them holds the confidences in `(m/15, (m+1)/15]`.
    pub bins: Vec<CalibrationBin>,
}

/// The samples whose confidence falls into one bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationBin {
    /// Number of samples.
    pub n: u64,
    /// Their mean confidence; none without samples.
    pub confidence: Option<f64>,
    /// The fraction of them predicted right; none without samples.
    pub accuracy: Option<f64>,
}

/// Accumulates a [`Calibration`].
#[derive(Debug, Clone, Default)]
pub(crate) struct CalibrationSums {
    bins: [BinSums; N_BINS],
}

#[derive(Debug, Clone, Copy, Default)]
struct BinSums {
    n: u64,
    n_right: u64,
    confidence: f64,
}

impl CalibrationSums {
    /// Adds a sample predicted with `confidence` in `0..=1`.
    pub(crate) fn add(&mut self, confidence: f64, right: bool) {
        let sums = &mut self.bins[bin_of(confidence)];
        sums.n += 1;
        sums.n_right += u64::from(right);
        sums.confidence += confidence;
    }

    pub(crate) fn finish(&self) -> Calibration {
        let n: u64 = self.bins.iter().map(|bin| bin.n).sum();
        // |accuracy - confidence| times the bin's share of the samples, with the bin's size cut.
        let gap: f64 =
            self.bins.iter().map(|bin| (bin.n_right as f64 - bin.confidence).abs()).sum();
        let bins = self.bins.iter().map(|bin| {
            let mean = |sum: f64| (bin.n > 0).then(|| sum / bin.n as f64);
            CalibrationBin {
                n: bin.n,
                confidence: mean(bin.confidence),
                accuracy: mean(bin.n_right as f64),
            }
        });
        Calibration { ece: gap / n as f64, bins: bins.collect() }
    }
}

fn bin_of(confidence: f64) -> usize {
    // Bins are open below; a confidence of 0, which no softmax of two classes gives, joins the first.
    let position = (confidence * N_BINS as f64).ceil() as usize;
    position.clamp(1, N_BINS) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn calibration(samples: &[(f64, bool)]) -> Calibration {
        let mut sums = CalibrationSums::default();
        samples.iter().for_each(|&(confidence, right)| sums.add(confidence, right));
        sums.finish()
    }

    #[test]
    fn worked_example() {
        // Two bins: (0.93, 1] with accuracy 1/2 and mean 0.96, (0.2, 0.27] with 1 and 0.25.
        let got = calibration(&[(0.94, true), (0.98, false), (0.25, true)]);
        let want = (2.0 / 3.0) * (0.96 - 0.5) + (1.0 / 3.0) * (1.0 - 0.25);
        assert!((got.ece - want).abs() < 1e-15, "{} and {want}", got.ece);
        let CalibrationBin { n, confidence, accuracy } = got.bins[14];
        assert_eq!((n, accuracy), (2, Some(0.5)));
        assert!((confidence.unwrap() - 0.96).abs() < 1e-15);
        assert_eq!((got.bins[3].n, got.bins[3].accuracy), (1, Some(1.0)));
        assert_eq!(got.bins[0], CalibrationBin { n: 0, confidence: None, accuracy: None });
    }

    #[test]
    fn a_bin_is_open_below_and_closed_above() {
        assert_eq!(
            [0.0, 1.0 / 15.0, 0.067, 0.2, 0.21, 0.99, 1.0].map(bin_of),
            [0, 0, 1, 2, 3, 14, 14]
        );
    }

    #[test]
    fn certain_and_right_is_perfect_and_certain_and_wrong_the_worst() {
        assert_eq!(calibration(&[(1.0, true); 5]).ece, 0.0);
        assert_eq!(calibration(&[(1.0, false); 5]).ece, 1.0);
        assert!(calibration(&[]).ece.is_nan());
    }

    proptest! {
        #[test]
        fn the_error_is_the_weighted_gap_of_the_bins(
            samples in prop::collection::vec((0.0..=1.0, any::<bool>()), 1..60)
        ) {
            let Calibration { ece, bins } = calibration(&samples);
            let n: u64 = bins.iter().map(|bin| bin.n).sum();
            prop_assert_eq!(n, samples.len() as u64);
            let gap = |bin: &CalibrationBin| {
                let gap = bin.accuracy.unwrap_or(0.0) - bin.confidence.unwrap_or(0.0);
                bin.n as f64 / n as f64 * gap.abs()
            };
            let want: f64 = bins.iter().map(gap).sum();
            prop_assert!((ece - want).abs() < 1e-12 && (0.0..=1.0).contains(&ece));
            for (index, bin) in bins.iter().enumerate() {
                if let Some(confidence) = bin.confidence {
                    let (low, high) = (index as f64 / 15.0, (index + 1) as f64 / 15.0);
                    prop_assert!(low - 1e-12 <= confidence && confidence <= high + 1e-12);
                }
            }
        }
    }
}
