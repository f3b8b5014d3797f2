//! Where a run stands: everything besides tensors that a resumed run needs.

use serde::{Deserialize, Serialize};

use crate::early_stop::BestSoFar;
use crate::times::TimeTotals;

/// Version of the checkpoint layout that this program writes.
pub(crate) const FORMAT: u32 = 1;

/// The position and the running sums of a run, saved as `state.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Version of the checkpoint layout.
    pub format: u32,
    /// Name of the architecture.
    pub model: String,
    /// Length of the schedule in optimiser steps.
    pub total_steps: usize,
    /// Optimiser steps done.
    pub step: usize,
    /// Epoch in progress, counted from 0; equals the recipe's `epochs` once all are done.
    pub epoch: u32,
    /// Batches of that epoch done.
    pub batch: usize,
    /// Sums over the epoch in progress.
    pub running: RunningMeans,
    /// Mean training loss of the last epoch that ended.
    pub train_loss: Option<f64>,
    /// Training accuracy of the last epoch that ended, as a fraction.
    pub train_accuracy: Option<f64>,
    /// Validation results so far.
    pub best: BestSoFar,
    /// Whether early stopping ended the run.
    pub stopped_early: bool,
    /// Seconds spent in training steps.
    pub train_secs: f64,
    /// Images that went through those steps.
    pub n_images: u64,
    /// Seconds since the start, evaluation and saving included, pauses excluded.
    pub elapsed_secs: f64,
    /// What those seconds went into; zeros where an older program, which did not tell, saved it.
    #[serde(default)]
    pub times: TimeTotals,
}

/// Sums from which the means of an epoch come.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunningMeans {
    /// Sum over images of the training loss.
    pub loss_sum: f64,
    /// Images whose largest logit was at their label.
    pub n_correct: u64,
    /// Images seen.
    pub n_images: u64,
}

impl RunningMeans {
    /// Adds a batch of `n_images` with mean loss `loss`.
    pub(crate) fn add(&mut self, loss: f64, n_correct: usize, n_images: usize) {
        self.loss_sum += loss * n_images as f64;
        self.n_correct += n_correct as u64;
        self.n_images += n_images as u64;
    }

    /// Mean loss, NaN before the first image.
    pub fn loss(&self) -> f64 {
        self.loss_sum / self.n_images as f64
    }

    /// Share of correct images, NaN before the first.
    pub fn accuracy(&self) -> f64 {
        self.n_correct as f64 / self.n_images as f64
    }
}

impl TrainState {
    /// The state before the first step.
    pub fn new(model: &str, total_steps: usize) -> Self {
        Self {
            format: FORMAT,
            model: model.to_owned(),
            total_steps,
            step: 0,
            epoch: 0,
            batch: 0,
            running: RunningMeans::default(),
            train_loss: None,
            train_accuracy: None,
            best: BestSoFar::default(),
            stopped_early: false,
            train_secs: 0.0,
            n_images: 0,
            elapsed_secs: 0.0,
            times: TimeTotals::default(),
        }
    }

    /// Training throughput so far, in images per second; `None` before the first step.
    pub fn images_per_second(&self) -> Option<f64> {
        (self.train_secs > 0.0).then(|| self.n_images as f64 / self.train_secs)
    }
}
