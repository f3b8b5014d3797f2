use serde::{Deserialize, Serialize};

use crate::calibration::CalibrationSums;
use crate::score::Score;
use crate::{Calibration, ClassMetrics, ConfusionMatrix, MetricsError};

/// `k` of the top-k accuracy next to top-1.
const TOP_K: usize = 5;

/// What a model does on a set of samples.
///
/// Without a single sample the three means and the calibration error are NaN, which JSON cannot hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evaluation {
    /// Number of samples.
    pub n: usize,
    /// Mean cross-entropy in nats, `1/n sum_i (ln sum_j exp(x_ij) - x_iy)` for logits `x` and label
    /// `y`, without label smoothing. Guessing uniformly among `K` classes gives `ln K`.
    pub loss: f64,
    /// Fraction of samples whose true class has the highest logit, the first of several equal ones
    /// being the prediction.
    pub top1: f64,
    /// Fraction of samples whose true class is among the five highest logits, equal logits ranked
    /// by class; with five classes or fewer that is every sample.
    pub top5: f64,
    /// One entry per class, in class order.
    pub per_class: Vec<ClassMetrics>,
    /// Which class was taken for which.
    pub confusion: ConfusionMatrix,
    /// Whether the probabilities can be believed.
    pub calibration: Calibration,
}

/// Accumulates an [`Evaluation`] batch by batch; how the samples are cut into batches leaves the
/// result bit for bit the same.
#[derive(Debug, Clone)]
pub struct Evaluator {
    n: usize,
    total_loss: f64,
    n_in_top5: usize,
    confusion: ConfusionMatrix,
    calibration: CalibrationSums,
}

impl Evaluator {
    /// An evaluator of `n_classes` classes that has seen no sample.
    pub fn new(n_classes: usize) -> Self {
        let confusion = ConfusionMatrix::new(n_classes);
        let calibration = CalibrationSums::default();
        Self { n: 0, total_loss: 0.0, n_in_top5: 0, confusion, calibration }
    }

    /// Adds a batch: `logits` is `N x K` row-major, `labels` holds `N` classes below `K`.
    ///
    /// # Errors
    /// If the sizes disagree, a label is not below `K`, or a logit is NaN or infinite; the error
    /// names the sample. Then nothing of the batch is counted.
    pub fn add_batch(&mut self, logits: &[f32], labels: &[u32]) -> Result<(), MetricsError> {
        self.check(logits, labels)?;
        let n_classes = self.confusion.n_classes();
        for (index, &label) in labels.iter().enumerate() {
            let row = &logits[index * n_classes..][..n_classes];
            self.add_sample(Score::of(row, label as usize), label as usize);
        }
        Ok(())
    }

    /// Number of samples added so far.
    pub fn n_samples(&self) -> usize {
        self.n
    }

    /// Divides the sums.
    pub fn finish(self) -> Evaluation {
        let n = self.n as f64;
        Evaluation {
            n: self.n,
            loss: self.total_loss / n,
            top1: self.confusion.accuracy(),
            top5: self.n_in_top5 as f64 / n,
            per_class: (0..self.confusion.n_classes())
                .map(|class| self.confusion.class_metrics(class))
                .collect(),
            confusion: self.confusion,
            calibration: self.calibration.finish(),
        }
    }

    fn check(&self, logits: &[f32], labels: &[u32]) -> Result<(), MetricsError> {
        let n_classes = self.confusion.n_classes();
        if logits.len() != labels.len() * n_classes {
            return Err(MetricsError::BatchShape {
                n_logits: logits.len(),
                n_labels: labels.len(),
                n_classes,
            });
        }
        if let Some(index) = labels.iter().position(|&label| label as usize >= n_classes) {
            let (sample, label) = (self.n + index, labels[index]);
            return Err(MetricsError::Label { sample, label, n_classes });
        }
        if let Some(index) = logits.iter().position(|logit| !logit.is_finite()) {
            let (sample, class) = (self.n + index / n_classes, index % n_classes);
            return Err(MetricsError::NotFinite { sample, class, value: logits[index] });
        }
        Ok(())
    }

    fn add_sample(&mut self, score: Score, label: usize) {
        self.n += 1;
        self.total_loss += score.loss;
        self.n_in_top5 += usize::from(score.rank < TOP_K);
        self.confusion.add(label, score.prediction);
        self.calibration.add(score.confidence, score.prediction == label);
    }
}

#[cfg(test)]
mod tests;
