/// Why a batch or a stored confusion matrix was refused.
///
/// `sample` counts the samples given to one evaluator from 0, over all its batches.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// The logits are not one row of `n_classes` values for every label.
    #[error(
        "batch has {n_logits} logits for {n_labels} labels, \
         expected {n_labels} rows of {n_classes} classes"
    )]
    BatchShape {
        /// Number of logit values in the batch.
        n_logits: usize,
        /// Number of labels in the batch.
        n_labels: usize,
        /// Number of classes of the evaluator.
        n_classes: usize,
    },
    /// A label names a class that does not exist.
    #[error("sample {sample} has label {label}, expected a class below {n_classes}")]
    Label {
        /// Position of the sample in the evaluation.
        sample: usize,
        /// The label found.
        label: u32,
        /// Number of classes of the evaluator.
        n_classes: usize,
    },
    /// A logit is NaN or infinite, so neither the loss nor the prediction is defined.
    #[error(
        "sample {sample} has the logit {value} for class {class}, expected a finite number: \
         the weights or the input are broken, or training diverged"
    )]
    NotFinite {
        /// Position of the sample in the evaluation.
        sample: usize,
        /// Class of the offending logit.
        class: usize,
        /// The value found.
        value: f32,
    },
    /// A stored confusion matrix is not square.
    #[error("confusion matrix has {n_rows} rows, but row {row} has {n_counts} counts")]
    NotSquare {
        /// Number of rows, which is the number of classes.
        n_rows: usize,
        /// The row at fault.
        row: usize,
        /// Number of counts in that row.
        n_counts: usize,
    },
}
