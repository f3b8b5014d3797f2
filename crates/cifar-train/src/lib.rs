//! The training engine.
//!
//! It trains anything that maps images to logits and whose variables have names: a
//! [`Learner`] is a [`candle_nn::ModuleT`] and its [`cifar_net::Variable`]s. The engine knows no
//! architecture, prints nothing and reads neither arguments nor the environment; it tells
//! [`Observer`]s of each [`Event`] and leaves whole checkpoints on disk.
//!
//! - [`Recipe`]: everything that decides a run's numbers, read from TOML and checked once.
//! - [`Schedule`]: learning rate and momentum as a function of the step; its length is checked
//!   against the loop.
//! - [`Optimizer`]: SGD and AdamW that equal PyTorch's, and Muon; all can be saved.
//!   [`Optimizers`]: several of them, each for its [`ParameterGroup`].
//! - [`Trainer`]: the loop, with clipping, gradient accumulation, weight averaging, early
//!   stopping, a guard against non-finite numbers, and exact resuming from any step.
//! - [`RunFolder`], [`CheckpointStore`]: what a run leaves behind.
//! - [`lr_range_test`]: which learning rates are worth trying; [`doctor`]: what is wrong.

mod checkpoint;
mod clip;
pub mod doctor;
mod early_stop;
mod ema;
mod engine;
mod error;
mod evaluate;
mod event;
mod example_losses;
mod history;
mod learner;
mod lr_range;
mod metrics_log;
mod optimizer;
mod recipe;
mod run_folder;
mod schedule;
mod state;
mod summary;
#[cfg(test)]
mod test_learner;
mod test_time;
mod times;
mod trainer;

pub use checkpoint::{CheckpointError, CheckpointStore, Slot, Snapshot};
pub use clip::{clip_factor, global_norm};
pub use early_stop::{Best, BestSoFar};
pub use ema::Ema;
pub use engine::{Engine, Pass};
pub use error::{NonFinite, TrainError};
pub use evaluate::{Predictor, evaluate, evaluate_each, evaluate_views};
pub use event::{EpochReport, Event, Observer, Start, StepReport, StepTensors, ValidationReport};
pub use example_losses::{ExampleLosses, HardExample};
pub use history::{History, HistoryError, LoggedEpoch, LoggedStep, LoggedValidation};
pub use learner::Learner;
pub use lr_range::{LrPoint, LrRange, LrSweep, LrSweepError, lr_range_test};
pub use metrics_log::{Csv, JsonLines};
pub use optimizer::{
    AdamW, AdamWConfig, Muon, MuonConfig, Optimizer, OptimizerConfig, OptimizerStateError,
    Optimizers, ParameterGroup, Sgd, SgdConfig, orthogonal,
};
pub use recipe::{
    ActivationName, Convolution, DataConfig, LossReduction, NetworkConfig, Precision, Recipe,
    RecipeError, Whitening,
};
pub use run_folder::{RunFolder, RunFolderError, RunLock};
pub use schedule::{Schedule, ScheduleConfig, ScheduleCursor, ScheduleError, StepSize};
pub use state::{RunningMeans, TrainState};
pub use summary::{Summary, Surroundings};
pub use test_time::TestTimeAugmentation;
pub use times::{Span, StepTimes, TimeTotals};
pub use trainer::{Limits, Outcome, Trainer};
