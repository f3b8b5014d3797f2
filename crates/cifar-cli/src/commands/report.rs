//! `cifar report`: what a run did, as one web page.

use std::path::Path;
use std::sync::Arc;

use cifar_data::{DataSource, Dataset};
use cifar_metrics::{ConfusedPair, Evaluation, Verdict, least_sure_hits, surest_mistakes};
use cifar_report::html::{DataReport, Fact, RunReport, TestedImages};
use cifar_train::{History, Recipe};
use serde::Serialize;

use crate::args::ReportArgs;
use crate::console::Console;
use crate::record::Record;
use crate::reproduce::{Reproduction, reproduce};
use crate::tables::{duration, grouped, percent};
use crate::tested::TestResult;
use crate::{insight, logged, session};

/// Samples of each list in the JSON document.
const N_LISTED: usize = 36;

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    run: &'a Path,
    file: &'a Path,
    bytes: usize,
    missing: &'a [String],
    command: &'a str,
    test: Option<&'a Evaluation>,
    most_confused: Vec<ConfusedPair>,
    surest_mistakes: Vec<Verdict>,
    least_sure_hits: Vec<Verdict>,
}

pub(crate) fn run(args: &ReportArgs, console: &mut Console) -> anyhow::Result<()> {
    let record = Record::read(&args.run)?;
    let (recipe, run) = (&record.recipe, record.folder.path());
    let mut missing = record.missing.clone();
    let test = TestResult::of(&record.folder, recipe, &args.data_dir, &args.compute)
        .unwrap_or_else(|error| TestResult::None(format!("{error:#}")));
    let (evaluation, tested) = match &test {
        TestResult::Recomputed { test, .. } => (Some(&test.evaluation), Some(test)),
        TestResult::Stored(evaluation, reason) => {
            missing.push(format!("No pictures of predictions and of the network: {reason}."));
            (Some(&**evaluation), None)
        }
        TestResult::None(reason) => {
            missing.push(format!("No figures of the test: {reason}."));
            (None, None)
        }
    };
    let class_names = recipe.class_names();
    let data = DataSource::open(&args.data_dir)
        .and_then(|data| Ok((Arc::new(data.train(&class_names)?), data.test(&class_names)?)))
        .map_err(|error| missing.push(format!("No statistics of the data: {error}.")))
        .ok();
    let (mut insight, mut suspects) = (None, None);
    if let TestResult::Recomputed { test, model, device } = &test {
        insight = insight::insight(model, test, recipe, device)
            .map_err(|error| missing.push(format!("No pictures of the network: {error:#}.")))
            .ok();
        if let Some((train, _)) = &data {
            suspects = insight::suspects(model, &record.folder, train, recipe, device)
                .map_err(|error| missing.push(format!("No suspected label errors: {error:#}.")))
                .unwrap_or_default();
        }
    }
    let statistics = match &data {
        Some((train, test)) => Some(statistics(train, test, recipe)?),
        None => None,
    };
    let Reproduction { command, note } =
        reproduce(recipe, run, &args.data_dir, record.stopped_at())?;
    let (steps, validation) = logged::points(&record.history);
    let verdicts = tested.map_or(&[][..], |test| &test.verdicts);
    let page = RunReport {
        title: &format!("{}, seed {}", recipe.name, recipe.seed),
        headline: headline(&record, evaluation),
        missing,
        command: &command,
        command_note: &note,
        config: &recipe.to_toml()?,
        class_names: &class_names,
        data: statistics,
        steps: &steps,
        validation: &validation,
        evaluation,
        tested: tested.map(|test| TestedImages { verdicts, pixels: test.images.images() }),
        insight: insight.as_ref(),
        suspects,
        timing: timing(&record),
        time_parts: record.time_parts().into_iter().map(|(n, secs)| (n.to_owned(), secs)).collect(),
        environment: environment(&record),
    };
    let file = args.out.clone().unwrap_or_else(|| run.join("report.html"));
    let html = page.to_html();
    html.save(&file)?;
    console.line(format!("Wrote {} ({} kB)", file.display(), html.as_str().len() / 1000))?;
    for sentence in &page.missing {
        console.line(sentence)?;
    }
    let first = |mut verdicts: Vec<Verdict>| {
        verdicts.truncate(N_LISTED);
        verdicts
    };
    Ok(console.document(&Document {
        run,
        file: &file,
        bytes: html.as_str().len(),
        missing: &page.missing,
        command: &command,
        test: evaluation,
        most_confused: evaluation.map_or_else(Vec::new, |test| test.confusion.most_confused(10)),
        surest_mistakes: first(surest_mistakes(verdicts)),
        least_sure_hits: first(least_sure_hits(verdicts)),
    })?)
}

