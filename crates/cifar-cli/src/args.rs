//! What the user may type.

mod doctor;
mod explain;
mod export;
mod export_data;
mod import;
mod lr_find;
mod predict;
mod report;
mod runs;
mod seeds;
mod trained;

use std::path::PathBuf;

use cifar_train::TestTimeAugmentation;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub(crate) use doctor::DoctorArgs;
pub(crate) use explain::ExplainArgs;
pub(crate) use export::{ExportArgs, VerifyArgs};
pub(crate) use export_data::{ExportDataArgs, PartName};
pub(crate) use import::ImportArgs;
pub(crate) use lr_find::LrFindArgs;
pub(crate) use predict::PredictArgs;
pub(crate) use report::{CompareArgs, ReportArgs};
pub(crate) use runs::RunsArgs;
pub(crate) use seeds::SeedRange;
pub(crate) use trained::TrainedArgs;

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed; the last line on standard error says why and what helps
  2    the command line is wrong
  3    predict: some of the files are no readable pictures; the others were predicted
  130  interrupted by Ctrl-C; the run was saved and can be resumed

Environment:
  CIFAR_KERNELS_ISA  portable, avx2, avx512 or avx512-bf16: holds the CPU kernels below what the
                     machine has
  RUST_LOG           which diagnostics are shown";

/// Train, evaluate and inspect CIFAR-10 image classifiers.
#[derive(Debug, Parser)]
#[command(name = "cifar", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// Diagnostics on standard error: -v for decisions, -vv for details (or set RUST_LOG)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

