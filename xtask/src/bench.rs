//! `bench`: our speed beside PyTorch's, in turns, in one run.
//!
//! PyTorch gets its best: both memory layouts, `torch.compile`, an allocator that keeps its memory,
//! for bf16 its autocast, and the best figure of each round; settings that are a tenth slower than
//! the best in the first round are left out of the others. Run it on a quiet machine; PyTorch's
//! threads spin, and whatever runs beside them slows both.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, value_parser};

use crate::cifar::Cifar;
use crate::{parity, process, workspace};

mod convolutions;
mod first_epochs;
mod predict;
mod stock_candle;
mod whole_run;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Turns; the median ratio counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Threads of either side [default: all]
    #[arg(long)]
    threads: Option<usize>,
    /// Also write the figures to a file, as a list of {name, unit, ours, peer, ratio, limit_fraction}
    #[arg(long, value_name = "FILE", conflicts_with = "instead")]
    json: Option<PathBuf>,
    /// Compare the convolutions of SmallResNet and AirNet94 one by one instead of whole steps
    #[arg(long, group = "instead")]
    convolutions: bool,
    /// Compare whole runs of AirNet94, from the start of the process to the accuracy on the test
    /// images, with as many seeds as rounds: some twenty minutes each on two cores
    #[arg(long, groups = ["instead", "trains"])]
    whole_run: bool,
    /// Compare the losses of so many of the first of SmallResNet's ten epochs instead of whole steps
    #[arg(long, value_name = "N", groups = ["instead", "trains"], value_parser = value_parser!(u8).range(1..=10))]
    first_epochs: Option<u8>,
    /// What values are stored in, on both sides
    #[arg(long, value_parser = ["f32", "bf16"], default_value = "f32", requires = "trains")]
    precision: String,
    /// Compare `cifar predict` with the network of a run, on the test images as PNG files, with
    /// torchvision's loader and PyTorch instead of whole steps
    #[arg(long, value_name = "RUN", group = "instead")]
    predict: Option<PathBuf>,
    /// Compare SmallResNet's training step with one in candle alone
    #[arg(long, group = "instead")]
    candle: bool,
    /// Hold both sides to AVX2, to see what machines without AVX-512 would give
    #[arg(long, conflicts_with = "instead")]
    avx2: bool,
    /// Only the comparisons whose name contains this, such as `bf16`
    #[arg(long, value_name = "TEXT", default_value = "", conflicts_with = "instead")]
    only: String,
    /// A Python with PyTorch, for --predict with torchvision too [default: that of `cargo xtask parity`]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

/// One comparison.
struct Case {
    recipe: &'static str,
    precision: &'static str,
    batch_size: usize,
    steps: usize,
    eval: bool,
}

const CASES: [Case; 8] = [
    Case { recipe: "simplenet", precision: "f32", batch_size: 32, steps: 1500, eval: false },
    Case { recipe: "simplenet", precision: "f32", batch_size: 100, steps: 1000, eval: true },
    Case { recipe: "small-resnet", precision: "f32", batch_size: 128, steps: 8, eval: false },
    Case { recipe: "small-resnet", precision: "f32", batch_size: 100, steps: 20, eval: true },
    Case { recipe: "small-resnet", precision: "bf16", batch_size: 128, steps: 8, eval: false },
    Case { recipe: "small-resnet", precision: "bf16", batch_size: 100, steps: 20, eval: true },
    Case { recipe: "airnet94", precision: "bf16", batch_size: 2000, steps: 3, eval: false },
    Case { recipe: "airnet94", precision: "bf16", batch_size: 500, steps: 5, eval: true },
];

/// Arguments of the program that measures PyTorch.
type Setting = &'static [&'static str];

/// What PyTorch is tried with. A compiled network lays out its convolutions by itself.
const PEER_SETTINGS: [Setting; 3] = [
    &["--layout", "channels-last"],
    &["--layout", "contiguous"],
    &["--layout", "channels-last", "--compile"],
];

/// PyTorch on this machine.
struct Peer<'a> {
    python: &'a Path,
    threads: usize,
    avx2: bool,
    /// Whether `torch.compile` has found a compiler so far.
    compiles: bool,
}

