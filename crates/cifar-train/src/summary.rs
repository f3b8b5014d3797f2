//! The result of a run in one JSON object.

use std::path::PathBuf;

use cifar_metrics::Evaluation;
use serde::{Deserialize, Serialize};

use crate::recipe::Recipe;
use crate::state::TrainState;
use crate::times::TimeTotals;

/// `summary.json`: what a run was and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The recipe's name.
    pub recipe: String,
    /// Architecture.
    pub model: String,
    /// Data set.
    pub dataset: String,
    /// Seed of the run.
    pub seed: u64,
    /// Device it trained on.
    pub device: String,
    /// Precision of activations and weights.
    pub precision: String,
    /// Trainable scalars.
    pub parameters: usize,
    /// Epochs done.
    pub epochs: u32,
    /// Optimiser steps done.
    pub steps: usize,
    /// Whether the run came to its end (by its schedule or by early stopping).
    pub complete: bool,
    /// Mean training loss of the last epoch, whole or begun.
    pub train_loss: Option<f64>,
    /// Training accuracy of the last epoch, whole or begun, as a fraction.
    pub train_accuracy: Option<f64>,
    /// Best validation accuracy as a fraction; none where no images were held out.
    pub val_accuracy: Option<f64>,
    /// Test accuracy as a fraction.
    pub test_accuracy: f64,
    /// Mean cross-entropy on the test images.
    pub test_loss: f64,
    /// Which checkpoint the test figures are of.
    pub tested: String,
    /// Training throughput, without evaluation and saving.
    pub images_per_second: f64,
    /// Seconds of training over all sittings, validation and checkpoints included, pauses and the
    /// test excluded.
    pub duration_s: f64,
    /// What they went into; none in the summaries of older programs.
    #[serde(default)]
    pub times: Option<TimeTotals>,
    /// Those of them that are in none of its parts.
    #[serde(default)]
    pub rest_secs: Option<f64>,
    /// Most memory the process held at once, in bytes; none where the system does not tell.
    pub peak_rss_bytes: Option<u64>,
    /// Commit the program was built from.
    pub git_commit: String,
    /// The run's folder.
    pub run: PathBuf,
}

/// What only the program around the engine knows.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Data set.
    pub dataset: String,
    /// Device name.
    pub device: String,
    /// Most memory held so far, in bytes.
    pub peak_rss_bytes: Option<u64>,
    /// Commit the program was built from.
    pub git_commit: String,
    /// The run's folder.
    pub run: PathBuf,
}

impl Summary {
    /// Puts the parts together. `tested` names the checkpoint that `test` is of.
    pub fn new(
        recipe: &Recipe,
        state: &TrainState,
        parameters: usize,
        test: &Evaluation,
        tested: &str,
        around: Surroundings,
    ) -> Self {
        // An epoch that a limit cut short has a loss too; NaN before its first image.
        let begun = (state.running.n_images > 0).then_some(state.running);
        Self {
            recipe: recipe.name.clone(),
            model: recipe.model.clone(),
            dataset: around.dataset,
            seed: recipe.seed,
            device: around.device,
            precision: recipe.cpu_precision().to_string(),
            parameters,
            epochs: state.epoch,
            steps: state.step,
            complete: state.stopped_early || state.step == state.total_steps,
            train_loss: begun.map(|r| r.loss()).or(state.train_loss),
            train_accuracy: begun.map(|r| r.accuracy()).or(state.train_accuracy),
            val_accuracy: state.best.best.map(|best| best.accuracy),
            test_accuracy: test.top1,
            test_loss: test.loss,
            tested: tested.to_owned(),
            images_per_second: state.images_per_second().unwrap_or(0.0),
            duration_s: state.elapsed_secs,
            times: Some(state.times),
            rest_secs: Some(state.elapsed_secs - state.times.sum()),
            peak_rss_bytes: around.peak_rss_bytes,
            git_commit: around.git_commit,
            run: around.run,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = r#"{
        "recipe": "simplenet", "model": "simplenet", "dataset": "cifar-10", "seed": 0,
        "device": "cpu", "precision": "f32", "parameters": 25578, "epochs": 1, "steps": 1563,
        "complete": true, "train_loss": 1.8, "train_accuracy": 0.35, "val_accuracy": null,
        "test_accuracy": 0.45, "test_loss": 1.56, "tested": "last", "images_per_second": 11775.0,
        "duration_s": 4.3, "peak_rss_bytes": 269352960, "git_commit": "fe4fcb4a4a9b", "run": "r"
    }"#;

    #[test]
    fn a_summary_from_before_times_were_kept_still_reads() {
        let summary: Summary = serde_json::from_str(OLD).unwrap();
        assert_eq!((summary.times, summary.rest_secs, summary.duration_s), (None, None, 4.3));
        let times = TimeTotals { data_secs: 1.5, ..TimeTotals::default() };
        let new = Summary { times: Some(times), rest_secs: Some(2.8), ..summary };
        let text = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<Summary>(&text).unwrap(), new);
    }
}
