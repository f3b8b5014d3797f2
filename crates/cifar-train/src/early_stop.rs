//! Ending a run that no longer improves.

use serde::{Deserialize, Serialize};

/// The best validation accuracy so far and how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct BestSoFar {
    /// Accuracy as a fraction, and the epoch (from 0) it was reached in.
    pub best: Option<Best>,
    /// Epochs since then.
    pub epochs_without_improvement: u32,
}

/// One validation result.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Top-1 accuracy on the validation images, as a fraction.
    pub accuracy: f64,
    /// Epoch, counted from 0.
    pub epoch: u32,
}

impl BestSoFar {
    /// Takes in an epoch's accuracy; true where it is strictly better than all before.
    pub fn record(&mut self, epoch: u32, accuracy: f64) -> bool {
        let improved = self.best.is_none_or(|best| accuracy > best.accuracy);
        if improved {
            *self = Self { best: Some(Best { accuracy, epoch }), epochs_without_improvement: 0 };
        } else {
            self.epochs_without_improvement += 1;
        }
        improved
    }

    /// Whether `patience` epochs have passed without improvement.
    pub fn exhausted(&self, patience: u32) -> bool {
        self.epochs_without_improvement >= patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_equal_accuracy_is_no_improvement() {
        let mut best = BestSoFar::default();
        assert!(best.record(0, 0.5));
        assert!(!best.record(1, 0.5));
        assert!(!best.record(2, 0.4));
        assert!(best.exhausted(2) && !best.exhausted(3));
        assert!(best.record(3, 0.6));
        assert_eq!(best.best, Some(Best { accuracy: 0.6, epoch: 3 }));
        assert!(!best.exhausted(1));
    }
}
