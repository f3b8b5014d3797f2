//! Everything that a run's folder tells, as far as it is there.

use std::fs;
use std::path::Path;

use cifar_train::{History, Recipe, RunFolder, Summary};

/// A run as its folder tells it.
pub(crate) struct Record {
    pub(crate) folder: RunFolder,
    pub(crate) recipe: Recipe,
    /// Empty where there is no log that can be read.
    pub(crate) history: History,
    pub(crate) summary: Option<Summary>,
    /// What could not be read, in sentences.
    pub(crate) missing: Vec<String>,
}

impl Record {
    /// Reads the run at `path`. Only its recipe must be there.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let folder = RunFolder::open(path)?;
        let recipe = folder.recipe()?;
        let mut missing = Vec::new();
        let history = History::read(&folder.metrics_jsonl()).unwrap_or_else(|error| {
            missing.push(format!("No curves: {error}."));
            History::default()
        });
        let summary = match summary(&folder.path().join("summary.json")) {
            Ok(summary) => Some(summary),
            Err(reason) => {
                missing.push(format!(
                    "No result, duration, memory and environment of the run: {reason}."
                ));
                None
            }
        };
        Ok(Self { folder, recipe, history, summary, missing })
    }

    /// What the run's time went into, by name in seconds, in the order of a step; nothing where its
    /// summary does not tell.
    pub(crate) fn time_parts(&self) -> Vec<(&'static str, f64)> {
        let Some((summary, times)) = self.summary.as_ref().and_then(|s| Some((s, s.times?))) else {
            return Vec::new();
        };
        vec![
            ("data", times.data_secs),
            ("forward", times.forward_secs),
            ("backward", times.backward_secs),
            ("optimiser", times.optimizer_secs),
            ("evaluation", times.evaluation_secs),
            ("checkpoints", times.checkpoint_secs),
            ("observers", times.observer_secs),
            ("rest", summary.rest_secs.unwrap_or(0.0)),
        ]
    }

    /// Optimiser steps done, where the run has not come to its end.
    pub(crate) fn stopped_at(&self) -> Option<usize> {
        match &self.summary {
            Some(summary) => (!summary.complete).then_some(summary.steps),
            None => self.history.steps.last().map(|step| step.step),
        }
    }
}

fn summary(path: &Path) -> Result<Summary, String> {
    if !path.exists() {
        return Err(format!(
            "{} is not there, because the run was stopped before its test",
            path.display()
        ));
    }
    let bytes =
        fs::read(path).map_err(|error| format!("cannot read {} ({error})", path.display()))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| format!("{} is damaged ({error})", path.display()))
}
