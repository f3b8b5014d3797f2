use std::path::PathBuf;

use clap::Args;

use super::{ComputeArgs, SourceArgs};

const ABOUT_CODES: &str = "\
Exit codes:
  0    no problem; there may be warnings
  1    a problem was found, or a check could not be made
  2    the command line is wrong
  130  interrupted by Ctrl-C";

/// Arguments of `doctor`.
#[derive(Debug, Args)]
#[command(after_help = ABOUT_CODES)]
pub(crate) struct DoctorArgs {
    /// A recipe's name (simplenet, small-resnet, small-resnet-94, airnet94) or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "small-resnet", conflicts_with = "run")]
    pub(crate) recipe: String,
    /// Change one recipe key; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "run")]
    pub(crate) set: Vec<String>,
    /// A run's folder: checks its recipe, and its last checkpoint beside it; nothing there is changed
    #[arg(long)]
    pub(crate) run: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}
