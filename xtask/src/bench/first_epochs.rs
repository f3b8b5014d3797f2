//! The first epochs of SmallResNet's recipe, ours and PyTorch's one after the other: whether the same
//! settings learn alike, and how long each takes.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{keep_memory, number};
use crate::cifar::{self, Cifar};
use crate::{process, workspace};

/// Steps of an epoch of 45,000 images in batches of 128.
const STEPS: usize = 352;

/// What an epoch came to.
#[derive(Debug, PartialEq)]
struct Epoch {
    loss: f64,
    validation: f64,
    secs: f64,
}

/// `n_epochs` of either side, seed 0, in `precision`.
pub(super) fn run(
    cifar: &Cifar,
    python: &Path,
    threads: usize,
    n_epochs: usize,
    precision: &str,
) -> Result<()> {
    cifar.run_silently(&["data", "fetch"])?;
    let folder = cifar::scratch("first-epochs")?.join("run");
    let (steps, threads) = ((n_epochs * STEPS).to_string(), threads.to_string());
    let precision_key = format!("precision={precision}");
    let mut arguments =
        vec!["train", "--recipe", "small-resnet", "--seed", "0", "--no-tensorboard"];
    arguments.extend(["--set", &precision_key, "--threads", &threads, "--max-steps", &steps]);
    cifar.run_silently(&[&arguments[..], &["--out", cifar::text(&folder)?]].concat())?;
    let log = folder.join("metrics.jsonl");
    let log = fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))?;
    let ours = our_epochs(&log)?;

    let mut command = Command::new(python);
    command.arg(workspace::root().join("xtask/bench/small_resnet.py"));
    command.arg("--data").arg(workspace::root().join("data/cifar-10-batches-bin"));
    command.args(["--seed", "0", "--threads", &threads, "--precision", precision]);
    command.arg("--epochs").arg(n_epochs.to_string());
    keep_memory(&mut command);
    let said = process::capture(&mut command)?;
    let theirs = their_epochs(&said)?;
    ensure!(
        ours.len() == n_epochs && theirs.len() == n_epochs,
        "{} epochs here, {} in PyTorch, expected {n_epochs}",
        ours.len(),
        theirs.len()
    );

    println!("small-resnet {precision}, seed 0");
    println!("{:<6}{:>20}{:>22}{:>18}", "", "training loss", "validation", "seconds");
    let sides = format!("{:>11}{:>9}", "ours", "PyTorch").repeat(3);
    println!("{:<6}{sides}", "epoch");
    for (nth, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        println!(
            "{:<6}{:>11.3}{:>9.3}{:>10.2}%{:>8.2}%{:>11.0}{:>9.0}",
            nth + 1,
            ours.loss,
            theirs.loss,
            100.0 * ours.validation,
            100.0 * theirs.validation,
            ours.secs,
            theirs.secs
        );
    }
    Ok(())
}

/// The epochs of `metrics.jsonl`. The time is that of its steps, as PyTorch's is.
fn our_epochs(log: &str) -> Result<Vec<Epoch>> {
    let (mut epochs, mut secs) = (Vec::new(), 0.0);
    for line in log.lines() {
        let event: Value = serde_json::from_str(line).context("read metrics.jsonl")?;
        match event["event"].as_str() {
            Some("step") => secs += number(&event, "secs")?,
            Some("epoch") => epochs.push(Epoch {
                loss: number(&event, "train_loss")?,
                validation: number(&event["validation"], "accuracy")?,
                secs: std::mem::take(&mut secs),
            }),
            _ => {}
        }
    }
    Ok(epochs)
}

fn their_epochs(said: &str) -> Result<Vec<Epoch>> {
    let epoch = |line: &str| {
        let line: Value = serde_json::from_str(line).context("read what PyTorch's side wrote")?;
        let [loss, validation, secs] = ["loss", "validation", "secs"].map(|key| number(&line, key));
        Ok(Epoch { loss: loss?, validation: validation?, secs: secs? })
    };
    said.lines().map(epoch).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_lasts_as_long_as_its_steps() {
        let log = concat!(
            r#"{"event":"step","step":1,"loss":2.5,"secs":1.5}"#,
            "\n",
            r#"{"event":"step","step":2,"loss":2.0,"secs":0.5}"#,
            "\n",
            r#"{"event":"epoch","epoch":1,"train_loss":2.25,"validation":{"accuracy":0.5}}"#,
            "\n",
        );
        let want = Epoch { loss: 2.25, validation: 0.5, secs: 2.0 };
        assert_eq!(our_epochs(log).unwrap(), [want]);
        let said = r#"{"loss": 1.5, "validation": 0.25, "secs": 4.0}"#;
        let want = Epoch { loss: 1.5, validation: 0.25, secs: 4.0 };
        assert_eq!(their_epochs(said).unwrap(), [want]);
        let error = their_epochs(r#"{"loss": 1.5}"#).unwrap_err().to_string();
        assert!(error.contains("validation"), "{error}");
    }
}
