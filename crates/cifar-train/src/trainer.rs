//! The training loop.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{Device, Tensor};
use cifar_data::{Batch, Loader};
use cifar_net::Variable;

use crate::checkpoint::{CheckpointError, CheckpointStore, Slot, Snapshot};
use crate::clip::global_norm;
use crate::ema::Ema;
use crate::engine::Engine;
use crate::error::{NonFinite, TrainError};
use crate::evaluate::evaluate;
use crate::event::{
    EpochReport, Event, Observer, Start, StepReport, StepTensors, ValidationReport,
};
use crate::example_losses::ExampleLosses;
use crate::learner::Learner;
use crate::optimizer::Optimizers;
use crate::recipe::Recipe;
use crate::schedule::StepSize;
use crate::state::{RunningMeans, TrainState};
use crate::times::{Clock, StepTimes, TimeTotals};

/// Why [`Trainer::fit`] returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Every step of the schedule was taken.
    Completed,
    /// Validation accuracy no longer improved.
    StoppedEarly,
    /// [`Limits::max_steps`] was reached before the end; the run can go on from its checkpoint.
    StepLimit,
    /// [`Limits::interrupt`] was set; the run can go on from its checkpoint.
    Interrupted,
}

/// What may end [`Trainer::fit`] before the schedule does.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// Stop once this many optimiser steps are done in all. The schedule keeps its length.
    pub max_steps: Option<usize>,
    /// Looked at after every step; once true, the state is saved and `fit` returns.
    pub interrupt: &'a AtomicBool,
}

/// A run: a model, its data and a recipe, and where it stands.
#[derive(Debug)]
pub struct Trainer<'a> {
    recipe: &'a Recipe,
    learner: Learner<'a>,
    train: Loader,
    validation: Option<Loader>,
    device: Device,
    checkpoints: Option<CheckpointStore>,
    optimizers: Optimizers,
    ema: Option<Ema>,
    engine: Engine,
    example_losses: ExampleLosses,
    state: TrainState,
}

impl<'a> Trainer<'a> {
    /// A run at its first step. `train` yields the batches (shuffled, augmented), `validation`,
    /// where there is any, the held-out images in fixed order. `checkpoints`: where to save;
    /// `None` trains in memory alone.
    ///
    /// # Errors
    /// candle's, where optimiser state cannot be allocated.
    pub fn new(
        recipe: &'a Recipe,
        learner: Learner<'a>,
        train: Loader,
        validation: Option<Loader>,
        device: &Device,
        checkpoints: Option<CheckpointStore>,
    ) -> Result<Self, TrainError> {
        let total_steps = recipe.epochs as usize * train.n_batches();
        Ok(Self {
            recipe,
            learner,
            optimizers: Optimizers::new(recipe, &learner.trainable(), train.n_batches())?,
            ema: recipe.ema_decay.map(|decay| Ema::new(decay, learner.variables)).transpose()?,
            engine: Engine::new(&learner, recipe, device)?,
            example_losses: ExampleLosses::default(),
            state: TrainState::new(&recipe.model, total_steps),
            train,
            validation,
            device: device.clone(),
            checkpoints,
        })
    }

    /// Where the run stands.
    pub fn state(&self) -> &TrainState {
        &self.state
    }

    /// Continues from a checkpoint, as if the run had never stopped.
    ///
    /// # Errors
    /// [`TrainError::Resume`] where the checkpoint belongs to another model, recipe or data set.
    pub fn restore(&mut self, snapshot: Snapshot) -> Result<(), TrainError> {
        let Snapshot { model, ema, optimizer, example_losses, state } = snapshot;
        let mismatch = |what, saved: &dyn ToString, wanted: &dyn ToString| TrainError::Resume {
            reason: format!(
                "the checkpoint's {what} is {}, this run's {}",
                saved.to_string(),
                wanted.to_string()
            ),
        };
        if state.model != self.state.model {
            return Err(mismatch("model", &state.model, &self.state.model));
        }
        if state.total_steps != self.state.total_steps {
            return Err(mismatch("number of steps", &state.total_steps, &self.state.total_steps));
        }
        self.learner.check_names(&model)?;
        match (&mut self.ema, ema) {
            (Some(average), Some(saved)) => {
                self.learner.check_names(&saved)?;
                average.load_state(saved);
            }
            (None, None) => {}
            (wanted, saved) => {
                return Err(mismatch("weight averaging", &saved.is_some(), &wanted.is_some()));
            }
        }
        self.optimizers
            .load_state(optimizer, state.step)
            .map_err(|e| TrainError::Resume { reason: e.to_string() })?;
        self.learner.set(&model)?;
        self.example_losses = example_losses;
        self.state = state;
        Ok(())
    }

