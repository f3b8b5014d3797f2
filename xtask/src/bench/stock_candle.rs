//! SmallResNet's training step, ours and candle's own, in turns.

use std::process::Command;

use anyhow::Result;

use super::{figure, middle, sorted};
use crate::cifar::Cifar;
use crate::{process, workspace};

/// Images of a step, few: one of candle's takes seconds.
const BATCH_SIZE: &str = "32";
const STEPS: &str = "3";

pub(super) fn run(n_rounds: usize) -> Result<()> {
    let cifar = Cifar::build()?;
    let mut build = workspace::cargo();
    build.args(["build", "--workspace", "--example", "stock_candle"]).args(cifar_testkit::FEATURES);
    process::run(&mut build)?;
    let mut candle = Command::new(workspace::target().join("debug/examples/stock_candle"));
    candle.args([BATCH_SIZE, STEPS]);
    let mut ratios = Vec::new();
    for _ in 0..n_rounds {
        let ours = ["bench", "--recipe", "small-resnet", "--precision", "f32"];
        let sizes = ["--batch-size", BATCH_SIZE, "--steps", "10", "--json"];
        let ours = figure(&process::capture(&mut cifar.command(&[&ours[..], &sizes].concat()))?)?;
        let theirs = figure(&process::capture(&mut candle)?)?;
        println!(
            "small-resnet f32 training, batch {BATCH_SIZE}: {:.0} images/s, {:.0} MB; candle alone {:.1} \
             images/s, {:.0} MB; ratio {:.1}",
            ours.speed,
            ours.peak_bytes / 1e6,
            theirs.speed,
            theirs.peak_bytes / 1e6,
            ours.speed / theirs.speed
        );
        ratios.push(ours.speed / theirs.speed);
    }
    println!("median ratio {:.1}", middle(&sorted(ratios.into_iter())));
    Ok(())
}
