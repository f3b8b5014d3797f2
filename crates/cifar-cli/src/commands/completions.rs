//! `cifar completions`.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;

/// Writes the completion script of `shell` to standard output.
pub(crate) fn run(shell: Shell) -> anyhow::Result<()> {
    clap_complete::generate(shell, &mut Cli::command(), "cifar", &mut io::stdout());
    Ok(())
}
