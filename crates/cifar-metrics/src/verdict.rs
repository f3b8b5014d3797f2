use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a model made of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// Position of the sample in the evaluation, counted from 0.
    pub sample: usize,
    /// Its class.
    pub truth: usize,
    /// The predicted class.
    pub predicted: usize,
    /// Softmax probability of the predicted class, in `0..=1`.
    pub probability: f64,
}

impl Verdict {
    /// Whether the prediction is the sample's class.
    pub fn is_right(&self) -> bool {
        self.truth == self.predicted
    }
}

/// The mistakes, the surest first; equally sure ones in the order of the samples.
pub fn surest_mistakes(verdicts: &[Verdict]) -> Vec<Verdict> {
    sorted(verdicts, |verdict| !verdict.is_right(), Order::SurestFirst)
}

/// The right predictions, the least sure first; equally sure ones in the order of the samples.
pub fn least_sure_hits(verdicts: &[Verdict]) -> Vec<Verdict> {
    sorted(verdicts, Verdict::is_right, Order::LeastSureFirst)
}

/// The samples behind each cell of the confusion matrix, by true and predicted class, the surest
/// first. A cell that counts none is absent.
pub fn by_cell(verdicts: &[Verdict]) -> BTreeMap<(usize, usize), Vec<Verdict>> {
    let mut cells: BTreeMap<_, Vec<Verdict>> = BTreeMap::new();
    for verdict in sorted(verdicts, |_| true, Order::SurestFirst) {
        cells.entry((verdict.truth, verdict.predicted)).or_default().push(verdict);
    }
    cells
}

#[derive(Clone, Copy)]
enum Order {
    SurestFirst,
    LeastSureFirst,
}

fn sorted(verdicts: &[Verdict], wanted: impl Fn(&Verdict) -> bool, order: Order) -> Vec<Verdict> {
    let mut chosen: Vec<Verdict> = verdicts.iter().copied().filter(wanted).collect();
    // Stable, so that ties keep their order.
    chosen.sort_by(|a, b| match order {
        Order::SurestFirst => b.probability.total_cmp(&a.probability),
        Order::LeastSureFirst => a.probability.total_cmp(&b.probability),
    });
    chosen
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ConfusionMatrix;

    fn verdicts(samples: &[(usize, usize, f64)]) -> Vec<Verdict> {
        let verdict = |(sample, &(truth, predicted, probability))| Verdict {
            sample,
            truth,
            predicted,
            probability,
        };
        samples.iter().enumerate().map(verdict).collect()
    }

    fn samples(verdicts: &[Verdict]) -> Vec<usize> {
        verdicts.iter().map(|verdict| verdict.sample).collect()
    }

    #[test]
    fn worked_example() {
        let all = verdicts(&[
            (0, 0, 0.9),
            (0, 1, 0.6),
            (1, 0, 0.8),
            (1, 1, 0.4),
            (0, 1, 0.8),
            (1, 1, 0.4),
        ]);
        assert_eq!(samples(&surest_mistakes(&all)), [2, 4, 1]);
        assert_eq!(samples(&least_sure_hits(&all)), [3, 5, 0]);
        let cells = by_cell(&all);
        assert_eq!(samples(&cells[&(0, 1)]), [4, 1]);
        assert_eq!(cells.keys().copied().collect::<Vec<_>>(), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    }

    #[test]
    fn without_samples_there_is_nothing() {
        assert!(surest_mistakes(&[]).is_empty() && least_sure_hits(&[]).is_empty());
        assert!(by_cell(&[]).is_empty());
        let right = verdicts(&[(0, 0, 1.0)]);
        assert!(surest_mistakes(&right).is_empty());
    }

    proptest! {
        #[test]
        fn every_sample_is_in_its_cell_and_in_one_of_the_lists(
            rows in prop::collection::vec((0_usize..4, 0_usize..4, 0.0..=1.0), 0..60)
        ) {
            let all = verdicts(&rows);
            let (wrong, right) = (surest_mistakes(&all), least_sure_hits(&all));
            prop_assert_eq!(wrong.len() + right.len(), all.len());
            prop_assert!(wrong.windows(2).all(|pair| pair[0].probability >= pair[1].probability));
            prop_assert!(right.windows(2).all(|pair| pair[0].probability <= pair[1].probability));
            let mut matrix = ConfusionMatrix::new(4);
            all.iter().for_each(|verdict| matrix.add(verdict.truth, verdict.predicted));
            let cells = by_cell(&all);
            for truth in 0..4 {
                for predicted in 0..4 {
                    let n = cells.get(&(truth, predicted)).map_or(0, Vec::len);
                    prop_assert_eq!(n as u64, matrix.count(truth, predicted));
                }
            }
        }
    }
}
