use serde::{Deserialize, Serialize};

use crate::{ClassMetrics, MetricsError};

/// How often each class was taken for each class: rows are the true class, columns the prediction.
///
/// Serialises as its rows, `[[40, 2], [1, 57]]`; reading refuses anything that is not square.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Vec<u64>>", into = "Vec<Vec<u64>>")]
pub struct ConfusionMatrix {
    n_classes: usize,
    /// `n_classes x n_classes`, row-major.
    counts: Vec<u64>,
}

/// One kind of mistake: samples of class `truth` that were predicted as `predicted`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfusedPair {
    /// The true class.
    pub truth: usize,
    /// The predicted class, never equal to `truth`.
    pub predicted: usize,
    /// Number of samples, at least 1.
    pub count: u64,
}

impl ConfusionMatrix {
    /// An empty matrix for `n_classes` classes.
    pub fn new(n_classes: usize) -> Self {
        Self { n_classes, counts: vec![0; n_classes * n_classes] }
    }

    /// Counts one sample.
    ///
    /// # Panics
    /// If `truth` or `predicted` is not below [`n_classes`](Self::n_classes).
    pub fn add(&mut self, truth: usize, predicted: usize) {
        let cell = self.cell(truth, predicted);
        self.counts[cell] += 1;
    }

    /// Number of samples of class `truth` that were predicted as `predicted`.
    ///
    /// # Panics
    /// If `truth` or `predicted` is not below [`n_classes`](Self::n_classes).
    pub fn count(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[self.cell(truth, predicted)]
    }

    /// Number of classes `K`; the matrix is `K x K`.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The rows in the order of the true classes, each with one count per predicted class.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[u64]> {
        // Without a class there is no row, and `chunks_exact(0)` would panic.
        self.counts.chunks_exact(self.n_classes.max(1))
    }

    /// Number of samples whose true class is `truth`: the class's support.
    ///
    /// # Panics
    /// If `truth` is not below [`n_classes`](Self::n_classes).
    pub fn row_total(&self, truth: usize) -> u64 {
        (0..self.n_classes).map(|predicted| self.count(truth, predicted)).sum()
    }

    /// Number of samples predicted as `predicted`.
    ///
    /// # Panics
    /// If `predicted` is not below [`n_classes`](Self::n_classes).
    pub fn col_total(&self, predicted: usize) -> u64 {
        (0..self.n_classes).map(|truth| self.count(truth, predicted)).sum()
    }

    /// Number of samples counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Number of samples predicted right: the sum of the diagonal.
    pub fn trace(&self) -> u64 {
        (0..self.n_classes).map(|class| self.count(class, class)).sum()
    }

    /// Fraction of samples predicted right, `trace / total`, in `0..=1`; NaN for an empty matrix.
    pub fn accuracy(&self) -> f64 {
        self.trace() as f64 / self.total() as f64
    }

    /// Precision, recall, F1 and support of one class.
    ///
    /// # Panics
    /// If `class` is not below [`n_classes`](Self::n_classes).
    pub fn class_metrics(&self, class: usize) -> ClassMetrics {
        ClassMetrics::from_counts(
            self.count(class, class),
            self.col_total(class),
            self.row_total(class),
        )
    }

    /// The most frequent mistakes, at most `limit` of them, the most frequent first; equal counts
    /// in the order of the true and then of the predicted class. Mistakes never made are left out.
    pub fn most_confused(&self, limit: usize) -> Vec<ConfusedPair> {
        let mut pairs: Vec<ConfusedPair> = self
            .rows()
            .enumerate()
            .flat_map(|(truth, row)| {
                row.iter().enumerate().map(move |(predicted, &count)| ConfusedPair {
                    truth,
                    predicted,
                    count,
                })
            })
            .filter(|pair| pair.truth != pair.predicted && pair.count > 0)
            .collect();
        // The sort is stable and the pairs come in row-major order, which settles the ties.
        pairs.sort_by_key(|pair| std::cmp::Reverse(pair.count));
        pairs.truncate(limit);
        pairs
    }

    /// A column past the end would silently land in the next row, hence the assertion.
    fn cell(&self, truth: usize, predicted: usize) -> usize {
        let n_classes = self.n_classes;
        assert!(
            truth < n_classes && predicted < n_classes,
            "cell ({truth}, {predicted}) of a confusion matrix of {n_classes} classes"
        );
        truth * n_classes + predicted
    }
}

impl From<ConfusionMatrix> for Vec<Vec<u64>> {
    fn from(matrix: ConfusionMatrix) -> Self {
        matrix.rows().map(<[u64]>::to_vec).collect()
    }
}

impl TryFrom<Vec<Vec<u64>>> for ConfusionMatrix {
    type Error = MetricsError;

    /// Takes the rows of a square matrix, one per true class.
    fn try_from(rows: Vec<Vec<u64>>) -> Result<Self, MetricsError> {
        let n_rows = rows.len();
        if let Some((row, counts)) = rows.iter().enumerate().find(|(_, row)| row.len() != n_rows) {
            return Err(MetricsError::NotSquare { n_rows, row, n_counts: counts.len() });
        }
        Ok(Self { n_classes: n_rows, counts: rows.concat() })
    }
}

#[cfg(test)]
mod tests;
