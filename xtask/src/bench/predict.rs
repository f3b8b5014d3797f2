//! `bench --predict`: pictures in class folders, beside torchvision's loader and PyTorch, in turns.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use super::{figure, keep_memory, middle, sorted};
use crate::cifar::{Cifar, scratch, text};
use crate::{process, workspace};

/// Compares `cifar predict` with the network of `run` on the 10,000 test images, as PNG files.
pub(super) fn run(
    cifar: &Cifar,
    python: &Path,
    run: &Path,
    threads: usize,
    n_rounds: usize,
) -> Result<()> {
    let images = scratch("predict")?.join("png");
    cifar.run(&["data", "export", "--only", "test", "--out", text(&images)?])?;
    let images = images.join("test");
    let mut ratios = Vec::new();
    for _ in 0..n_rounds {
        let ours = ours(cifar, run, &images, threads)?;
        let weights = ours["weights"].as_str().context("predict names no weights")?;
        let theirs = theirs(python, run, Path::new(weights), &images, threads)?;
        let (our_figure, their_figure) = (figure(&ours.to_string())?, figure(&theirs.to_string())?);
        let ratio = our_figure.speed / their_figure.speed;
        println!(
            "{:.0} images/s, {:.0} MB, top-1 {}; torchvision and PyTorch ({} loaders, {}) {:.0} \
             images/s, {:.0} MB, top-1 {}; ratio {ratio:.2}",
            our_figure.speed,
            our_figure.peak_bytes / 1e6,
            ours["evaluation"]["top1"],
            theirs["workers"],
            theirs["precision"],
            their_figure.speed,
            their_figure.peak_bytes / 1e6,
            theirs["accuracy"],
        );
        ratios.push(ratio);
    }
    let ratios = sorted(ratios.into_iter());
    let (from, to) = (ratios[0], ratios[ratios.len() - 1]);
    println!("median ratio {:.2} ({from:.2} to {to:.2})", middle(&ratios));
    Ok(())
}

/// The best of three, as PyTorch's.
fn ours(cifar: &Cifar, run: &Path, images: &Path, threads: usize) -> Result<Value> {
    let threads = threads.to_string();
    let arguments =
        ["predict", "--run", text(run)?, text(images)?, "--threads", &threads, "--tta", "none"];
    let mut reports = Vec::new();
    for _ in 0..3 {
        let mut command = cifar.command(&arguments);
        let report = process::capture(command.arg("--json"))?;
        reports.push(serde_json::from_str::<Value>(&report).context("read what --json wrote")?);
    }
    let speed = |report: &Value| report["images_per_second"].as_f64().unwrap_or(0.0);
    reports.into_iter().max_by(|a, b| speed(a).total_cmp(&speed(b))).context("no report")
}

fn theirs(
    python: &Path,
    run: &Path,
    weights: &Path,
    images: &Path,
    threads: usize,
) -> Result<Value> {
    let mut command = Command::new(python);
    command.arg(workspace::root().join("xtask/bench/pytorch_predict.py"));
    command.arg("--run").arg(run).arg("--weights").arg(weights).arg("--images").arg(images);
    command.arg("--threads").arg(threads.to_string()).current_dir(workspace::root());
    keep_memory(&mut command);
    serde_json::from_str(&process::capture(&mut command)?).context("read PyTorch's figures")
}
