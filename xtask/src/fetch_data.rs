//! `fetch-data`: the official CIFAR-10 files, verified.
//!
//! The program itself fetches (`cifar data fetch`); asking it keeps this tool small and quick to
//! build.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{process, workspace};

#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Where the files go [default: data/ of this workspace]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// A local copy of the official archive, instead of the network
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let data_dir = arguments.data_dir.clone().unwrap_or_else(|| workspace::root().join("data"));
    let mut command = workspace::cargo();
    command.args(["run", "--quiet", "--package", "cifar-cli", "--", "data", "fetch", "--data-dir"]);
    command.arg(std::path::absolute(data_dir)?);
    if let Some(archive) = &arguments.archive {
        command.arg("--archive").arg(std::path::absolute(archive)?);
    }
    process::run(&mut command)
}
