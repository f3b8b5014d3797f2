//! Accuracy, loss, confusion matrix, per-class figures and calibration from logits and labels.
//!
//! An [`Evaluator`] is fed batches of logits (`N x K`, row-major) with their labels and ends in an
//! [`Evaluation`]: plain numbers that serialise with serde. The crate knows no tensors, no class
//! names and no output: reading the logits off a device is the caller's work, and so is printing.
//!
//! Accuracies are fractions in `0..=1`; the loss is in nats.
//!
//! ```
//! use cifar_metrics::Evaluator;
//!
//! let mut evaluator = Evaluator::new(3);
//! let logits = [
//!     2.0, 0.5, -1.0, // predicted 0
//!     0.1, 0.2, 0.3, // predicted 2
//! ];
//! evaluator.add_batch(&logits, &[0, 1])?;
//! let evaluation = evaluator.finish();
//! assert_eq!(evaluation.top1, 0.5);
//! assert_eq!(evaluation.confusion.count(1, 2), 1);
//! assert_eq!(evaluation.per_class[0].recall, Some(1.0));
//! # Ok::<(), cifar_metrics::MetricsError>(())
//! ```

mod calibration;
mod class_metrics;
mod confusion;
mod error;
mod evaluation;
mod score;
mod spread;
mod verdict;

pub use calibration::{Calibration, CalibrationBin};
pub use class_metrics::ClassMetrics;
pub use confusion::{ConfusedPair, ConfusionMatrix};
pub use error::MetricsError;
pub use evaluation::{Evaluation, Evaluator};
pub use score::{cross_entropy, first_maximum, prediction, ranking};
pub use spread::Spread;
pub use verdict::{Verdict, by_cell, least_sure_hits, surest_mistakes};