/// Images per second, and the peak of memory, of one process.
#[derive(Debug, Clone, Copy)]
struct Figure {
    speed: f64,
    peak_bytes: f64,
    /// Share of the machine's limit; known of ours alone.
    limit_fraction: Option<f64>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.candle {
        return stock_candle::run(arguments.rounds);
    }
    let python = match &arguments.python {
        Some(python) => std::path::absolute(python)?,
        None => parity::ENVIRONMENT.python()?,
    };
    let threads = match arguments.threads {
        Some(threads) => threads,
        None => std::thread::available_parallelism()?.get(),
    };
    let cifar = Cifar::build()?;
    if let Some(run) = &arguments.predict {
        let run = std::path::absolute(run)?;
        return predict::run(&cifar, &python, &run, threads, arguments.rounds);
    }
    if arguments.convolutions {
        return convolutions::run(&cifar, &python, threads, arguments.rounds);
    }
    let precision = &arguments.precision;
    if arguments.whole_run {
        return whole_run::run(&cifar, &python, threads, arguments.rounds, precision);
    }
    if let Some(n_epochs) = arguments.first_epochs {
        let n_epochs = n_epochs.into();
        return first_epochs::run(&cifar, &python, threads, n_epochs, precision);
    }
    let avx2 = arguments.avx2;
    let mut peer = Peer { python: &python, threads, avx2, compiles: true };
    println!(
        "{:<38}{:>10}{:>10}{:>8}{:>12}{:>8}{:>9}{:>9}",
        "images/s", "ours", "PyTorch", "ratio", "from-to", "limit", "ours MB", "theirs"
    );
    let mut documents = Vec::new();
    for case in CASES.iter().filter(|case| case.name().contains(&arguments.only)) {
        let (mut rounds, mut settings) = (Vec::new(), PEER_SETTINGS.to_vec());
        for _ in 0..arguments.rounds {
            rounds.push((case.ours(&cifar, threads, avx2)?, peer.figure(case, &mut settings)?));
        }
        let ratios = sorted(rounds.iter().map(|(ours, theirs)| ours.speed / theirs.speed));
        let median = |f: &dyn Fn(&(Figure, Figure)) -> f64| middle(&sorted(rounds.iter().map(f)));
        let (ours, theirs) = (median(&|round| round.0.speed), median(&|round| round.1.speed));
        let limit_fraction = median(&|round| round.0.limit_fraction.unwrap_or(f64::NAN));
        println!(
            "{:<38}{ours:>10.0}{theirs:>10.0}{:>8.2}{:>12}{:>7.0}%{:>9.0}{:>9.0}",
            case.name(),
            middle(&ratios),
            format!("{:.2}-{:.2}", ratios[0], ratios[ratios.len() - 1]),
            100.0 * limit_fraction,
            median(&|round| round.0.peak_bytes) / 1e6,
            median(&|round| round.1.peak_bytes) / 1e6,
        );
        documents.push(serde_json::json!({
            "name": case.name(),
            "unit": "images/s",
            "ours": ours,
            "peer": theirs,
            "ratio": middle(&ratios),
            "limit_fraction": limit_fraction,
        }));
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&documents)? + "\n";
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

impl Case {
    fn name(&self) -> String {
        let pass = if self.eval { "evaluation" } else { "training" };
        format!("{} {} {pass}, batch {}", self.recipe, self.precision, self.batch_size)
    }

    fn ours(&self, cifar: &Cifar, threads: usize, avx2: bool) -> Result<Figure> {
        let (batch, steps, threads) =
            (self.batch_size.to_string(), self.steps.to_string(), threads.to_string());
        let mut arguments = vec!["bench", "--recipe", self.recipe, "--batch-size", &batch];
        arguments.extend(["--steps", &steps, "--threads", &threads, "--json"]);
        arguments.extend(["--precision", self.precision]);
        arguments.extend(self.eval.then_some("--eval"));
        let mut command = cifar.command(&arguments);
        command.envs(avx2.then_some(("CIFAR_KERNELS_ISA", "avx2")));
        figure(&process::capture(&mut command)?)
    }
}

impl Peer<'_> {
    /// The best of all settings. Keeps those that come near it.
    fn figure(&mut self, case: &Case, settings: &mut Vec<Setting>) -> Result<Figure> {
        let mut found = Vec::new();
        for setting in std::mem::take(settings) {
            if setting.contains(&"--compile") && !self.compiles {
                continue;
            }
            let said = process::capture(&mut self.command(case, setting))?;
            if let Some(reason) = no_compiler(&said)? {
                println!("PyTorch without torch.compile: {reason}");
                self.compiles = false;
                continue;
            }
            found.push((setting, figure(&said)?));
        }
        let best = found.iter().map(|(_, figure)| *figure);
        let best = best.max_by(|a, b| a.speed.total_cmp(&b.speed));
        let best = best.context("PyTorch ran with no settings")?;
        let near = found.iter().filter(|(_, figure)| figure.speed > 0.9 * best.speed);
        settings.extend(near.map(|(setting, _)| *setting));
        Ok(best)
    }

    fn command(&self, case: &Case, settings: &[&str]) -> Command {
        let mut command = Command::new(self.python);
        command.arg(workspace::root().join("xtask/bench/pytorch.py"));
        command.args(["--model", case.recipe, "--precision", case.precision]).args(settings);
        for (name, value) in [
            ("--batch-size", case.batch_size),
            ("--steps", case.steps),
            ("--threads", self.threads),
        ] {
            command.arg(name).arg(value.to_string());
        }
        command.args(case.eval.then_some("--eval"));
        keep_memory(&mut command);
        if self.avx2 {
            command.env("ATEN_CPU_CAPABILITY", "avx2").env("ONEDNN_MAX_CPU_ISA", "AVX2");
        }
        command
    }
}

/// Lets the allocator keep what is freed: what goes back to the system has to be cleared again in
/// the next step.
fn keep_memory(command: &mut Command) {
    command.env("MALLOC_MMAP_THRESHOLD_", "4294967296");
    command.env("MALLOC_TRIM_THRESHOLD_", "4294967296");
    command.env("MALLOC_TOP_PAD_", "67108864");
}

/// Why `torch.compile` could not be tried, if that is what was written.
fn no_compiler(json: &str) -> Result<Option<String>> {
    let document: serde_json::Value = serde_json::from_str(json).context("read the figures")?;
    Ok(document["no_compiler"].as_str().map(str::to_owned))
}

fn figure(json: &str) -> Result<Figure> {
    let document: serde_json::Value = serde_json::from_str(json).context("read the figures")?;
    Ok(Figure {
        speed: number(&document, "images_per_second")?,
        peak_bytes: number(&document, "peak_rss_bytes")?,
        limit_fraction: document["limit_fraction"].as_f64(),
    })
}

fn number(document: &serde_json::Value, key: &str) -> Result<f64> {
    document[key].as_f64().with_context(|| format!("no `{key}` in {document}"))
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn middle(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}
