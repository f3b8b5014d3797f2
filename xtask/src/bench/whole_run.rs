//! AirNet94 from the start of the process to the printed accuracy, ours and PyTorch's in turns.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use cifar_metrics::Spread;
use serde_json::Value;

use super::{keep_memory, middle, number, sorted};
use crate::cifar::{self, Cifar};
use crate::{process, workspace};

/// One whole run.
struct Run {
    secs: f64,
    accuracy: f64,
}

/// `n_seeds` runs of each side, from seed 0, in `precision`.
pub(super) fn run(
    cifar: &Cifar,
    python: &Path,
    threads: usize,
    n_seeds: usize,
    precision: &str,
) -> Result<()> {
    let runs = cifar::scratch("whole-run")?;
    // Nothing is fetched on the clock.
    cifar.run_silently(&["data", "fetch"])?;
    println!("{:<10}{:>6}{:>10}{:>12}{:>10}", "airnet94", "seed", "seconds", "accuracy", "MB");
    let precision_key = format!("precision={precision}");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for seed in 0..n_seeds {
        let (seed, threads) = (seed.to_string(), threads.to_string());
        let folder = runs.join(&seed);
        let folder = cifar::text(&folder)?;
        let mut command = cifar.command(&["train", "--recipe", "airnet94", "--seed", &seed]);
        command.args(["--set", &precision_key]);
        command.args(["--out", folder, "--threads", &threads, "--json"]);
        ours.push(timed("ours", &seed, &mut command, "test_accuracy")?);
        let mut command = Command::new(python);
        command.arg(workspace::root().join("xtask/bench/airnet94.py"));
        command.arg("--data").arg(workspace::root().join("data/cifar-10-batches-bin"));
        command.args(["--seed", &seed, "--threads", &threads, "--precision", precision]);
        keep_memory(&mut command);
        theirs.push(timed("PyTorch", &seed, &mut command, "accuracy")?);
    }
    for (side, runs) in [("ours", &ours), ("PyTorch", &theirs)] {
        let accuracies: Vec<f64> = runs.iter().map(|run| run.accuracy).collect();
        if let Some(Spread { n, mean, sd, .. }) = Spread::of(&accuracies) {
            let sd = sd.map_or_else(String::new, |sd| format!(", sd {:.2}", 100.0 * sd));
            println!("{side}: mean accuracy {:.2} %{sd}, n {n}", 100.0 * mean);
        }
    }
    let ratios = sorted(ours.iter().zip(&theirs).map(|(ours, theirs)| ours.secs / theirs.secs));
    println!("our time over PyTorch's, median: {:.3}", middle(&ratios));
    Ok(())
}

/// Runs the command and prints its line.
fn timed(side: &str, seed: &str, command: &mut Command, accuracy: &str) -> Result<Run> {
    let begun = Instant::now();
    let said = process::capture(command)?;
    let secs = begun.elapsed().as_secs_f64();
    let document: Value = serde_json::from_str(&said).context("read what the run wrote")?;
    let (accuracy, bytes) = (number(&document, accuracy)?, number(&document, "peak_rss_bytes")?);
    println!("{side:<10}{seed:>6}{secs:>10.1}{:>11.2}%{:>10.0}", 100.0 * accuracy, bytes / 1e6);
    Ok(Run { secs, accuracy })
}
