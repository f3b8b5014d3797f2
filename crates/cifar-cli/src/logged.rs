//! A run's log as the drawings take it.

use cifar_report::{EpochPoint, StepPoint};
use cifar_train::{History, LoggedEpoch, LoggedStep};

/// Every step, and every epoch that was validated.
pub(crate) fn points(history: &History) -> (Vec<StepPoint>, Vec<EpochPoint>) {
    let step = |step: &LoggedStep| StepPoint {
        step: step.step,
        loss: step.loss,
        accuracy: step.accuracy,
        learning_rate: step.learning_rate,
        gradient_norm: step.gradient_norm,
    };
    let validated = |epoch: &LoggedEpoch| {
        let validation = epoch.validation?;
        Some(EpochPoint {
            epoch: epoch.epoch,
            step: epoch.step,
            loss: validation.loss,
            accuracy: validation.accuracy,
        })
    };
    let steps = history.steps.iter().map(step).collect();
    (steps, history.epochs.iter().filter_map(validated).collect())
}
