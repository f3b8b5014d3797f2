//! `smoke`: what a new user does, on the real data, with the numbers it must give.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::cifar::{self, Cifar, last_weights, scratch, text};

mod shuffled;

/// Test accuracy of SimpleNet after one epoch: the band in which PyTorch's own runs lie.
const ACCURACY: std::ops::RangeInclusive<f64> = 0.41..=0.47;

/// Mean loss of the first ten batches, around ln 10 = 2.303.
const FIRST_LOSS: std::ops::RangeInclusive<f64> = 2.2..=2.4;

/// Mean loss of the last hundred batches.
const LAST_LOSS: std::ops::RangeInclusive<f64> = 1.50..=1.70;

/// The fields of `summary.json` that are looked at.
#[derive(Debug, Deserialize)]
struct Summary {
    test_accuracy: f64,
    steps: usize,
    images_per_second: f64,
    peak_rss_bytes: Option<u64>,
}

impl Summary {
    fn of(run: &Path) -> Result<Self> {
        let path = run.join("summary.json");
        let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))
    }
}

pub(crate) fn run() -> Result<()> {
    let runs = scratch("smoke")?;
    let cifar = Cifar::build_for_checks()?;
    fetch_twice(&cifar)?;
    let run = runs.join("simplenet");
    cifar.run(&["train", "--recipe", "simplenet", "--seed", "0", "--out", text(&run)?])?;
    check_run(&run)?;
    check_eval(&cifar, &run)?;
    shuffled::check(&cifar, &runs)?;
    check_resume(&cifar, &runs)
}

/// Once, and once more with the data there.
fn fetch_twice(cifar: &Cifar) -> Result<()> {
    cifar.run(&["data", "fetch"])?;
    let start = Instant::now();
    cifar.run_silently(&["data", "fetch"])?;
    let took = start.elapsed();
    println!("second fetch: {:.2} s", took.as_secs_f64());
    ensure!(
        took < Duration::from_secs(1),
        "a second fetch took {took:?}; it should find its files within a second"
    );
    Ok(())
}

fn check_run(run: &Path) -> Result<()> {
    let summary = Summary::of(run)?;
    let losses = losses(&run.join("metrics.jsonl"))?;
    let (first, last) =
        (mean(&losses[..10.min(losses.len())]), mean(&losses[losses.len().saturating_sub(100)..]));
    println!(
        "test accuracy {:.4}, loss {first:.3} -> {last:.3}, {:.0} images/s, peak memory {} MB",
        summary.test_accuracy,
        summary.images_per_second,
        summary
            .peak_rss_bytes
            .map_or_else(|| "?".to_owned(), |bytes| (bytes / 1_000_000).to_string()),
    );
    ensure!(
        summary.steps == losses.len(),
        "{} steps, but {} in metrics.jsonl",
        summary.steps,
        losses.len()
    );
    ensure!(
        FIRST_LOSS.contains(&first),
        "the first losses average {first}, expected {FIRST_LOSS:?}"
    );
    ensure!(
        LAST_LOSS.contains(&last),
        "the last 100 losses average {last}, expected {LAST_LOSS:?}"
    );
    let accuracy = summary.test_accuracy;
    ensure!(ACCURACY.contains(&accuracy), "test accuracy {accuracy}, expected {ACCURACY:?}");
    Ok(())
}

/// The loss of every step, from `metrics.jsonl`.
fn losses(path: &Path) -> Result<Vec<f64>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let mut losses = Vec::new();
    for line in text.lines() {
        let event: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("read {line}"))?;
        if event["event"] == "step" {
            losses.push(event["loss"].as_f64().with_context(|| format!("no loss in {line}"))?);
        }
    }
    Ok(losses)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// `eval` of the run gives the figure of its summary, to the last bit.
fn check_eval(cifar: &Cifar, run: &Path) -> Result<()> {
    let summary = Summary::of(run)?;
    let report = cifar.json(&["eval", "--run", text(run)?])?;
    let top1 = report["top1"].as_f64().context("no top1 in the report of eval")?;
    ensure!(
        top1.to_bits() == summary.test_accuracy.to_bits(),
        "eval says {top1}, summary.json {}",
        summary.test_accuracy
    );
    Ok(())
}

/// A run that is killed and resumed ends with the bytes of one that was left alone.
fn check_resume(cifar: &Cifar, runs: &Path) -> Result<()> {
    let (straight, broken) = (runs.join("straight"), runs.join("broken"));
    let settings =
        ["--batch-size=256", "--set=optimizer.momentum=0.9", "--set=checkpoint-every=10"];
    let train = ["train", "--recipe", "simplenet", "--seed", "1", "--max-steps", "60"];
    let start =
        |out| -> Result<Vec<&str>> { Ok([&train[..], &settings, &["--out", text(out)?]].concat()) };
    cifar.run_silently(&start(&straight)?)?;

    let mut child = cifar.start(&start(&broken)?)?;
    let waited = cifar::wait_for_steps(&mut child, &broken, 25);
    let killed = cifar::kill(&mut child)?;
    waited?;
    ensure!(killed, "the run was over before it could be killed");
    cifar::check_checkpoints(&broken)?;
    cifar.run_silently(&["train", "--resume", text(&broken)?, "--max-steps", "60"])?;
    ensure!(
        last_weights(&straight)? == last_weights(&broken)?,
        "a run killed after step 25 and resumed has other weights than one left alone: compare {} and {}",
        straight.display(),
        broken.display()
    );
    println!("killed after step 25 and resumed: the same weights after step 60, bit for bit");
    Ok(())
}