    /// Trains until the schedule ends or a limit is reached, telling `observers` of every step.
    ///
    /// # Errors
    /// A non-finite loss or gradient, a full disk, an error of candle's or of an observer.
    pub fn fit(
        &mut self,
        limits: Limits<'_>,
        observers: &mut [&mut dyn Observer],
    ) -> Result<Outcome, TrainError> {
        let mut sitting = Sitting { observers, clock: Clock::start(self.state.elapsed_secs) };
        let outcome = self.run_epochs(limits, &mut sitting);
        self.state.elapsed_secs = sitting.clock.elapsed_secs();
        outcome
    }

    fn run_epochs(
        &mut self,
        limits: Limits<'_>,
        sitting: &mut Sitting<'_, '_>,
    ) -> Result<Outcome, TrainError> {
        let start = self.start_event();
        sitting.tell(&Event::Start(start), &mut self.state.times)?;
        while self.state.epoch < self.recipe.epochs && !self.state.stopped_early {
            if let Some(outcome) = self.run_batches(limits, sitting)? {
                return Ok(outcome);
            }
            self.end_epoch(sitting)?;
        }
        if self.state.stopped_early {
            return Ok(Outcome::StoppedEarly);
        }
        self.optimizers.finish()?;
        Ok(Outcome::Completed)
    }

    fn start_event(&self) -> Start {
        Start {
            step: self.state.step,
            total_steps: self.state.total_steps,
            steps_per_epoch: self.train.n_batches(),
            epochs: self.recipe.epochs,
        }
    }

    /// The rest of the epoch's batches; an outcome where a limit ends the run among them.
    fn run_batches(
        &mut self,
        limits: Limits<'_>,
        sitting: &mut Sitting<'_, '_>,
    ) -> Result<Option<Outcome>, TrainError> {
        let n_batches = self.train.n_batches();
        let mut batches = self.train.epoch_from(self.state.epoch, self.state.batch);
        self.state.times.data_secs += sitting.clock.lap().took.as_secs_f64();
        while self.state.batch < n_batches {
            if let Some(outcome) = self.reached(limits) {
                self.save(Slot::Last, sitting)?;
                return Ok(Some(outcome));
            }
            let Some(batch) = batches.next() else { break };
            let (mut report, gradients) = self.step(&batch, &mut sitting.clock)?;
            report.times.prepared = batches.preparation();
            sitting.tell(&Event::Step(report), &mut self.state.times)?;
            let tensors = StepTensors {
                report: &report,
                batch: &batch,
                variables: self.learner.variables,
                gradients: &gradients,
            };
            sitting.tell(&Event::StepTensors(tensors), &mut self.state.times)?;
            let due = self
                .recipe
                .checkpoint_every
                .is_some_and(|every| (self.state.step as u64).is_multiple_of(every));
            if due && self.state.batch < n_batches {
                self.save(Slot::Last, sitting)?;
            }
        }
        Ok(None)
    }

    fn reached(&self, limits: Limits<'_>) -> Option<Outcome> {
        if limits.interrupt.load(Ordering::Relaxed) {
            return Some(Outcome::Interrupted);
        }
        limits.max_steps.is_some_and(|max| self.state.step >= max).then_some(Outcome::StepLimit)
    }

    /// One optimiser step on `batch`, and the gradients it took. The lap that `clock` is in began
    /// with the wait for the batch.
    fn step(
        &mut self,
        batch: &Batch,
        clock: &mut Clock,
    ) -> Result<(StepReport, Vec<Tensor>), TrainError> {
        let waited = clock.lap();
        self.engine.require_gradients(&self.learner, &self.optimizers.moving());
        let pass = self.engine.forward_backward(&self.learner, batch, self.recipe)?;
        let passes = clock.lap().took;
        let norm = if pass.loss.is_finite() { global_norm(&pass.gradients)? } else { f64::NAN };
        if !norm.is_finite() {
            return Err(self.non_finite(batch, pass.loss, norm));
        }
        self.example_losses.add(&batch.indices, &pass.losses);
        let scale = self.recipe.gradient_scale(norm, batch.len());
        let size = self.update(&pass.gradients, scale)?;
        let norm = norm * self.recipe.loss_scale(batch.len());
        let times = StepTimes {
            begun: waited.begun,
            data: waited.took,
            forward: pass.forward,
            backward: passes.saturating_sub(pass.forward),
            optimizer: clock.lap().took,
            prepared: None,
        };
        let secs = times.total().as_secs_f64();
        let state = &mut self.state;
        state.step += 1;
        state.batch += 1;
        state.running.add(pass.loss, pass.n_correct, batch.len());
        state.train_secs += secs;
        state.times.add_step(&times);
        state.n_images += batch.len() as u64;
        let report = StepReport {
            step: state.step,
            epoch: state.epoch + 1,
            batch: state.batch,
            loss: pass.loss,
            accuracy: pass.n_correct as f64 / batch.len() as f64,
            learning_rate: size.learning_rate,
            momentum: size.momentum,
            gradient_norm: norm,
            n_images: batch.len(),
            secs,
            times,
        };
        Ok((report, pass.gradients))
    }

