//! The `cifar` program: train, evaluate and inspect CIFAR-10 classifiers.

mod args;
mod commands;
mod console;
mod dashboard;
mod fetching;
mod host;
mod insight;
mod interrupt;
mod logged;
mod pictures;
mod progress;
mod proof;
mod recipe_keys;
mod recipes;
mod record;
mod reproduce;
mod session;
mod tables;
mod tensorboard;
mod tested;
mod trace;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::console::Console;

// Training frees and takes tens of megabytes many times a second; this allocator keeps them
// instead of giving them back to the system, which would have to clear them again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of a run that Ctrl-C ended, by the shells' convention 128 + SIGINT.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    host::start_diagnostics(cli.verbose);
    let mut console = Console::new(cli.document());
    match run(&cli, &mut console) {
        Ok(code) => code,
        Err(error) => {
            console::report_error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli, console: &mut Console) -> anyhow::Result<ExitCode> {
    match &cli.command {
        Command::Train(args) => commands::train::run(args, console),
        Command::Eval(args) => commands::eval::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Predict(args) => commands::predict::run(args, console),
        Command::Plot(args) => commands::plot::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Explain(args) => commands::explain::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Import(args) => commands::import::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Export(args) => commands::export::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Verify(args) => {
            commands::export::verify(args, console).map(|()| ExitCode::SUCCESS)
        }
        Command::Runs(args) => commands::runs::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Report(args) => commands::report::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Compare(args) => commands::compare::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Data(args) => commands::data::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Models(args) => commands::models::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::LrFind(args) => commands::lr_find::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Doctor(args) => commands::doctor::run(args, console),
        Command::Bench(args) => commands::bench::run(args, console).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            commands::completions::run(*shell).map(|()| ExitCode::SUCCESS)
        }
    }
}
