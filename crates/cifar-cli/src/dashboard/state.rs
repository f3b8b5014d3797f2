//! What the dashboard knows: a pure function of the run's events and of the keys.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cifar_train::{EpochReport, Event, History, Start, StepReport};

use super::curve::{Curve, Smoothed};
use crate::progress;
use crate::tables::grouped;

/// Steps over which loss and accuracy of training are smoothed, about.
const SMOOTHED_STEPS: f64 = 50.0;
/// Steps over which the speed is smoothed, about.
const SPEED_STEPS: f64 = 20.0;
/// Lines of the log that are remembered.
const LOG_LINES: usize = 2000;

/// What is known of a run before it starts.
#[derive(Debug, Clone)]
pub(crate) struct About {
    /// The recipe's name.
    pub(crate) recipe: String,
    /// The network's name.
    pub(crate) model: String,
    pub(crate) n_parameters: usize,
    /// Device and precision.
    pub(crate) device: String,
    pub(crate) threads: usize,
    pub(crate) class_names: Arc<[String]>,
    /// Whether images are held out, so that there will be a validation.
    pub(crate) validates: bool,
    /// The step at which the user lets the run end early.
    pub(crate) stop_at: Option<usize>,
    /// Where the run's steps are logged.
    pub(crate) metrics: PathBuf,
}

/// A line of the log pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogLine {
    pub(super) text: Arc<str>,
    /// Whether it is one of the lines of a run without a dashboard, which stay on the screen.
    pub(super) stays: bool,
}

/// The share of each class's validation images that were found, after `epoch`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recalls {
    pub(super) epoch: u32,
    pub(super) of_class: Vec<Option<f64>>,
}

/// How far the user has gone in stopping the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopping {
    No,
    /// "Stop? y/n" waits for an answer.
    Asked,
    /// The run stops after the step it is at.
    Confirmed,
}

/// Everything that is drawn, but for what the system tells.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) about: About,
    pub(super) start: Option<Start>,
    pub(super) last: Option<StepReport>,
    pub(super) train_loss: Curve,
    pub(super) train_accuracy: Curve,
    pub(super) learning_rate: Curve,
    /// `(step, value)` after each epoch.
    pub(super) validation_loss: Vec<(f64, f64)>,
    pub(super) validation_accuracy: Vec<(f64, f64)>,
    pub(super) recalls: Option<Recalls>,
    pub(super) log: VecDeque<LogLine>,
    pub(super) stopping: Stopping,
    /// Whether all batches of the epoch are done and the epoch is not.
    pub(super) ends_epoch: bool,
    /// Seconds and images of a step.
    speed: (Smoothed, Smoothed),
    /// When the first and the last step of this sitting were done, and the first one's number.
    sitting: Option<(Duration, Duration, usize)>,
}

impl State {
    pub(super) fn new(about: About) -> Self {
        Self {
            about,
            start: None,
            last: None,
            train_loss: Curve::over(SMOOTHED_STEPS),
            train_accuracy: Curve::over(SMOOTHED_STEPS),
            learning_rate: Curve::over(1.0),
            validation_loss: Vec::new(),
            validation_accuracy: Vec::new(),
            recalls: None,
            log: VecDeque::new(),
            stopping: Stopping::No,
            ends_epoch: false,
            speed: (Smoothed::over(SPEED_STEPS), Smoothed::over(SPEED_STEPS)),
            sitting: None,
        }
    }

    /// Takes in `event`, which happened `now`, counted from when the dashboard opened.
    pub(super) fn observe(&mut self, event: &Event<'_>, now: Duration) {
        match event {
            Event::Start(start) => self.begin(*start),
            Event::Step(report) => self.step(report, now),
            Event::StepTensors(_) => {}
            Event::Epoch(report) => self.epoch(report),
            Event::Saved { path, step, .. } => {
                self.saved(path.file_name().map_or(*path, Path::new), *step);
            }
            Event::EarlyStop { patience } => self.log(progress::early_stop_line(*patience), true),
        }
    }

