use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  cifar import weights.pt --model small-resnet --out weights.safetensors
  cifar eval --weights weights.safetensors --model small-resnet

";

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXAMPLES}{}", super::EXIT_CODES))]
pub(crate) struct ImportArgs {
    /// What torch.save wrote of a state_dict, or of a dictionary that has one under state_dict,
    /// model_state_dict or model; TorchScript; or safetensors
    pub(crate) file: PathBuf,
    /// The architecture
    #[arg(long, value_name = "NAME")]
    pub(crate) model: String,
    /// How many classes it tells apart
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) classes: usize,
    /// The safetensors file to be written
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}
