//! Arguments of `runs`.

use std::path::PathBuf;

use clap::Args;

use super::EXIT_CODES;

/// Arguments of `runs`.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct RunsArgs {
    /// The folder that is searched, with the folders in it and in those
    #[arg(value_name = "DIR", default_value = "runs")]
    pub(crate) dir: PathBuf,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}