    /// One optimiser step by `gradients` times `scale`.
    fn update(&mut self, gradients: &[Tensor], scale: f64) -> Result<StepSize, TrainError> {
        let size = self.optimizers.step(gradients, scale)?;
        if let Some(ema) = &mut self.ema {
            ema.update(self.learner.variables)?;
        }
        Ok(size)
    }

    /// Saves what there is before the step is applied and says where to look.
    fn non_finite(&self, batch: &Batch, loss: f64, norm: f64) -> TrainError {
        let saved = self.checkpoints.as_ref().map(|store| {
            let snapshot = self.snapshot()?;
            store.save(Slot::NonFinite, &snapshot)
        });
        let (saved, save_error) = match saved {
            None => (None, None),
            Some(Ok(path)) => (Some(path), None),
            Some(Err(error)) => (None, Some(error.to_string())),
        };
        TrainError::NonFinite(Box::new(NonFinite {
            loss,
            gradient_norm: norm,
            step: self.state.step + 1,
            epoch: self.state.epoch + 1,
            batch: self.state.batch + 1,
            sample_indices: batch.indices.clone(),
            saved,
            save_error,
        }))
    }

    fn end_epoch(&mut self, sitting: &mut Sitting<'_, '_>) -> Result<(), TrainError> {
        // Ending the data workers belongs to no part.
        sitting.clock.lap();
        let evaluation = match &self.validation {
            Some(loader) => Some(self.evaluated(loader)?),
            None => None,
        };
        let span = sitting.clock.lap();
        if evaluation.is_some() {
            self.state.times.evaluation_secs += span.took.as_secs_f64();
        }
        let state = &mut self.state;
        let (train_loss, train_accuracy) = (state.running.loss(), state.running.accuracy());
        (state.train_loss, state.train_accuracy) = (Some(train_loss), Some(train_accuracy));
        state.running = RunningMeans::default();
        let epoch = state.epoch;
        (state.epoch, state.batch) = (epoch + 1, 0);
        let is_best = evaluation.as_ref().is_some_and(|e| state.best.record(epoch, e.top1));
        let exhausted =
            self.recipe.early_stop_patience.filter(|&patience| state.best.exhausted(patience));
        state.stopped_early = exhausted.is_some();
        let report = EpochReport {
            epoch: epoch + 1,
            step: state.step,
            train_loss,
            train_accuracy,
            validation: evaluation.as_ref().map(|evaluation| ValidationReport {
                loss: evaluation.loss,
                accuracy: evaluation.top1,
                is_best,
                evaluation,
                span,
            }),
            images_per_second: state.images_per_second().unwrap_or(f64::NAN),
            times: state.times,
        };
        sitting.tell(&Event::Epoch(report), &mut state.times)?;
        if is_best {
            self.save(Slot::Best, sitting)?;
        }
        self.save(Slot::Last, sitting)?;
        if let Some(patience) = exhausted {
            sitting.tell(&Event::EarlyStop { patience }, &mut self.state.times)?;
        }
        Ok(())
    }

    /// The validation result of the weights that would be shipped: the averaged ones, if any.
    fn evaluated(&self, loader: &Loader) -> Result<cifar_metrics::Evaluation, TrainError> {
        let run = || evaluate(&self.learner, loader, &self.device, self.recipe.arithmetic());
        match &self.ema {
            Some(ema) => ema.swapped_in(self.learner.variables, run),
            None => run(),
        }
    }

    fn save(&mut self, slot: Slot, sitting: &mut Sitting<'_, '_>) -> Result<(), TrainError> {
        self.state.elapsed_secs = sitting.clock.elapsed_secs();
        let Some(store) = &self.checkpoints else { return Ok(()) };
        let path = store.save(slot, &self.snapshot()?)?;
        let span = sitting.clock.lap();
        let state = &mut self.state;
        state.times.checkpoint_secs += span.took.as_secs_f64();
        sitting.tell(&Event::Saved { path: &path, step: state.step, span }, &mut state.times)
    }

    fn snapshot(&self) -> Result<Snapshot, CheckpointError> {
        let value = |v: &Variable| (v.name.clone(), v.var.as_detached_tensor());
        Ok(Snapshot {
            model: self.learner.variables.iter().map(value).collect(),
            ema: self.ema.as_ref().map(Ema::state),
            optimizer: self.optimizers.state()?,
            example_losses: self.example_losses.clone(),
            state: self.state.clone(),
        })
    }
}

/// Who listens to one call of [`Trainer::fit`], and its clock.
struct Sitting<'a, 'o> {
    observers: &'a mut [&'o mut dyn Observer],
    clock: Clock,
}

impl Sitting<'_, '_> {
    /// Tells everyone, and adds the time it took to `times`.
    fn tell(&mut self, event: &Event<'_>, times: &mut TimeTotals) -> Result<(), TrainError> {
        for observer in &mut *self.observers {
            observer.observe(event).map_err(TrainError::Observer)?;
        }
        times.observer_secs += self.clock.lap().took.as_secs_f64();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
