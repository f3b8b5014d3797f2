//! `kill-test`: no moment is a bad one to be killed at.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use cifar_testkit::Random;
use clap::Args;

use crate::cifar::{Cifar, check_checkpoints, kill, last_weights, scratch, text};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How often the run is killed
    #[arg(long, default_value_t = 20)]
    times: u32,
    /// Seed of the moments, to repeat a run of this check [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
}

/// Saves after every step, so that a good part of all moments lies within a save.
const TRAIN: [&str; 9] = [
    "train",
    "--recipe=simplenet",
    "--seed=0",
    "--batch-size=256",
    "--max-steps=150",
    "--set=optimizer.momentum=0.9",
    "--set=checkpoint-every=1",
    "--no-download",
    "--out",
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runs = scratch("kill-test")?;
    let cifar = Cifar::build_for_checks()?;
    let straight = runs.join("straight");
    let start = Instant::now();
    cifar.run_silently(&[&TRAIN[..], &[text(&straight)?]].concat())?;
    let undisturbed = start.elapsed();
    let wanted = last_weights(&straight)?;

    let seed = arguments.seed.unwrap_or_else(clock);
    let mut moments = Moments { random: Random::new(seed, 0), longest: undisturbed / 4 };
    println!(
        "an undisturbed run takes {:.1} s; seed of the moments: {seed}",
        undisturbed.as_secs_f64()
    );
    let mut kills = Kills { done: 0, wanted: arguments.times };
    let mut n_runs = 0;
    while kills.done < kills.wanted {
        let run = runs.join(format!("killed-{n_runs}"));
        n_runs += 1;
        kill_until_done(&cifar, &run, &mut kills, &mut moments)?;
        let equal = last_weights(&run)? == wanted;
        ensure!(equal, "{} has other weights than {}", run.display(), straight.display());
    }
    let n_kills = kills.done;
    println!(
        "{n_kills} kills in {n_runs} runs: every checkpoint whole, final weights equal bit for bit"
    );
    Ok(())
}

struct Kills {
    done: u32,
    wanted: u32,
}

/// Takes one run to its end, killing it on the way as long as kills are wanted.
fn kill_until_done(
    cifar: &Cifar,
    run: &Path,
    kills: &mut Kills,
    moments: &mut Moments,
) -> Result<()> {
    loop {
        // Killed early, a run may not have a folder yet; then it starts over.
        let folder = text(run)?;
        let arguments = match run.join("config.toml").is_file() {
            true => vec!["train", "--no-download", "--max-steps=150", "--resume", folder],
            false => [&TRAIN[..], &[folder]].concat(),
        };
        if kills.done == kills.wanted {
            return cifar.run_silently(&arguments);
        }
        let moment = moments.next();
        let mut child = cifar.start(&arguments)?;
        thread::sleep(moment);
        let killed =
            kill(&mut child).with_context(|| format!("{folder}, kill {}", kills.done + 1))?;
        if !killed {
            return Ok(());
        }
        kills.done += 1;
        let n_whole = check_checkpoints(run)?;
        println!(
            "kill {:>2} after {:>5} ms, {n_whole} checkpoints whole",
            kills.done,
            moment.as_millis()
        );
    }
}

fn clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos() as u64)
}

/// Random waiting times from 0 to `longest`, all from one seed.
struct Moments {
    random: Random,
    longest: Duration,
}

impl Moments {
    fn next(&mut self) -> Duration {
        let longest = self.longest.as_nanos() as usize;
        Duration::from_nanos(self.random.below(longest) as u64)
    }
}
