//! `metrics.jsonl` read back, for pictures and tables of a run.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

/// What a run's log tells, in its order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Every optimiser step.
    pub steps: Vec<LoggedStep>,
    /// Every epoch.
    pub epochs: Vec<LoggedEpoch>,
}

/// A step of the log; the fields are those of [`StepReport`](crate::StepReport). JSON has no word for
/// a figure that is not finite; it is logged as `null` and read back as NaN.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct LoggedStep {
    /// Optimiser steps done, this one included.
    pub step: usize,
    /// Mean loss of the batch.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Share of the batch classified correctly.
    #[serde(deserialize_with = "number_or_null")]
    pub accuracy: f64,
    /// Learning rate of this step.
    #[serde(deserialize_with = "number_or_null")]
    pub learning_rate: f64,
    /// Global norm of the gradient before clipping.
    #[serde(deserialize_with = "number_or_null")]
    pub gradient_norm: f64,
    /// Images in the batch.
    pub n_images: usize,
    /// Seconds from handing the batch over to the end of the update, waiting for data included.
    pub secs: f64,
}

fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// An epoch of the log; the fields are those of [`EpochReport`](crate::EpochReport).
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct LoggedEpoch {
    /// Epoch, counted from 1.
    pub epoch: u32,
    /// Optimiser steps done.
    pub step: usize,
    /// Mean training loss over the epoch's images.
    #[serde(deserialize_with = "number_or_null")]
    pub train_loss: f64,
    /// Training accuracy over the epoch's images, as a fraction.
    pub train_accuracy: f64,
    /// Result on the validation images, where there are any.
    pub validation: Option<LoggedValidation>,
}

/// The validation result of an epoch of the log.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub struct LoggedValidation {
    /// Mean cross-entropy without smoothing.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Top-1 accuracy as a fraction.
    pub accuracy: f64,
}

/// A log that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// There is nothing to show.
    #[error("{0} holds no step yet; train the run for at least one: cifar train --resume RUN")]
    NoSteps(PathBuf),
    /// A line is not what a run writes.
    #[error("{path}, line {line} is damaged; delete that line, or restore the file from a copy")]
    Damaged {
        /// The log.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The system refused.
    #[error("cannot read {path}")]
    Read {
        /// The log.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line {
    Step(LoggedStep),
    Epoch(LoggedEpoch),
}

impl History {
    /// Reads the log at `path`, see [`JsonLines`](crate::JsonLines). A last line without its end,
    /// which a killed process may leave, is passed over.
    ///
    /// # Errors
    /// [`HistoryError::NoSteps`] where the log is absent or holds no step, or
    /// [`HistoryError::Damaged`] with the line's number.
    pub fn read(path: &Path) -> Result<Self, HistoryError> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            other => {
                other.map_err(|source| HistoryError::Read { path: path.to_owned(), source })?
            }
        };
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let mut history = Self::default();
        for (index, line) in whole.lines().enumerate() {
            match serde_json::from_str(line) {
                Ok(Line::Step(step)) => history.steps.push(step),
                Ok(Line::Epoch(epoch)) => history.epochs.push(epoch),
                Err(source) => {
                    let (path, line) = (path.to_owned(), index + 1);
                    return Err(HistoryError::Damaged { path, line, source });
                }
            }
        }
        if history.steps.is_empty() {
            Err(HistoryError::NoSteps(path.to_owned()))
        } else {
            Ok(history)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EpochReport, Event, JsonLines, Observer, StepReport, StepTimes, TimeTotals};

    fn log(path: &Path) {
        let mut log = JsonLines::open(path, 0).unwrap();
        let step = StepReport {
            step: 1,
            epoch: 1,
            batch: 1,
            loss: 2.5,
            accuracy: 0.25,
            learning_rate: 0.1,
            momentum: Some(0.9),
            gradient_norm: 3.0,
            n_images: 8,
            secs: 0.5,
            times: StepTimes::at_once(),
        };
        log.observe(&Event::Step(step)).unwrap();
        let epoch = EpochReport {
            epoch: 1,
            step: 1,
            train_loss: 2.5,
            train_accuracy: 0.25,
            validation: None,
            images_per_second: 16.0,
            times: TimeTotals::default(),
        };
        log.observe(&Event::Epoch(epoch)).unwrap();
    }

    #[test]
    fn reads_what_a_run_writes_but_not_a_half_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        log(&path);
        let whole = History::read(&path).unwrap();
        assert_eq!((whole.steps[0].loss, whole.steps[0].gradient_norm), (2.5, 3.0));
        assert_eq!((whole.epochs[0].epoch, whole.epochs[0].validation), (1, None));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}{{\"event\":\"step\",\"st")).unwrap();
        assert_eq!(History::read(&path).unwrap(), whole);
    }

    #[test]
    fn a_loss_that_is_no_number_is_read_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        log(&path);
        let mut log = JsonLines::open(&path, 1).unwrap();
        let mut step = StepReport {
            step: 2,
            epoch: 1,
            batch: 2,
            loss: f64::NAN,
            accuracy: 0.5,
            learning_rate: 0.1,
            momentum: None,
            gradient_norm: f64::INFINITY,
            n_images: 8,
            secs: 0.5,
            times: StepTimes::at_once(),
        };
        log.observe(&Event::Step(step)).unwrap();
        (step.step, step.loss) = (3, 1.5);
        log.observe(&Event::Step(step)).unwrap();
        let read = History::read(&path).unwrap();
        assert!(read.steps[1].loss.is_nan() && read.steps[1].gradient_norm.is_nan());
        assert_eq!((read.steps[2].loss, read.steps[2].accuracy), (1.5, 0.5));
    }

    #[test]
    fn says_where_a_log_is_damaged_and_when_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        assert!(matches!(History::read(&path), Err(HistoryError::NoSteps(_))));
        log(&path);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{text}half a li\n{text}")).unwrap();
        let error = History::read(&path).unwrap_err();
        assert!(matches!(error, HistoryError::Damaged { line: 3, .. }), "{error}");
    }
}