    /// Says so in place of the line before, where that says it of an earlier step: with a
    /// checkpoint every few seconds, nothing else would be left to see.
    fn saved(&mut self, name: &Path, step: usize) {
        let said = format!("Saved checkpoint {}", name.display());
        if self.log.back().is_some_and(|line| !line.stays && line.text.starts_with(&said)) {
            self.log.pop_back();
        }
        self.log(format!("{said} (step {})", grouped(step as u64)), false);
    }

    fn begin(&mut self, start: Start) {
        self.start = Some(start);
        if start.step == 0 {
            return;
        }
        match History::read(&self.about.metrics) {
            Ok(history) => self.recall(&history),
            // The run does not need it; only the curves begin later.
            Err(error) => self.log(format!("The curves lack the steps before: {error}"), false),
        }
        self.log(progress::going_on_line(&start), true);
    }

    /// Takes in the steps of earlier sittings.
    fn recall(&mut self, history: &History) {
        for step in &history.steps {
            self.draw_step(step.step, step.loss, step.accuracy, step.learning_rate);
        }
        for epoch in &history.epochs {
            if let Some(validation) = epoch.validation {
                self.draw_validation(epoch.step, validation.loss, validation.accuracy);
            }
        }
    }

    fn step(&mut self, report: &StepReport, now: Duration) {
        self.draw_step(report.step, report.loss, report.accuracy, report.learning_rate);
        self.speed.0.add(report.secs);
        self.speed.1.add(report.n_images as f64);
        self.last = Some(*report);
        self.ends_epoch = self.start.is_some_and(|start| report.batch == start.steps_per_epoch);
        self.sitting = match self.sitting {
            None => Some((now, now, report.step)),
            Some((first, _, first_step)) => Some((first, now, first_step)),
        };
    }

    fn draw_step(&mut self, step: usize, loss: f64, accuracy: f64, learning_rate: f64) {
        self.train_loss.push(step, loss);
        self.train_accuracy.push(step, accuracy);
        self.learning_rate.push(step, learning_rate);
    }

    fn draw_validation(&mut self, step: usize, loss: f64, accuracy: f64) {
        self.validation_loss.push((step as f64, loss));
        self.validation_accuracy.push((step as f64, accuracy));
    }

    fn epoch(&mut self, report: &EpochReport<'_>) {
        self.ends_epoch = false;
        let epochs = self.start.map_or(0, |start| start.epochs);
        self.log(progress::epoch_line(report, epochs), true);
        let Some(validation) = &report.validation else { return };
        self.draw_validation(report.step, validation.loss, validation.accuracy);
        let of_class = validation.evaluation.per_class.iter().map(|class| class.recall).collect();
        self.recalls = Some(Recalls { epoch: report.epoch, of_class });
    }

    /// Adds lines to the log; see [`LogLine::stays`].
    pub(super) fn log(&mut self, text: impl AsRef<str>, stays: bool) {
        for line in text.as_ref().lines() {
            if self.log.len() == LOG_LINES {
                self.log.pop_front();
            }
            self.log.push_back(LogLine { text: line.into(), stays });
        }
    }

    /// Optimiser steps done, and those of the whole run.
    pub(super) fn steps(&self) -> (usize, usize) {
        let (done, total) = self.start.map_or((0, 0), |start| (start.step, start.total_steps));
        (self.last.map_or(done, |last| last.step), total)
    }

    pub(super) fn images_per_second(&self) -> Option<f64> {
        let (secs, images) = (self.speed.0.mean()?, self.speed.1.mean()?);
        (secs > 0.0).then(|| images / secs)
    }

    /// Seconds until the last step of this sitting, by the time that its steps took, with what
    /// came between them.
    pub(super) fn secs_left(&self) -> Option<f64> {
        let (first, last, first_step) = self.sitting?;
        let (step, total) = self.steps();
        let n = step.checked_sub(first_step).filter(|&n| n > 0)?;
        let end = self.about.stop_at.map_or(total, |stop| stop.min(total));
        let left = end.saturating_sub(step) as f64;
        Some(left * last.saturating_sub(first).as_secs_f64() / n as f64)
    }
}

#[cfg(test)]
pub(super) mod tests;
