//! Where a run's time goes.

use std::time::{Duration, Instant};

use cifar_data::Preparation;
use serde::{Deserialize, Serialize};

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it began.
    pub begun: Instant,
    /// How long it took.
    pub took: Duration,
}

/// When the parts of one optimiser step ran: in this order, each right after the one before.
///
/// With gradient accumulation forward and backward take turns; each is then the sum of its turns.
/// A GPU works behind the program's back; what it does is then counted where the program waits for
/// it, the forward pass at the latest when its loss is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepTimes {
    /// When the loop began to wait for the batch.
    pub begun: Instant,
    /// Waiting for the batch.
    pub data: Duration,
    /// Logits and loss.
    pub forward: Duration,
    /// Gradients.
    pub backward: Duration,
    /// Norm and clipping of the gradients, the update, weight averaging.
    pub optimizer: Duration,
    /// How a data worker made the batch, meanwhile or before; none where there is no worker.
    pub prepared: Option<Preparation>,
}

impl StepTimes {
    /// A step that takes no time, now.
    #[cfg(test)]
    pub(crate) fn at_once() -> Self {
        let none = Duration::ZERO;
        Self {
            begun: Instant::now(),
            data: none,
            forward: none,
            backward: none,
            optimizer: none,
            prepared: None,
        }
    }

    /// The parts with their names, in order.
    pub fn parts(&self) -> [(&'static str, Duration); 4] {
        [
            ("data", self.data),
            ("forward", self.forward),
            ("backward", self.backward),
            ("optimizer", self.optimizer),
        ]
    }

    /// All parts.
    pub fn total(&self) -> Duration {
        self.data + self.forward + self.backward + self.optimizer
    }
}

/// Seconds of the training thread by what it did, over all sittings of a run. No second is in two
/// parts; [`TimeTotals::sum`] falls short of the run's whole time by what is in none of them, such
/// as ending the data workers of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeTotals {
    /// Waiting for batches.
    pub data_secs: f64,
    /// Logits and loss, see [`StepTimes`].
    pub forward_secs: f64,
    /// Gradients.
    pub backward_secs: f64,
    /// Norm and clipping of the gradients, updates, weight averaging.
    pub optimizer_secs: f64,
    /// Evaluating the validation images.
    pub evaluation_secs: f64,
    /// Writing checkpoints.
    pub checkpoint_secs: f64,
    /// Telling observers: logs, progress, pictures.
    pub observer_secs: f64,
}

impl TimeTotals {
    /// Seconds in all parts together.
    pub fn sum(&self) -> f64 {
        self.data_secs
            + self.forward_secs
            + self.backward_secs
            + self.optimizer_secs
            + self.evaluation_secs
            + self.checkpoint_secs
            + self.observer_secs
    }

    pub(crate) fn add_step(&mut self, times: &StepTimes) {
        self.data_secs += times.data.as_secs_f64();
        self.forward_secs += times.forward.as_secs_f64();
        self.backward_secs += times.backward.as_secs_f64();
        self.optimizer_secs += times.optimizer.as_secs_f64();
    }
}

/// Time since the run began, over all its sittings, cut into laps.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    before_secs: f64,
    lap: Instant,
}

impl Clock {
    /// Starts a sitting; `before_secs` are those of the sittings before.
    pub(crate) fn start(before_secs: f64) -> Self {
        let started = Instant::now();
        Self { started, before_secs, lap: started }
    }

    pub(crate) fn elapsed_secs(&self) -> f64 {
        self.before_secs + self.started.elapsed().as_secs_f64()
    }

    /// What has passed since the last lap ended; begins the next one.
    pub(crate) fn lap(&mut self) -> Span {
        let begun = std::mem::replace(&mut self.lap, Instant::now());
        Span { begun, took: self.lap - begun }
    }
}
