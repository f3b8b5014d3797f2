use std::path::PathBuf;

use clap::Args;

use super::{ComputeArgs, PictureFormat, SourceArgs};

/// Arguments of `lr-find`.
#[derive(Debug, Args)]
pub(crate) struct LrFindArgs {
    /// A recipe's name (simplenet, small-resnet, small-resnet-94, airnet94) or a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "small-resnet")]
    pub(crate) recipe: String,
    /// Change one recipe key; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// The first learning rate
    #[arg(long, default_value_t = 1e-7)]
    pub(crate) from: f64,
    /// The last learning rate, unless the loss diverges before
    #[arg(long, default_value_t = 10.0)]
    pub(crate) to: f64,
    /// Optimiser steps between the two
    #[arg(long, default_value_t = 100)]
    pub(crate) steps: usize,
    /// Folder for the picture and the figures (lr_find.png, lr_find.csv)
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// File format of the picture
    #[arg(long, value_enum, default_value = "png")]
    pub(crate) format: PictureFormat,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}
