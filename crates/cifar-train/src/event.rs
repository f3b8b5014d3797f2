//! What the engine tells while it works. It prints nothing; whoever listens renders.

use std::path::Path;

use candle_core::Tensor;
use cifar_data::Batch;
use cifar_metrics::Evaluation;
use cifar_net::Variable;
use serde::Serialize;

use crate::times::{Span, StepTimes, TimeTotals};

/// Something that happened in a run, in the order it happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// Training begins or goes on.
    Start(Start),
    /// An optimiser step is done.
    Step(StepReport),
    /// What that step worked on.
    StepTensors(StepTensors<'a>),
    /// An epoch is done and, where there are validation images, validated.
    Epoch(EpochReport<'a>),
    /// A checkpoint is on disk.
    Saved {
        /// Its folder.
        path: &'a Path,
        /// Optimiser steps it holds.
        step: usize,
        /// When it was written.
        span: Span,
    },
    /// Validation accuracy has not improved for the recipe's patience.
    EarlyStop {
        /// Epochs without improvement.
        patience: u32,
    },
}

/// The size of the work ahead.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Start {
    /// Optimiser steps done before (0 for a new run).
    pub step: usize,
    /// Optimiser steps of the whole run.
    pub total_steps: usize,
    /// Optimiser steps of one epoch.
    pub steps_per_epoch: usize,
    /// Epochs of the whole run.
    pub epochs: u32,
}

/// One optimiser step.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct StepReport {
    /// Optimiser steps done, this one included.
    pub step: usize,
    /// Epoch, counted from 1.
    pub epoch: u32,
    /// Batch of the epoch, counted from 1.
    pub batch: usize,
    /// Mean loss of the batch, as optimised (label smoothing included).
    pub loss: f64,
    /// Share of the batch classified correctly, in training mode, before the update.
    pub accuracy: f64,
    /// Learning rate of this step.
    pub learning_rate: f64,
    /// Momentum (SGD) or beta1 (AdamW) where the schedule moves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub momentum: Option<f64>,
    /// Global norm of the gradient before clipping.
    pub gradient_norm: f64,
    /// Images in the batch.
    pub n_images: usize,
    /// Seconds from handing the batch over to the end of the update, waiting for data included.
    pub secs: f64,
    /// What they went into.
    #[serde(skip)]
    pub times: StepTimes,
}

/// The data and the tensors of one optimiser step. All is borrowed: whoever wants figures of them
/// computes them, and a run that nobody looks into pays nothing.
#[derive(Debug, Clone, Copy)]
pub struct StepTensors<'a> {
    /// Which step.
    pub report: &'a StepReport,
    /// The images as the model saw them, `N × 3 × 32 × 32`.
    pub batch: &'a Batch,
    /// The model's variables after the step.
    pub variables: &'a [Variable],
    /// Gradient of each trainable variable, in order, before clipping.
    pub gradients: &'a [Tensor],
}

/// One epoch.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct EpochReport<'a> {
    /// Epoch, counted from 1.
    pub epoch: u32,
    /// Optimiser steps done.
    pub step: usize,
    /// Mean training loss over the epoch's images.
    pub train_loss: f64,
    /// Training accuracy over the epoch's images (weights changing, augmented), as a fraction.
    pub train_accuracy: f64,
    /// Result on the validation images, where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationReport<'a>>,
    /// Training throughput so far, in images per second.
    pub images_per_second: f64,
    /// What the time of the run so far went into.
    pub times: TimeTotals,
}

/// The validation result of one epoch.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ValidationReport<'a> {
    /// Mean cross-entropy without smoothing.
    pub loss: f64,
    /// Top-1 accuracy as a fraction.
    pub accuracy: f64,
    /// Whether it is the best so far; then it was saved as `best`.
    pub is_best: bool,
    /// All figures.
    #[serde(skip)]
    pub evaluation: &'a Evaluation,
    /// When it was worked out.
    #[serde(skip)]
    pub span: Span,
}

/// Listens to a run.
pub trait Observer {
    /// Called for each event, on the training thread.
    ///
    /// # Errors
    /// An error ends the run after the state has been saved where that is possible; an observer
    /// whose output may be lost should swallow its errors instead.
    fn observe(&mut self, event: &Event<'_>) -> std::io::Result<()>;
}
