//! Arguments that name a trained network.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::CheckpointName;

/// A trained network: a run's, or weights in a file.
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["run", "weights"]))]
pub(crate) struct TrainedArgs {
    /// A run's folder: its best checkpoint, or its last where nothing was held out
    #[arg(long)]
    pub(crate) run: Option<PathBuf>,
    /// Which of the run's checkpoints [default: best where there is one, else last]
    #[arg(long, requires = "run")]
    pub(crate) checkpoint: Option<CheckpointName>,
    /// A safetensors file with PyTorch's names, or what torch.save wrote of a state_dict
    #[arg(long, value_name = "FILE", requires = "model")]
    pub(crate) weights: Option<PathBuf>,
    /// The architecture of --weights; its own recipe's normalisation is used
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    pub(crate) model: Option<String>,
}
