//! Arguments of `data export`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::SourceArgs;

/// Arguments of `data export`.
#[derive(Debug, Args)]
pub(crate) struct ExportDataArgs {
    /// New folder for the pictures
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Leave out the other images
    #[arg(long, value_enum)]
    pub(crate) only: Option<PartName>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

/// A part of the data set, and its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartName {
    /// The training images
    Train,
    /// The test images
    Test,
}
