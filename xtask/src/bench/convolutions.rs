//! `bench --convolutions`: each convolution beside PyTorch's, in turns.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{keep_memory, middle, sorted};
use crate::cifar::Cifar;
use crate::{process, workspace};

const NETWORKS: [&str; 2] = ["small-resnet", "airnet94"];
const PRECISIONS: [&str; 2] = ["f32", "bf16"];
const PASSES: [&str; 3] = ["forward", "input_gradient", "weight_gradient"];

pub(super) fn run(cifar: &Cifar, python: &Path, threads: usize, n_rounds: usize) -> Result<()> {
    println!(
        "GFLOP/s by the definition's arithmetic, ratio to PyTorch, share of the machine's limit"
    );
    let of_network = |network| PRECISIONS.map(|precision| (network, precision));
    for (network, precision) in NETWORKS.into_iter().flat_map(of_network) {
        let mut rounds = Vec::new();
        for _ in 0..n_rounds {
            let ours = ours(cifar, network, precision, threads)?;
            let theirs = theirs(python, &ours, threads)?;
            rounds.push((ours, theirs));
        }
        println!(
            "{network}\n{precision:<6}{:<28}{:<10}{:>22}{:>22}{:>22}",
            "convolution", "algorithm", "forward", "input gradient", "weight gradient"
        );
        let n_rows = rounds[0].0.as_array().map_or(0, Vec::len);
        for row in 0..n_rows {
            let first = &rounds[0].0[row];
            let text = |key: &str| first[key].as_str().unwrap_or_default();
            print!("{:<6}{:<28}{:<10}", "", text("name"), text("algorithm"));
            for pass in PASSES {
                let median =
                    |f: &dyn Fn(&(Value, Value)) -> f64| middle(&sorted(rounds.iter().map(f)));
                let rate =
                    |key: &str, ours: &Value| ours[row][pass][key].as_f64().unwrap_or(f64::NAN);
                let speed = |ours: &Value| rate("gflops_per_second", ours);
                let peer = |theirs: &Value| theirs[row][pass].as_f64().unwrap_or(f64::NAN);
                let cell = format!(
                    "{:.0}  {:.2}  {:.0} %",
                    median(&|(ours, _)| speed(ours)),
                    median(&|(ours, theirs)| speed(ours) / peer(theirs)),
                    100.0 * median(&|(ours, _)| rate("limit_fraction", ours))
                );
                print!("{cell:>22}");
            }
            println!();
        }
    }
    Ok(())
}

fn ours(cifar: &Cifar, network: &str, precision: &str, threads: usize) -> Result<Value> {
    let threads = threads.to_string();
    let mut command = cifar.command(&["bench", "--convolutions", "--json"]);
    command.args([
        "--recipe",
        network,
        "--batch-size",
        "128",
        "--precision",
        precision,
        "--threads",
        &threads,
    ]);
    // The table goes to standard error, and here comes another.
    command.stderr(Stdio::null());
    let output = command.output().with_context(|| process::as_typed(&command))?;
    ensure!(output.status.success(), "`{}` failed", process::as_typed(&command));
    serde_json::from_slice(&output.stdout).context("read the figures")
}

fn theirs(python: &Path, ours: &Value, threads: usize) -> Result<Value> {
    let mut command = Command::new(python);
    command.arg(workspace::root().join("xtask/bench/pytorch_convolutions.py"));
    command.arg(threads.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    keep_memory(&mut command);
    let mut child = command.spawn().with_context(|| process::as_typed(&command))?;
    let mut input = child.stdin.take().context("no way to PyTorch")?;
    input.write_all(&serde_json::to_vec(ours)?)?;
    drop(input);
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "`{}` failed", process::as_typed(&command));
    serde_json::from_slice(&output.stdout).context("read PyTorch's figures")
}
