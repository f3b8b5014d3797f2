//! `tensorboard`: TensorBoard's own reader sees in a run's event files what the run logged.
//!
//! The run is on the real data, killed on the way and resumed, so that some steps stand in two
//! event files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::cifar::{self, Cifar, scratch, text};
use crate::python::Environment;
use crate::{process, workspace};

pub(crate) const ENVIRONMENT: Environment = Environment {
    purpose: "tensorboard",
    requirements: "tests/tensorboard/requirements.txt",
    content: "TensorBoard, about 100 MB",
};

/// Two epochs of SimpleNet, 352 steps each.
const EPOCHS: usize = 2;
const TRAIN: [&str; 9] = [
    "train",
    "--recipe",
    "simplenet",
    "--epochs=2",
    "--batch-size=128",
    "--set=data.validation=5000",
    "--set=optimizer.momentum=0.9",
    "--set=checkpoint-every=100",
    "--out",
];
/// Tensors that SimpleNet trains.
const N_TENSORS: usize = 6;

/// What `tests/tensorboard/read_back.py` prints.
#[derive(Debug, Deserialize)]
struct Seen {
    scalars: BTreeMap<String, Vec<(u64, f64)>>,
    images: BTreeMap<String, Vec<Picture>>,
    histograms: BTreeMap<String, Vec<Histogram>>,
    texts: BTreeMap<String, Vec<String>>,
    hparams: BTreeMap<String, Value>,
    ended: bool,
}

#[derive(Debug, Deserialize)]
struct Picture {
    step: u64,
    width: u32,
    height: u32,
}

#[derive(Debug, Deserialize)]
struct Histogram {
    step: u64,
    n: f64,
    n_in_buckets: f64,
    min: f64,
    max: f64,
}

/// What the run logged: scalars under the tags they should have, and the steps its epochs ended at.
#[derive(Default)]
struct Logged {
    scalars: BTreeMap<String, Vec<(u64, f64)>>,
    epoch_steps: Vec<u64>,
}

pub(crate) fn run() -> Result<()> {
    let python = ENVIRONMENT.python()?;
    let run = scratch("tensorboard")?.join("run");
    let cifar = Cifar::build_for_checks()?;
    cifar.run(&["data", "fetch"])?;
    train_in_two_sittings(&cifar, &run)?;

    let script = workspace::root().join("tests/tensorboard/read_back.py");
    let seen = process::capture(Command::new(python).arg(script).arg(&run))?;
    let seen: Seen = serde_json::from_str(&seen).context("read what read_back.py wrote")?;
    let logged = logged(&run)?;
    check_scalars(&seen, &logged)?;
    check_images(&seen, &logged.epoch_steps)?;
    check_histograms(&seen, &logged.epoch_steps)?;
    check_config(&seen, &run)?;
    println!("TensorBoard: the page is `tensorboard --logdir {}`", run.display());
    Ok(())
}

/// Kills the run after a checkpoint, with steps behind it that were logged and will be again.
fn train_in_two_sittings(cifar: &Cifar, run: &Path) -> Result<()> {
    let mut child = cifar.start(&[&TRAIN[..], &[text(run)?]].concat())?;
    let waited = cifar::wait_for_steps(&mut child, run, 480);
    let killed = cifar::kill(&mut child)?;
    waited?;
    ensure!(killed, "the run was over before it could be killed");
    cifar.run(&["train", "--resume", text(run)?])?;
    let files = fs::read_dir(run)?.flatten();
    let n_files = files.filter(|f| f.file_name().to_string_lossy().contains(".tfevents.")).count();
    ensure!(n_files == 2, "{n_files} event files in {}, expected 2", run.display());
    Ok(())
}

fn logged(run: &Path) -> Result<Logged> {
    let mut logged = Logged::default();
    let log = fs::read_to_string(run.join("metrics.jsonl")).context("read metrics.jsonl")?;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).with_context(|| format!("read {line}"))?;
        let step = line["step"].as_u64().context("a line without a step")?;
        let mut add = |tag: &str, value: &Value| {
            let value = value.as_f64().with_context(|| format!("{tag} of step {step}: {value}"))?;
            logged.scalars.entry(tag.to_owned()).or_default().push((step, value));
            anyhow::Ok(())
        };
        if line["event"] == "step" {
            for key in ["loss", "learning_rate", "gradient_norm"] {
                add(&format!("step/{key}"), &line[key])?;
            }
            let n_images = line["n_images"].as_f64().context("no n_images")?;
            let secs = line["secs"].as_f64().context("no secs")?;
            add("step/images_per_second", &(n_images / secs).into())?;
        } else {
            for key in ["train_loss", "train_accuracy"] {
                add(&format!("epoch/{key}"), &line[key])?;
            }
            for key in ["loss", "accuracy"] {
                add(&format!("epoch/validation_{key}"), &line["validation"][key])?;
            }
            logged.epoch_steps.push(step);
        }
    }
    let summary = fs::read(run.join("summary.json")).context("read summary.json")?;
    let summary: Value = serde_json::from_slice(&summary).context("read summary.json")?;
    let step = summary["steps"].as_u64().context("no steps in summary.json")?;
    for key in ["accuracy", "loss"] {
        let value = summary[format!("test_{key}")].as_f64().context("no test figures")?;
        logged.scalars.insert(format!("test/{key}"), vec![(step, value)]);
    }
    Ok(logged)
}

