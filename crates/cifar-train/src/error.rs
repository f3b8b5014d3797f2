//! Why training stops before its end.

use std::path::PathBuf;

use crate::checkpoint::CheckpointError;
use crate::schedule::ScheduleError;

/// An error of the training loop.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The loss or the gradient is infinite or NaN.
    #[error(transparent)]
    NonFinite(Box<NonFinite>),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint does not belong to this run.
    #[error(
        "cannot resume: {reason}; use the recipe and the data that the checkpoint was made with"
    )]
    Resume {
        /// What differs.
        reason: String,
    },
    /// The loop and the schedule disagree.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// A trainable variable that the loss does not depend on.
    #[error(
        "`{name}` got no gradient; the loss does not depend on it: mark it as not trainable or use it in the model"
    )]
    NoGradient {
        /// The variable.
        name: String,
    },
    /// A parameter group names what is not there.
    #[error("`parameter-groups` names `{pattern}`, but there are only {}", known.join(", "))]
    ParameterGroup {
        /// The name, as the recipe has it.
        pattern: String,
        /// The trained parameters.
        known: Vec<String>,
    },
    /// A precision that this way of training does not have.
    #[error(
        "`precision` is bf16, which only a layer graph on a CPU is trained in; set precision = \"f32\""
    )]
    Precision,
    /// Logits that the metrics refuse.
    #[error("cannot evaluate")]
    Metrics(#[from] cifar_metrics::MetricsError),
    /// A listener failed, a full disk for example.
    #[error("cannot record the run's progress")]
    Observer(#[source] std::io::Error),
    /// An operation of candle's failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// The circumstances of a loss or gradient that is not finite.
#[derive(Debug)]
pub struct NonFinite {
    /// The loss of the batch.
    pub loss: f64,
    /// Global norm of its gradient; NaN where the loss itself was not finite.
    pub gradient_norm: f64,
    /// The step that was not applied, counted from 1.
    pub step: usize,
    /// Its epoch, counted from 1.
    pub epoch: u32,
    /// Its batch, counted from 1.
    pub batch: usize,
    /// Indices of the batch's images in the training set.
    pub sample_indices: Vec<u32>,
    /// The checkpoint with the state before that step.
    pub saved: Option<PathBuf>,
    /// Why there is none, where saving failed.
    pub save_error: Option<String>,
}

impl std::error::Error for NonFinite {}

impl std::fmt::Display for NonFinite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { loss, gradient_norm, step, epoch, batch, sample_indices, .. } = self;
        if loss.is_finite() {
            write!(f, "the gradient norm is {gradient_norm}")?;
        } else {
            write!(f, "the loss is {loss}")?;
        }
        write!(f, " at step {step} (epoch {epoch}, batch {batch}")?;
        let shown =
            sample_indices.iter().take(4).map(u32::to_string).collect::<Vec<_>>().join(", ");
        let dots = if sample_indices.len() > 4 { ", ..." } else { "" };
        write!(f, ", training images {shown}{dots}); the step was not applied")?;
        match (&self.saved, &self.save_error) {
            (Some(path), _) => write!(f, "; the state before it is in {}", path.display())?,
            (None, Some(error)) => write!(f, "; its state could not be saved: {error}")?,
            (None, None) => {}
        }
        write!(f, "; try a lower `optimizer.learning-rate` or a `clip-norm`")
    }
}