fn headline(record: &Record, evaluation: Option<&Evaluation>) -> Vec<Fact> {
    let summary = record.summary.as_ref();
    let mut facts = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        facts.extend(value.map(|value| Fact::new(name, value)));
    };
    let test = evaluation.map(|test| (test.top1, test.loss));
    let test = test.or(summary.map(|summary| (summary.test_accuracy, summary.test_loss)));
    add("test accuracy", test.map(|(accuracy, _)| percent(accuracy)));
    add("top-5 accuracy", evaluation.map(|test| percent(test.top5)));
    add("test loss", test.map(|(_, loss)| format!("{loss:.4}")));
    add("validation accuracy", summary.and_then(|summary| summary.val_accuracy).map(percent));
    let ece = evaluation.map(|test| test.calibration.ece);
    add("calibration error", ece.map(percent));
    add("parameters", summary.map(|summary| grouped(summary.parameters as u64)));
    let epochs = match summary {
        Some(summary) => format!("{} of {}", summary.epochs, record.recipe.epochs),
        None => format!("{} of {}", record.history.epochs.len(), record.recipe.epochs),
    };
    add("epochs", Some(epochs));
    add("images/s", summary.map(|summary| grouped(summary.images_per_second.round() as u64)));
    add("duration", summary.map(|summary| duration(summary.duration_s)));
    facts
}

/// How many images of each class the parts of the data hold, and what their colours are like.
fn statistics(train: &Dataset, test: &Dataset, recipe: &Recipe) -> anyhow::Result<DataReport> {
    let split = session::split(train, recipe)?;
    let statistics = train.channel_statistics();
    let mut parts = vec![("training".to_owned(), class_counts(train, &split.train))];
    if !split.validation.is_empty() {
        parts.push(("validation".to_owned(), class_counts(train, &split.validation)));
    }
    parts.push(("test".to_owned(), test.class_counts()));
    Ok(DataReport { parts, mean: statistics.mean, std: statistics.std })
}

fn class_counts(dataset: &Dataset, indices: &[u32]) -> Vec<usize> {
    let mut counts = vec![0; dataset.class_names().len()];
    for &index in indices {
        counts[usize::from(dataset.label(index as usize))] += 1;
    }
    counts
}

/// Where the time went, as far as log and summary tell.
fn timing(record: &Record) -> Vec<Fact> {
    let mut facts = steps_timing(&record.history);
    if let Some(summary) = &record.summary {
        let in_steps: f64 = record.history.steps.iter().map(|step| step.secs).sum();
        facts.push(Fact::new("whole run", duration(summary.duration_s)));
        if in_steps > 0.0 && summary.duration_s >= in_steps {
            let rest = duration(summary.duration_s - in_steps);
            facts.push(Fact::new(
                "of that outside the steps (validation, checkpoints, start)",
                rest,
            ));
        }
    }
    facts
}

fn steps_timing(history: &History) -> Vec<Fact> {
    let mut secs: Vec<f64> = history.steps.iter().map(|step| step.secs).collect();
    secs.sort_by(f64::total_cmp);
    let (Some(&longest), total) = (secs.last(), secs.iter().sum::<f64>()) else {
        return Vec::new();
    };
    let at = |share: f64| secs[((secs.len() - 1) as f64 * share).round() as usize];
    let n_images: usize = history.steps.iter().map(|step| step.n_images).sum();
    let millis = |secs: f64| format!("{:.2} ms", 1000.0 * secs);
    vec![
        Fact::new("optimiser steps", grouped(secs.len() as u64)),
        Fact::new("images in them", grouped(n_images as u64)),
        Fact::new("time in them", duration(total)),
        Fact::new("images/s in them", grouped((n_images as f64 / total).round() as u64)),
        Fact::new("median step", millis(at(0.5))),
        Fact::new("95 of 100 steps took at most", millis(at(0.95))),
        Fact::new("longest step", millis(longest)),
    ]
}

fn environment(record: &Record) -> Vec<Fact> {
    let mut facts = vec![
        Fact::new("run folder", record.folder.path().display().to_string()),
        Fact::new("model", &record.recipe.model),
    ];
    if let Some(summary) = &record.summary {
        facts.push(Fact::new("data set", &summary.dataset));
        facts.push(Fact::new("device", &summary.device));
        facts.push(Fact::new("precision", &summary.precision));
        facts.push(Fact::new("weights tested", &summary.tested));
        facts.push(Fact::new("peak memory", memory(summary.peak_rss_bytes)));
        facts.push(Fact::new("program's commit", &summary.git_commit));
    }
    facts
}

/// Bytes as megabytes, or that the system did not tell.
pub(crate) fn memory(bytes: Option<u64>) -> String {
    bytes.map_or_else(
        || "not known".to_owned(),
        |bytes| format!("{} MB", grouped(bytes / 1_000_000)),
    )
}
