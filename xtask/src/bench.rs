//! `bench`: our speed beside PyTorch's, in turns, in one run.
//!
//! PyTorch gets its best: both memory layouts, an allocator that keeps its memory, and the better
//! figure of each round. Run it on a quiet machine; PyTorch's threads spin, and whatever runs
//! beside them slows both.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::Args;

use crate::cifar::Cifar;
use crate::{parity, process, workspace};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Turns; the median ratio counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Threads of either side [default: all]
    #[arg(long)]
    threads: Option<usize>,
    /// A Python with PyTorch [default: that of `cargo xtask parity`]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

/// One comparison.
struct Case {
    recipe: &'static str,
    batch_size: usize,
    steps: usize,
    eval: bool,
}

const CASES: [Case; 4] = [
    Case { recipe: "simplenet", batch_size: 32, steps: 300, eval: false },
    Case { recipe: "simplenet", batch_size: 100, steps: 100, eval: true },
    Case { recipe: "small-resnet", batch_size: 128, steps: 8, eval: false },
    Case { recipe: "small-resnet", batch_size: 100, steps: 10, eval: true },
];

/// Images per second, and the peak of memory, of one process.
#[derive(Debug, Clone, Copy)]
struct Figure {
    speed: f64,
    peak_bytes: f64,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let python = match &arguments.python {
        Some(python) => std::path::absolute(python)?,
        None => parity::environment()?,
    };
    let threads = match arguments.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism()?.get(),
    };
    let cifar = Cifar::build()?;
    println!(
        "{:<14}{:<12}{:>6}{:>12}{:>12}{:>8}{:>16}{:>10}{:>10}",
        "recipe",
        "pass",
        "batch",
        "ours",
        "PyTorch",
        "ratio",
        "ratios from-to",
        "ours MB",
        "theirs"
    );
    for case in &CASES {
        let mut rounds = Vec::new();
        for _ in 0..arguments.rounds {
            rounds.push((case.ours(&cifar, threads)?, case.theirs(&python, threads)?));
        }
        let ratios = sorted(rounds.iter().map(|(ours, theirs)| ours.speed / theirs.speed));
        let median = |f: &dyn Fn(&(Figure, Figure)) -> f64| middle(&sorted(rounds.iter().map(f)));
        println!(
            "{:<14}{:<12}{:>6}{:>12.0}{:>12.0}{:>8.2}{:>16}{:>10.0}{:>10.0}",
            case.recipe,
            if case.eval { "evaluation" } else { "training" },
            case.batch_size,
            median(&|round| round.0.speed),
            median(&|round| round.1.speed),
            middle(&ratios),
            format!("{:.2}-{:.2}", ratios[0], ratios[ratios.len() - 1]),
            median(&|round| round.0.peak_bytes) / 1e6,
            median(&|round| round.1.peak_bytes) / 1e6,
        );
    }
    Ok(())
}

impl Case {
    fn ours(&self, cifar: &Cifar, threads: usize) -> Result<Figure> {
        let (batch, steps, threads) =
            (self.batch_size.to_string(), self.steps.to_string(), threads.to_string());
        let mut arguments = vec!["bench", "--recipe", self.recipe, "--batch-size", &batch];
        arguments.extend(["--steps", &steps, "--threads", &threads, "--json"]);
        arguments.extend(self.eval.then_some("--eval"));
        figure(&process::capture(&mut cifar.command(&arguments))?)
    }

    fn theirs(&self, python: &Path, threads: usize) -> Result<Figure> {
        let mut best: Option<Figure> = None;
        for layout in ["channels-last", "contiguous"] {
            let mut command = Command::new(python);
            command.arg(workspace::root().join("xtask/bench/pytorch.py"));
            command.args(["--model", self.recipe, "--layout", layout]);
            for (name, value) in
                [("--batch-size", self.batch_size), ("--steps", self.steps), ("--threads", threads)]
            {
                command.arg(name).arg(value.to_string());
            }
            command.args(self.eval.then_some("--eval"));
            // Memory that goes back to the system has to be cleared again in the next step.
            for (name, value) in [
                ("MALLOC_MMAP_THRESHOLD_", "4294967296"),
                ("MALLOC_TRIM_THRESHOLD_", "4294967296"),
                ("MALLOC_TOP_PAD_", "67108864"),
            ] {
                command.env(name, value);
            }
            let found = figure(&process::capture(&mut command)?)?;
            if best.is_none_or(|best| found.speed > best.speed) {
                best = Some(found);
            }
        }
        best.context("PyTorch ran in no layout")
    }
}

fn figure(json: &str) -> Result<Figure> {
    let document: serde_json::Value = serde_json::from_str(json).context("read the figures")?;
    let number =
        |key: &str| document[key].as_f64().with_context(|| format!("no `{key}` in {json}"));
    Ok(Figure { speed: number("images_per_second")?, peak_bytes: number("peak_rss_bytes")? })
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