impl Cli {
    /// Whether standard output is reserved for a document.
    pub(crate) fn document(&self) -> bool {
        match &self.command {
            Command::Train(args) => args.json,
            Command::Eval(args) => args.json,
            Command::Predict(args) => args.json || args.csv,
            Command::Plot(args) => args.json,
            Command::Explain(args) => args.json,
            Command::Import(args) => args.json,
            Command::Export(args) => args.proof.json,
            Command::Verify(args) => args.proof.json,
            Command::Report(args) => args.json,
            Command::Runs(args) => args.json,
            Command::Compare(args) => args.json,
            Command::Data(DataArgs { command: DataCommand::Show(args) }) => args.json,
            Command::Data(DataArgs { command: DataCommand::Fetch(_) | DataCommand::Export(_) }) => {
                false
            }
            Command::Models(args) => args.json,
            Command::LrFind(args) => args.json,
            Command::Doctor(args) => args.json,
            Command::Bench(args) => args.json,
            Command::Completions { .. } => false,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a network; fetches the data if they are missing
    Train(TrainArgs),
    /// Evaluate a trained network on the test or validation images
    Eval(EvalArgs),
    /// Tell what pictures show, from files, folders or standard input
    Predict(PredictArgs),
    /// Draw a run: training curves, and what its checkpoint makes of the test images
    Plot(PlotArgs),
    /// Draw why a network took a picture for what it did
    Explain(ExplainArgs),
    /// Bring weights from PyTorch: torch.save's or TorchScript's file to safetensors
    Import(ImportArgs),
    /// Write a trained network as a file for other runtimes, and prove that it answers the same
    Export(ExportArgs),
    /// Prove again that an exported file answers as its run's network does
    Verify(VerifyArgs),
    /// Write what a run did as one web page: figures, curves, mistakes with their pictures
    Report(ReportArgs),
    /// List the runs below a folder and what came of them
    Runs(RunsArgs),
    /// Compare runs: a table, and a web page with their curves
    Compare(CompareArgs),
    /// Look at the data
    Data(DataArgs),
    /// List the networks, or one network layer by layer
    Models(ModelsArgs),
    /// Find which learning rates are worth trying: a short sweep over all of them
    LrFind(LrFindArgs),
    /// Look for what usually goes wrong: data, recipe, network, learning rate, checkpoint
    Doctor(DoctorArgs),
    /// Measure how fast training and evaluation run on this machine
    Bench(BenchArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

const TRAIN_EXAMPLES: &str = "\
Examples:
  cifar train                                   the ResNet recipe, 10 epochs
  cifar train --recipe simplenet                the smallest network, one epoch
  cifar train --set optimizer.learning-rate=0.005 --set data.validation=0
  cifar train --recipe my-recipe.toml --out runs/mine
  cifar train --max-steps 100                   stop after 100 steps, saved
  cifar train --data-dir photos --measure-normalization    your own photos/{train,test}/CLASS/*.jpg
  cifar train --resume runs/mine                go on where a run stopped
  cifar train --recipe airnet94 --seeds 0..5    five runs, their mean and spread
  cifar train --tui                             watch it in the terminal

Keys for --set are those of the recipe; every run writes its own to config.toml.

";

/// Arguments of `train`.
#[derive(Debug, Clone, Args)]
#[command(after_help = format!("{TRAIN_EXAMPLES}{EXIT_CODES}"))]
pub(crate) struct TrainArgs {
    /// A recipe's name (simplenet, small-resnet, small-resnet-94, airnet94) or a TOML file
    #[arg(
        long,
        value_name = "NAME|FILE",
        default_value = "small-resnet",
        conflicts_with = "resume"
    )]
    pub(crate) recipe: String,
    /// Change one recipe key, for example optimizer.learning-rate=0.005; may be repeated
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "resume")]
    pub(crate) set: Vec<String>,
    /// Passes over the training images
    #[arg(long, conflicts_with = "resume")]
    pub(crate) epochs: Option<u32>,
    /// Images per optimiser step
    #[arg(long, conflicts_with = "resume")]
    pub(crate) batch_size: Option<usize>,
    /// Seed of initialisation, order, split and augmentation
    #[arg(long, conflicts_with = "resume")]
    pub(crate) seed: Option<u64>,
    /// Train from each of these seeds, one run after another, and print mean and spread; the same
    /// command goes on where a killed one was [default folder: runs/RECIPE-seeds]
    #[arg(
        long,
        value_name = "A..B",
        value_parser = seeds::parse,
        conflicts_with_all = ["seed", "resume", "trace"]
    )]
    pub(crate) seeds: Option<SeedRange>,
    /// Normalise by the mean and standard deviation of the training images instead of the recipe's;
    /// config.toml gets the figures
    #[arg(long, conflicts_with = "resume")]
    pub(crate) measure_normalization: bool,
    /// Stop, saved, once this many optimiser steps are done in all; the learning-rate curve keeps
    /// its length
    #[arg(long)]
    pub(crate) max_steps: Option<usize>,
    /// New folder for the run [default: runs/RECIPE-SEED-TIME]
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in this folder
    #[arg(long, value_name = "RUN")]
    pub(crate) resume: Option<PathBuf>,
    /// Show curves, classes, log and speed in the terminal while the run works; q stops it
    #[arg(long)]
    pub(crate) tui: bool,
    /// Write no event file for TensorBoard
    #[arg(long)]
    pub(crate) no_tensorboard: bool,
    /// Leave histograms of weights and gradients out of the event file
    #[arg(long)]
    pub(crate) no_histograms: bool,
    /// Write what each thread did when, to look at in <https://ui.perfetto.dev>
    #[arg(long, value_name = "FILE")]
    pub(crate) trace: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON document (the summary) on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the data come from.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// Folder of the data set (cifar-10-batches-bin or -py), a .tar.gz of either, or pictures of your
    /// own in DIR/train/CLASS and DIR/test/CLASS
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
    /// Use only what is there; never open the network
    #[arg(long)]
    pub(crate) no_download: bool,
}

/// What it runs on.
#[derive(Debug, Clone, Args)]
pub(crate) struct ComputeArgs {
    /// auto, cpu, or a GPU such as cuda:0
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// CPU threads [default: all]; results do not depend on it
    #[arg(long)]
    pub(crate) threads: Option<usize>,
}

/// Which images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitName {
    /// The 10,000 test images
    Test,
    /// The training images that the run held out
    Validation,
}

/// Which checkpoint of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckpointName {
    /// The best on validation
    Best,
    /// The latest
    Last,
}

/// Which views of an image are judged together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TtaName {
    /// The image alone
    None,
    /// The image and its mirror image
    Mirror,
    /// These, and both moved by one pixel up and left, and down and right
    MirrorTranslate,
}

impl From<TtaName> for TestTimeAugmentation {
    fn from(name: TtaName) -> Self {
        match name {
            TtaName::None => Self::None,
            TtaName::Mirror => Self::Mirror,
            TtaName::MirrorTranslate => Self::MirrorTranslate,
        }
    }
}

const EVAL_EXAMPLES: &str = "\
Examples:
  cifar eval --run runs/mine
  cifar eval --run runs/mine --split validation --json
  cifar eval --weights model.safetensors --model small-resnet
  cifar eval --weights state_dict.pt --model small-resnet

";

/// Arguments of `eval`.
#[derive(Debug, Args)]
#[command(after_help = format!("{EVAL_EXAMPLES}{EXIT_CODES}"))]
pub(crate) struct EvalArgs {
    #[command(flatten)]
    pub(crate) trained: TrainedArgs,
    /// Which images
    #[arg(long, value_enum, default_value = "test")]
    pub(crate) split: SplitName,
    /// Test-time augmentation: take the mean over views of each image [default: the recipe's]
    #[arg(long, value_enum)]
    pub(crate) tta: Option<TtaName>,
    /// Write the confusion matrix as a picture
    #[arg(long, value_name = "FILE")]
    pub(crate) confusion_png: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// File formats of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PictureFormat {
    /// Pixels
    Png,
    /// Shapes and text
    Svg,
    /// Both
    Both,
}

/// Arguments of `plot`.
#[derive(Debug, Args)]
pub(crate) struct PlotArgs {
    /// A run's folder
    pub(crate) run: PathBuf,
    /// Folder for the pictures [default: RUN/plots]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// File format
    #[arg(long, value_enum, default_value = "png")]
    pub(crate) format: PictureFormat,
    /// Folder of the data set; nothing is fetched. Without it the run's evaluation.json is drawn
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `data`.
#[derive(Debug, Args)]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub(crate) command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Make sure that the official files are there, whole and verified
    Fetch(FetchArgs),
    /// Size, classes and statistics, and three pictures: samples, class distribution, and one
    /// training batch as the network sees it
    Show(ShowArgs),
    /// Write the images as PNG files: DIR/train/CLASS/ and DIR/test/CLASS/
    Export(ExportDataArgs),
}

/// Arguments of `data fetch`.
#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data_dir: PathBuf,
    /// A local copy of the official archive, instead of the network
    #[arg(long, value_name = "FILE")]
    pub(crate) archive: Option<PathBuf>,
}

/// Arguments of `data show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Folder for the pictures
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    /// File format
    #[arg(long, value_enum, default_value = "png")]
    pub(crate) format: PictureFormat,
    /// The recipe whose augmentation the training batch shows
    #[arg(long, value_name = "NAME|FILE", default_value = "small-resnet")]
    pub(crate) recipe: String,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// What images, activations and their gradients are stored in.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PrecisionName {
    F32,
    Bf16,
}

/// Arguments of `models`.
#[derive(Debug, Args)]
pub(crate) struct ModelsArgs {
    /// A network's name; without it all are listed
    pub(crate) name: Option<String>,
    /// Show the operations of a training step on the CPU and the memory they need
    #[arg(long, requires = "name")]
    pub(crate) plan: bool,
    /// Images of that step
    #[arg(long, requires = "plan", default_value_t = 128)]
    pub(crate) batch_size: usize,
    /// What that step stores values in
    #[arg(long, requires = "plan", value_enum, default_value = "f32")]
    pub(crate) precision: PrecisionName,
    /// Print one JSON document on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of `bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// A recipe's name (simplenet, small-resnet, small-resnet-94, airnet94) or a TOML file
    #[arg(long, visible_alias = "model", value_name = "NAME|FILE", default_value = "small-resnet")]
    pub(crate) recipe: String,
    /// Change one recipe key, for example convolution=direct; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Images per step [default: the recipe's]
    #[arg(long)]
    pub(crate) batch_size: Option<usize>,
    /// What values are stored in [default: the recipe's, else what suits this machine]
    #[arg(long, value_enum)]
    pub(crate) precision: Option<PrecisionName>,
    /// Steps that are timed; the median counts
    #[arg(long, default_value_t = 20)]
    pub(crate) steps: usize,
    /// Evaluate instead of training
    #[arg(long)]
    pub(crate) eval: bool,
    /// Measure each convolution by itself, forward and backward, by each algorithm
    #[arg(long, conflicts_with_all = ["eval", "steps"])]
    pub(crate) convolutions: bool,
    #[command(flatten)]
    pub(crate) compute: ComputeArgs,
    /// Print one JSON document on standard output, all else on standard error
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_resumed_run_takes_no_new_recipe() {
        let error =
            Cli::try_parse_from(["cifar", "train", "--resume", "x", "--epochs", "3"]).unwrap_err();
        assert!(error.to_string().contains("--epochs"), "{error}");
    }
}
