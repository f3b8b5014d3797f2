//! Checks, data and benchmarks of this workspace, behind `cargo xtask COMMAND`.

#![expect(clippy::print_stdout, reason = "a developer's tool: its output is what it finds")]

mod bench;
mod browser;
mod ci;
mod cifar;
mod fetch_data;
mod fuzz;
mod kill_test;
mod layers;
mod memcheck;
mod parity;
mod process;
mod python;
mod results;
mod smoke;
mod tensorboard;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks, data and benchmarks of this workspace.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measures training and evaluation beside PyTorch, in turns.
    Bench(bench::Arguments),
    /// Opens the pages of a report and a comparison in a browser, at two widths, light and dark.
    Browser,
    /// Everything that must hold, cheapest first; stops at the first failure.
    Ci(ci::Arguments),
    /// The official CIFAR-10 files, verified, in `data/`.
    FetchData(fetch_data::Arguments),
    /// Runs the readers of untrusted files on inputs that a fuzzer makes up; needs nightly.
    Fuzz(fuzz::Arguments),
    /// Kills a training run again and again, resumes it, and compares it with an undisturbed one.
    KillTest(kill_test::Arguments),
    /// Compares the crates' dependencies with the table of allowed ones.
    Layers,
    /// Runs the kernels' tests under Valgrind and with AddressSanitizer.
    Memcheck,
    /// Compares models, gradients, optimisers and schedules with PyTorch.
    Parity(parity::Arguments),
    /// Writes the tables of accuracies in the documents from the committed summaries.
    Results(results::Arguments),
    /// Trains, evaluates and resumes on the real data with the real program.
    Smoke,
    /// Trains on the real data, killed and resumed, and compares what TensorBoard reads of the run
    /// with its log.
    Tensorboard,
    /// Sizes, names, `unsafe`, the environment, and what must not be committed.
    Tidy,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Browser => browser::run(),
        Command::Ci(arguments) => ci::run(&arguments),
        Command::FetchData(arguments) => fetch_data::run(&arguments),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::KillTest(arguments) => kill_test::run(&arguments),
        Command::Layers => layers::run(),
        Command::Memcheck => memcheck::run(),
        Command::Parity(arguments) => parity::run(&arguments),
        Command::Results(arguments) => results::run(&arguments),
        Command::Smoke => smoke::run(),
        Command::Tensorboard => tensorboard::run(),
        Command::Tidy => tidy::run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
