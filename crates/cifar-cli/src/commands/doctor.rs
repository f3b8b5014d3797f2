//! `cifar doctor`: what is wrong with a recipe, its data, its network or a run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use candle_core::Device;
use cifar_data::{Batch, DataSource, Dataset, Duplicates, Loader};
use cifar_models::Model;
use cifar_train::doctor::{self, Finding, Level};
use cifar_train::{LrSweep, Recipe, RunFolder, Slot, Snapshot, evaluate, lr_range_test};
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::console::Console;
use crate::tables::duration;
use crate::{host, recipes, session};

/// The sweep of learning rates: its first, the least that its last is, and the steps to each power
/// of ten.
const SWEEP_FROM: f64 = 1e-6;
const SWEEP_TO: f64 = 10.0;
const SWEEP_STEPS: f64 = 10.0;
/// Training images that a checkpoint is evaluated on.
const N_EVALUATED: usize = 2000;
/// A check that takes longer says every so often how far it is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    recipe: &'a str,
    run: Option<&'a PathBuf>,
    findings: &'a [Finding],
    warnings: usize,
    problems: usize,
    secs: f64,
}

pub(crate) fn run(args: &DoctorArgs, console: &mut Console) -> anyhow::Result<ExitCode> {
    let started = Instant::now();
    let run = args.run.as_deref().map(RunFolder::open).transpose()?;
    let recipe = match &run {
        Some(run) => run.recipe()?,
        None => recipes::load(&args.recipe, &args.set)?,
    };
    let (device, _) = host::device(&args.compute)?;
    let data = session::open_data(&args.source, console)?;
    let recipe = if run.is_some() { recipe } else { session::settled(recipe, &data)? };
    let train = Arc::new(data.train(&recipe.class_names())?);
    let images = session::split(&train, &recipe)?.train;
    let loader = session::train_loader(&train, images.clone(), &recipe)?;
    let found = Vec::new();
    let mut patient = Patient { recipe: &recipe, device, train, images, loader, console, found };
    patient.examine_data(&data)?;
    patient.examine_recipe()?;
    if let Some(run) = &run {
        patient.examine_run(run)?;
    }
    let Patient { console, found, .. } = patient;
    let count = |level| found.iter().filter(|finding| finding.level == level).count();
    let (warnings, problems) = (count(Level::Warning), count(Level::Problem));
    let secs = started.elapsed().as_secs_f64();
    console.line(format!(
        "\n{} checks in {}: {problems} problems, {warnings} warnings",
        found.len(),
        duration(secs)
    ))?;
    let (name, run) = (&recipe.name, args.run.as_ref());
    let report = Report { recipe: name, run, findings: &found, warnings, problems, secs };
    console.document(&report)?;
    Ok(if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is examined, and what has been found.
struct Patient<'a> {
    recipe: &'a Recipe,
    device: Device,
    train: Arc<Dataset>,
    /// Those of them that train.
    images: Vec<u32>,
    loader: Loader,
    console: &'a mut Console,
    found: Vec<Finding>,
}

impl Patient<'_> {
    fn examine_data(&mut self, data: &DataSource) -> anyhow::Result<()> {
        let statistics = self.train.channel_statistics();
        self.add(doctor::normalization(&self.recipe.data.normalization, &statistics))?;
        let counts = self.train.class_counts();
        self.add(doctor::label_balance(&counts, self.train.class_names()))?;
        let test = data.test(self.train.class_names())?;
        self.add(doctor::duplicates(&Duplicates::find(&self.train, &test), test.len()))
    }

    /// The recipe's schedule, and its network with fresh weights.
    fn examine_recipe(&mut self) -> anyhow::Result<()> {
        let recipe = self.recipe;
        self.add(doctor::schedule(recipe, self.n_steps()))?;
        let n_classes = self.train.class_names().len();
        let model = session::untrained_model(recipe, &self.train, &self.images, &self.device)?;
        let (learner, device) = (session::learner(&model), self.device.clone());
        let batch = self.batch()?;
        let pass = doctor::first_pass(&learner, &batch, recipe, &device)?;
        self.add(doctor::initial_loss(pass.loss, n_classes))?;
        self.examine_weights(&model, &batch)?;

        let mut ticker = Ticker::new(self.console, "Learning one batch by heart: step");
        let result = doctor::overfit_one_batch(&learner, &batch, recipe, &device, |step, loss| {
            ticker.tell(step, doctor::OVERFIT_STEPS, loss);
        })?;
        ticker.finish()?;
        self.add(doctor::overfit(&result))?;

        let to = SWEEP_TO.max(2.0 * recipe.optimizer.learning_rate());
        let steps = (SWEEP_STEPS * (to / SWEEP_FROM).log10()).ceil() as usize + 1;
        let sweep = LrSweep::new(SWEEP_FROM, to, steps)?;
        let mut ticker = Ticker::new(self.console, "Sweeping the learning rate: step");
        let mut n_done = 0;
        let range = lr_range_test(&learner, &self.loader, recipe, &device, sweep, |point| {
            n_done += 1;
            ticker.tell(n_done, steps, point.loss);
        })?;
        ticker.finish()?;
        self.add(doctor::learning_rate(&range, recipe))
    }

    /// The last checkpoint of a run.
    fn examine_run(&mut self, run: &RunFolder) -> anyhow::Result<()> {
        let checkpoints = run.checkpoints();
        if !checkpoints.contains(Slot::Last) {
            return Ok(self.console.line("The run has no checkpoint yet to look at")?);
        }
        let Snapshot { state, .. } = checkpoints.load(Slot::Last)?;
        let recipe = self.recipe;
        self.console.line(format!("Checkpoint after step {}:", state.step))?;
        self.add(doctor::checkpoint_length(state.total_steps, self.n_steps()))?;
        let weights = checkpoints.evaluation_weights(Slot::Last)?;
        let n_classes = self.train.class_names().len();
        let model = session::load_model(recipe, n_classes, &weights, &self.device)?;
        let batch = self.batch()?;
        self.examine_weights(&model, &batch)?;
        if let Some(logged) = state.train_accuracy {
            let some = self.images.iter().copied().take(N_EVALUATED).collect();
            let images = session::eval_loader(&self.train, some, recipe)?;
            let learner = session::learner(&model);
            let evaluation = evaluate(&learner, &images, &self.device, recipe.arithmetic())?;
            self.add(doctor::checkpoint_accuracy(evaluation.top1, logged))?;
        }
        Ok(())
    }

    /// Gradients and activations of a network as it is.
    fn examine_weights(&mut self, model: &Model, batch: &Batch) -> anyhow::Result<()> {
        let learner = session::learner(model);
        let pass = doctor::first_pass(&learner, batch, self.recipe, &self.device)?;
        self.add(doctor::gradients(&pass))?;
        let outputs = doctor::relu_outputs(&learner, batch, &self.device)?;
        self.add(doctor::dead_activations(&outputs))
    }

    /// Optimiser steps of the recipe.
    fn n_steps(&self) -> usize {
        self.recipe.epochs as usize * self.loader.n_batches()
    }

    /// A few training images as they are.
    fn batch(&self) -> anyhow::Result<Batch> {
        let some = self.images.iter().copied().take(doctor::OVERFIT_IMAGES).collect();
        let mut batches = session::eval_loader(&self.train, some, self.recipe)?.epoch(0);
        batches.next().context("there is no training image")
    }

    /// Shows a finding as soon as it is there.
    fn add(&mut self, finding: Finding) -> anyhow::Result<()> {
        let level = match finding.level {
            Level::Ok => "ok",
            Level::Warning => "WARNING",
            Level::Problem => "PROBLEM",
        };
        self.console.line(format!("{level:<8} {:<20} {}", finding.check, finding.found))?;
        let indent = " ".repeat(30);
        self.console.line(format!("{indent}{}", finding.meaning))?;
        if let Some(remedy) = finding.remedy {
            self.console.line(format!("{indent}To do: {remedy}"))?;
        }
        self.found.push(finding);
        Ok(())
    }
}

/// Says how far a slow check is.
struct Ticker<'a> {
    console: &'a mut Console,
    what: &'static str,
    last: Instant,
    result: std::io::Result<()>,
}

impl<'a> Ticker<'a> {
    fn new(console: &'a mut Console, what: &'static str) -> Self {
        Self { console, what, last: Instant::now(), result: Ok(()) }
    }

    fn tell(&mut self, step: usize, most: usize, loss: f64) {
        if self.last.elapsed() >= TELL_EVERY && self.result.is_ok() {
            self.last = Instant::now();
            let text = format!("{} {step} of at most {most}, loss {loss:.3}", self.what);
            self.result = self.console.line(text);
        }
    }

    /// The first failure to write.
    fn finish(self) -> std::io::Result<()> {
        self.result
    }
}
