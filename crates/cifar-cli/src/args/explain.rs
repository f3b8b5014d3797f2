//! Arguments of `explain`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::{CheckpointName, ComputeArgs, EXIT_CODES, PictureFormat, SourceArgs};

const EXAMPLES: &str = "\
Examples:
  cifar explain cat.jpg --run runs/mine
  cifar explain --index 12 --run runs/mine              test image 12, counted from 0
  cifar explain cat.jpg --run runs/mine --class dog     what would speak for a dog?

";

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}{EXIT_CODES}"))]
#[command(group = ArgGroup::new("subject").required(true).args(["image", "index"]))]
pub(crate) struct ExplainArgs {
    /// A PNG, JPEG, WebP, BMP or GIF; its middle is scaled to the network's size
    pub(crate) image: Option<PathBuf>,
    /// A test image of the data set, by its number from 0
    #[arg(long, value_name = "N")]
    pub(crate) index: Option<usize>,
    /// The folder of the run whose network is explained
    #[arg(long)]
    pub(crate) run: PathBuf,
    /// Which of the run's checkpoints [default: best where there is one, else last]
    #[arg(long)]
    pub(crate) checkpoint: Option<CheckpointName>,
    /// The class to explain [default: the most probable]
    #[arg(long, value_name = "NAME")]
    pub(crate) class: Option<String>,
    /// The picture to write; the feature maps go beside it, as NAME-features
    /// [default: RUN/explain/NAME.png]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// File format [default: that of --out's ending, else png]
    #[arg(long, value_enum)]
    pub(crate) format: Option<PictureFormat>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}
