//! Arguments of `export` and `verify`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{CheckpointName, ComputeArgs, EXIT_CODES, SourceArgs};

/// File formats of networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormatName {
    /// Tensors alone, for PyTorch's load_state_dict and for candle
    Safetensors,
    /// Code and tensors, for torch.jit.load in Python and C++
    Torchscript,
    /// A graph of operators (opset 17), for onnxruntime and most deployers' tools
    Onnx,
}

impl From<FormatName> for cifar_export::Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Safetensors => Self::Safetensors,
            FormatName::Torchscript => Self::TorchScript,
            FormatName::Onnx => Self::Onnx,
        }
    }
}

/// What weights are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DtypeName {
    /// As they were trained
    F32,
    /// Half the file; arithmetic, input and logits stay f32
    F16,
}

impl From<DtypeName> for cifar_export::Dtype {
    fn from(name: DtypeName) -> Self {
        match name {
            DtypeName::F32 => Self::F32,
            DtypeName::F16 => Self::F16,
        }
    }
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  cifar export --run runs/mine --format torchscript --out model.pt
  cifar export --run runs/mine --format torchscript --fold-bn --with-preprocess --out model.pt
  cifar export --run runs/mine --format onnx --with-preprocess --out model.onnx
  cifar export --run runs/mine --format safetensors --dtype f16 --out model.safetensors
  cifar verify model.pt --run runs/mine

";

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EXPORT_EXAMPLES}{EXIT_CODES}"))]
pub(crate) struct ExportArgs {
    /// A run's folder
    #[arg(long)]
    pub(crate) run: PathBuf,
    /// Which of the run's checkpoints [default: best where there is one, else last]
    #[arg(long)]
    pub(crate) checkpoint: Option<CheckpointName>,
    /// File format
    #[arg(long, value_enum)]
    pub(crate) format: FormatName,
    /// What weights are stored in
    #[arg(long, value_enum, default_value = "f32")]
    pub(crate) dtype: DtypeName,
    /// Make batch norms part of the convolutions before them: fewer operations, no more training
    #[arg(long)]
    pub(crate) fold_bn: bool,
    /// Take RGB bytes (N, 32, 32, 3) and normalise them in the graph, instead of normalised f32
    /// (N, 3, 32, 32)
    #[arg(long)]
    pub(crate) with_preprocess: bool,
    /// The file; one of that name is replaced once the new one is proven
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) proof: ProofArgs,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// A file that `export` wrote, with its manifest beside it
    pub(crate) file: PathBuf,
    /// The run that it was exported from
    #[arg(long)]
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) proof: ProofArgs,
}

/// What a file is compared with its network by.
#[derive(Debug, Args)]
pub(crate) struct ProofArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// CPU threads [default: all]; results do not depend on it
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

impl ProofArgs {
    /// The processor: what is compared is computed there.
    pub(crate) fn compute(&self) -> ComputeArgs {
        ComputeArgs { device: "cpu".to_owned(), threads: self.threads }
    }
}