/// The same tags, steps and values, to the last bit of an f32.
fn check_scalars(seen: &Seen, logged: &Logged) -> Result<()> {
    let tags = |scalars: &BTreeMap<String, _>| scalars.keys().cloned().collect::<Vec<_>>();
    let (seen_tags, wanted) = (tags(&seen.scalars), tags(&logged.scalars));
    ensure!(seen_tags == wanted, "scalars {seen_tags:?}, expected {wanted:?}");
    let mut n_compared = 0;
    for (tag, wanted) in &logged.scalars {
        let seen = &seen.scalars[tag];
        ensure!(
            seen.len() == wanted.len(),
            "{tag}: {} values, {} logged",
            seen.len(),
            wanted.len()
        );
        for (&(step, value), &(wanted_step, wanted)) in seen.iter().zip(wanted) {
            ensure!(
                step == wanted_step && value as f32 == wanted as f32,
                "{tag}: {value} at step {step}, logged {wanted} at step {wanted_step}"
            );
            n_compared += 1;
        }
    }
    println!("{n_compared} scalars under {} tags are those of the log", logged.scalars.len());
    Ok(())
}

/// One picture of each kind for each epoch it was made in.
fn check_images(seen: &Seen, epoch_steps: &[u64]) -> Result<()> {
    let first_steps: Vec<u64> = [0].iter().chain(epoch_steps).map(|step| step + 1).collect();
    let wanted = [
        ("images/confusion_matrix_test", &epoch_steps[EPOCHS - 1..]),
        ("images/confusion_matrix_validation", epoch_steps),
        ("images/first_layer", epoch_steps),
        ("images/mistakes_test", &epoch_steps[EPOCHS - 1..]),
        ("images/train_batch", &first_steps[..EPOCHS]),
    ];
    let tags: Vec<&String> = seen.images.keys().collect();
    ensure!(seen.images.len() == wanted.len(), "pictures {tags:?}");
    for (tag, steps) in wanted {
        let pictures = seen.images.get(tag).with_context(|| format!("no picture {tag}"))?;
        let seen: Vec<u64> = pictures.iter().map(|picture| picture.step).collect();
        ensure!(seen == steps, "{tag} at steps {seen:?}, expected {steps:?}");
        let sizes: Vec<_> = pictures.iter().map(|p| format!("{}x{}", p.width, p.height)).collect();
        println!("{tag}: {}", sizes.join(", "));
    }
    Ok(())
}

/// Weights and gradients of every tensor, every value of them counted.
fn check_histograms(seen: &Seen, epoch_steps: &[u64]) -> Result<()> {
    let mut n_values = BTreeMap::from([("weights", 0.0), ("gradients", 0.0)]);
    for (tag, histograms) in &seen.histograms {
        let steps: Vec<u64> = histograms.iter().map(|histogram| histogram.step).collect();
        ensure!(steps == epoch_steps, "{tag} at steps {steps:?}, expected {epoch_steps:?}");
        for Histogram { n, n_in_buckets, min, max, .. } in histograms {
            ensure!(n == n_in_buckets, "{tag}: {n} values, {n_in_buckets} in buckets");
            ensure!(min <= max, "{tag}: values from {min} to {max}");
        }
        let kind = tag.split('/').next().unwrap_or_default();
        *n_values.get_mut(kind).with_context(|| format!("histogram {tag}"))? += histograms[0].n;
    }
    ensure!(seen.histograms.len() == 2 * N_TENSORS, "{} histograms", seen.histograms.len());
    ensure!(n_values.values().all(|&n| n == 25_578.0), "histograms of {n_values:?} values");
    println!("histograms of {n_values:?} values");
    Ok(())
}

/// The recipe as text, and its keys as hyperparameters.
fn check_config(seen: &Seen, run: &Path) -> Result<()> {
    let config = fs::read_to_string(run.join("config.toml")).context("read config.toml")?;
    let texts = seen.texts.get("config").context("no text `config`")?;
    ensure!(
        texts.len() == 1 && texts[0].contains(&config),
        "the text `config` is not config.toml: {texts:?}"
    );
    ensure!(seen.ended, "the run came to its end, but its session did not");
    for (key, wanted) in [
        ("model", Value::from("simplenet")),
        ("seed", 0.0.into()),
        ("batch-size", 128.0.into()),
        ("optimizer.momentum", 0.9.into()),
        ("optimizer.nesterov", false.into()),
    ] {
        let found = seen.hparams.get(key);
        ensure!(found == Some(&wanted), "hyperparameter {key} is {found:?}, expected {wanted}");
    }
    println!("the recipe, and {} hyperparameters", seen.hparams.len());
    Ok(())
}
