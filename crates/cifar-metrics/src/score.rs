/// What one row of logits says about the sample's true class.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Score {
    /// Cross-entropy in nats.
    pub(crate) loss: f64,
    /// The predicted class.
    pub(crate) prediction: usize,
    /// Softmax probability of the predicted class.
    pub(crate) confidence: f64,
    /// How many classes stand before the true one; 0 means the prediction is right.
    pub(crate) rank: usize,
}

impl Score {
    /// Scores `logits` (`K` finite values, `K > 0`) against `label < K`.
    pub(crate) fn of(logits: &[f32], label: usize) -> Self {
        let prediction = first_maximum(logits);
        let others = others(logits, prediction);
        Self {
            loss: cross_entropy(logits, label),
            prediction,
            confidence: 1.0 / (1.0 + others),
            rank: rank(logits, label),
        }
    }
}

/// Index of the largest of `logits`, of the first of several; 0 where there are none.
pub fn first_maximum(logits: &[f32]) -> usize {
    // `>` rather than `>=` keeps the first of several maxima, as PyTorch's argmax does.
    (1..logits.len()).fold(0, |best, class| if logits[class] > logits[best] { class } else { best })
}

/// The predicted class of `logits` (`K` finite values, `K > 0`) and its softmax probability.
pub fn prediction(logits: &[f32]) -> (usize, f64) {
    let class = first_maximum(logits);
    (class, 1.0 / (1.0 + others(logits, class)))
}

/// Cross-entropy in nats of `logits` (`K` finite values, `K > 0`) against `label < K`.
pub fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let largest = first_maximum(logits);
    // `(m - x_label) + ln(1 + others)`: a very confident right answer keeps its tiny loss instead
    // of rounding to 0.
    (f64::from(logits[largest]) - f64::from(logits[label])) + others(logits, largest).ln_1p()
}

/// Every class of `logits` (`K` finite values) with its softmax probability, the most probable
/// first; equal logits keep the order of the classes.
pub fn ranking(logits: &[f32]) -> Vec<(usize, f64)> {
    let max = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let weight = |&logit: &f32| (f64::from(logit) - max).exp();
    let total: f64 = logits.iter().map(weight).sum();
    let mut classes: Vec<(usize, f64)> =
        logits.iter().map(|logit| weight(logit) / total).enumerate().collect();
    classes.sort_by(|a, b| logits[b.0].total_cmp(&logits[a.0])); // stable
    classes
}

fn rank(logits: &[f32], label: usize) -> usize {
    let own = logits[label];
    let precedes = |(class, &logit): (usize, &f32)| logit > own || (logit == own && class < label);
    logits.iter().enumerate().filter(|&entry| precedes(entry)).count()
}

/// `sum_{j != argmax} exp(x_j - m)` with the maximum `m`: no exponential overflows.
fn others(logits: &[f32], argmax: usize) -> f64 {
    let max = f64::from(logits[argmax]);
    logits
        .iter()
        .enumerate()
        .filter(|&(class, _)| class != argmax)
        .map(|(_, &logit)| (f64::from(logit) - max).exp())
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assert_close(got: f64, want: f64) {
        assert!((got - want).abs() <= 1e-14 * want.abs(), "got {got}, want {want}");
    }

    #[test]
    fn loss_of_a_worked_example() {
        // ln(1 + e^-1 + e^-2); torch.nn.functional.cross_entropy gives 0.4076.
        assert_close(Score::of(&[1.0, 2.0, 3.0], 2).loss, 0.407_605_964_444_380_3);
        assert_close(Score::of(&[1.0, 2.0, 3.0], 0).loss, 2.407_605_964_444_38);
    }

    #[test]
    fn loss_of_uniform_logits_is_ln_k() {
        for n_classes in 1..=100_u8 {
            let score = Score::of(&vec![-3.5; usize::from(n_classes)], 0);
            assert_close(score.loss, f64::from(n_classes).ln());
        }
    }

    #[test]
    fn loss_survives_extreme_logits() {
        assert_close(Score::of(&[1000.0, 0.0], 1).loss, 1000.0);
        assert_close(Score::of(&[f32::MAX, f32::MIN], 1).loss, 2.0 * f64::from(f32::MAX));
        assert_close(Score::of(&[50.0, 0.0], 0).loss, (-50.0_f64).exp());
    }

    #[test]
    fn ties_go_to_the_lower_class() {
        let logits = [1.0, 7.0, 7.0, 0.0];
        assert_eq!(Score::of(&logits, 2).prediction, 1);
        assert_eq!([0, 1, 2, 3].map(|label| Score::of(&logits, label).rank), [2, 0, 1, 3]);
        assert_eq!(Score::of(&[-0.0, 0.0], 0).prediction, 0, "the two zeros are equal");
    }

    proptest! {
        /// Small integers, so that ties are common.
        #[test]
        fn agrees_with_sorting_and_with_the_plain_softmax(
            logits in prop::collection::vec((-3_i8..=3).prop_map(f32::from), 1..12),
            label in any::<prop::sample::Index>(),
        ) {
            let label = label.index(logits.len());
            let score = Score::of(&logits, label);

            let mut order: Vec<usize> = (0..logits.len()).collect();
            order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a])); // stable
            prop_assert_eq!(score.prediction, order[0]);
            prop_assert_eq!(order[score.rank], label);

            let exp = |x: f32| f64::from(x).exp();
            let p = exp(logits[label]) / logits.iter().map(|&x| exp(x)).sum::<f64>();
            prop_assert!((score.loss + p.ln()).abs() < 1e-12);
            prop_assert!(score.loss >= 0.0);

            let largest = exp(logits[order[0]]) / logits.iter().map(|&x| exp(x)).sum::<f64>();
            prop_assert!((score.confidence - largest).abs() < 1e-12);
            prop_assert_eq!(prediction(&logits), (score.prediction, score.confidence));

            let ranked = ranking(&logits);
            prop_assert_eq!(ranked.iter().map(|&(class, _)| class).collect::<Vec<_>>(), order);
            prop_assert!((ranked[score.rank].1 - p).abs() < 1e-12);
        }
    }
}
