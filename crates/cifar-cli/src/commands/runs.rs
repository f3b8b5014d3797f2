//! `cifar runs`: which runs there are, and what came of them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cifar_train::RunFolder;
use serde::Serialize;

use crate::args::RunsArgs;
use crate::console::{self, Console};
use crate::record::Record;
use crate::reproduce::reproduce;
use crate::tables::{self, Align, Table, percent};

/// Folders between the one that is searched and a run: a series of seeds is one.
const MAX_DEPTH: usize = 2;

/// The JSON document is a list of these.
#[derive(Serialize)]
struct Run {
    run: PathBuf,
    recipe: String,
    seed: u64,
    /// Optimiser steps done.
    steps: usize,
    /// `done`, `stopped`, or `running` where a process trains it now.
    state: &'static str,
    test_accuracy: Option<f64>,
    duration_s: Option<f64>,
    /// What trains it again, with the data in `data`.
    command: String,
}

pub(crate) fn run(args: &RunsArgs, console: &mut Console) -> anyhow::Result<()> {
    let mut folders = Vec::new();
    find(&args.dir, MAX_DEPTH, &mut folders)
        .with_context(|| format!("cannot list {}; name a folder of runs", args.dir.display()))?;
    let mut runs = Vec::new();
    for folder in &folders {
        match described(folder) {
            Ok(run) => runs.push(run),
            Err(error) => console::report_skipped(&error),
        }
    }
    if runs.is_empty() {
        console.line(format!("No runs in {}", args.dir.display()))?;
    } else {
        console.line(table(&runs).to_string())?;
    }
    Ok(console.document(&runs)?)
}

/// The runs in `folder`, sorted; nothing is looked for inside of a run.
fn find(folder: &Path, depth: usize, runs: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if RunFolder::open(folder).is_ok() {
        runs.push(folder.to_owned());
        return Ok(());
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Not through links, which may lead in a circle; nor into what is being made.
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if entry.file_type()?.is_dir() && !hidden {
            folders.push(entry.path());
        }
    }
    folders.sort();
    for folder in folders.iter().filter(|_| depth > 0) {
        find(folder, depth - 1, runs)
            .with_context(|| format!("cannot list {}", folder.display()))?;
    }
    Ok(())
}

fn described(path: &Path) -> anyhow::Result<Run> {
    let record = Record::read(path)?;
    let summary = record.summary.as_ref();
    let steps = summary.map(|summary| summary.steps);
    let logged = record.history.steps.last().map_or(0, |step| step.step);
    let state = match summary {
        _ if record.folder.is_in_use() => "running",
        Some(summary) if summary.complete => "done",
        _ => "stopped",
    };
    let again = reproduce(&record.recipe, path, Path::new("data"), record.stopped_at())?;
    Ok(Run {
        run: path.to_owned(),
        recipe: record.recipe.name.clone(),
        seed: record.recipe.seed,
        steps: steps.unwrap_or(logged),
        state,
        test_accuracy: summary.map(|summary| summary.test_accuracy),
        duration_s: summary.map(|summary| summary.duration_s),
        command: again.command,
    })
}

fn table(runs: &[Run]) -> Table {
    let right = Align::Right;
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("recipe", Align::Left),
        ("seed", right),
        ("steps", right),
        ("state", Align::Left),
        ("test accuracy", right),
        ("duration", right),
    ]);
    for run in runs {
        let known = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.row([
            console::printable(&run.run.display().to_string()),
            console::printable(&run.recipe),
            run.seed.to_string(),
            tables::grouped(run.steps as u64),
            run.state.to_owned(),
            known(run.test_accuracy.map(percent)),
            known(run.duration_s.map(tables::duration)),
        ]);
    }
    table
}
