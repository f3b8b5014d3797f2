//! Arguments of `predict`.

use std::path::PathBuf;

use clap::Args;

use super::{ComputeArgs, EXIT_CODES, TrainedArgs, TtaName};

const EXAMPLES: &str = "\
Examples:
  cifar predict --run runs/mine cat.jpg dog.png
  cifar predict --run runs/mine --top-k 5 --csv holiday > holiday.csv
  cifar predict --run runs/mine photos/test        folders with the names of classes: accuracy too
  curl -s https://example.org/cat.jpg | cifar predict --run runs/mine -

A picture of any size is cut to a square in its middle and scaled to the network's size. What begins
with a dot is left out of folders.

";

/// Arguments of `predict`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}{EXIT_CODES}"))]
pub(crate) struct PredictArgs {
    /// PNG, JPEG, WebP, BMP or GIF files, folders of them, or - for one picture from standard input
    #[arg(required = true, value_name = "IMAGE|DIR|-")]
    pub(crate) images: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) trained: TrainedArgs,
    /// Classes that are listed for each image, the most probable first
    #[arg(long, value_name = "K", default_value_t = 3)]
    pub(crate) top_k: usize,
    /// Test-time augmentation: take the mean over views of each image [default: the recipe's]
    #[arg(long, value_enum)]
    pub(crate) tta: Option<TtaName>,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Print a line of CSV for each image on standard output, all else on standard error
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
}
