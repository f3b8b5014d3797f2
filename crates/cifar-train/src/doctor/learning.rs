use candle_core::Device;
use cifar_data::Batch;

use super::Finding;
use crate::engine::Engine;
use crate::error::TrainError;
use crate::learner::Learner;
use crate::lr_range::LrRange;
use crate::optimizer::{AdamWConfig, Optimizer, OptimizerConfig};
use crate::recipe::Recipe;
use crate::schedule::{Schedule, ScheduleConfig, StepSize};

/// Images of the batch that is learned by heart.
pub const OVERFIT_IMAGES: usize = 32;
/// Most steps that may take.
pub const OVERFIT_STEPS: usize = 300;
/// Loss, in nats, at which it is: the right class has a probability of 95 %, in the geometric
/// mean.
const LEARNED: f64 = 0.05;
/// Adam's usual learning rate. The recipe's own optimiser is not used, so that this tells a broken
/// network or loss from a slow recipe.
const OVERFIT_RATE: f64 = 1e-3;

/// An attempt to learn one batch by heart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Overfit {
    /// Loss before the first step.
    pub first: f64,
    /// Loss after the last step.
    pub last: f64,
    /// Steps taken.
    pub steps: usize,
    /// Images of the batch.
    pub n_images: usize,
}

/// Trains on `batch` alone until its loss is below 0.05 or [`OVERFIT_STEPS`] are done, with AdamW
/// at 0.001 and nothing that holds it back: no weight decay, clipping, smoothing or schedule. Tells
/// `each` the step and its loss.
///
/// # Errors
/// As [`Engine::forward_backward`]. A loss that is not finite ends it and is no error.
pub fn overfit_one_batch(
    learner: &Learner<'_>,
    batch: &Batch,
    recipe: &Recipe,
    device: &Device,
    mut each: impl FnMut(usize, f64),
) -> Result<Overfit, TrainError> {
    let adamw = AdamWConfig {
        learning_rate: OVERFIT_RATE,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
    };
    let free = Recipe { label_smoothing: 0.0, gradient_accumulation: 1, ..recipe.clone() };
    learner.unchanged(|| {
        let mut engine = Engine::new(learner, &free, device)?;
        let mut optimizer = Optimizer::new(OptimizerConfig::AdamW(adamw), learner.trainable())?;
        let mut first = None;
        let mut steps = 0;
        loop {
            let pass = engine.forward_backward(learner, batch, &free)?;
            each(steps, pass.loss);
            let first = *first.get_or_insert(pass.loss);
            // The loss goes on only where it is a number above the threshold.
            if !(pass.loss > LEARNED && pass.loss.is_finite()) || steps == OVERFIT_STEPS {
                return Ok(Overfit { first, last: pass.loss, steps, n_images: batch.len() });
            }
            let size = StepSize { learning_rate: OVERFIT_RATE, momentum: None };
            optimizer.step(&pass.gradients, size, 1.0)?;
            steps += 1;
        }
    })
}

/// Whether the network can learn one batch by heart.
pub fn overfit(result: &Overfit) -> Finding {
    const CHECK: &str = "overfit-one-batch";
    let Overfit { first, last, steps, n_images } = *result;
    let found =
        format!("{n_images} images: loss from {first:.3} to {last:.3} in {steps} steps of AdamW");
    if last <= LEARNED {
        let meaning = "images, labels, network, loss and gradients fit together";
        return Finding::ok(CHECK, found, meaning);
    }
    let remedy = "look at the batch (`cifar data show`): do labels and pictures match? Then at \
                  gradients and dead-activations; try more channels only after that";
    if last < first / 2.0 {
        let meaning = "it learns, yet not down to 0.05: the network is very small, or something in it \
                       holds it back, such as dropout";
        Finding::warning(CHECK, found, meaning, remedy)
    } else {
        let meaning = "a network that cannot learn a few images by heart has a bug, not a lack of \
                       data";
        Finding::problem(CHECK, found, meaning, remedy)
    }
}

/// How far below the steepest descent a learning rate is suspiciously small.
const FAR_BELOW: f64 = 1000.0;

/// Whether the recipe's base or peak learning rate lies where a range test saw the loss fall.
pub fn learning_rate(range: &LrRange, recipe: &Recipe) -> Finding {
    const CHECK: &str = "learning-rate";
    let rate = recipe.optimizer.learning_rate();
    let shown =
        |value: Option<f64>| value.map_or("none".to_owned(), |value| format!("{value:.1e}"));
    let found = format!(
        "the recipe's {rate:.1e}; steepest descent at {}, lowest loss / 10 at {}, {}",
        shown(range.steepest),
        shown(range.min_tenth),
        match range.points.last().filter(|_| range.diverged) {
            Some(last) => format!("diverged at {:.1e}", last.learning_rate),
            None => "no divergence".to_owned(),
        }
    );
    let lower =
        "set optimizer.learning-rate to one of the two suggestions; `cifar lr-find` draws them";
    let diverges =
        range.diverged && range.points.last().is_none_or(|last| rate >= last.learning_rate);
    if diverges {
        let meaning = "steps of this size make the loss grow without end";
        Finding::problem(CHECK, found, meaning, lower)
    } else if range.steepest.is_none() {
        let meaning = "no learning rate made the loss fall in one sweep";
        let remedy = "see overfit-one-batch and gradients first";
        Finding::problem(CHECK, found, meaning, remedy)
    } else if range.min_tenth.is_some_and(|tenth| rate > 10.0 * tenth) {
        let meaning = "the loss no longer fell at this size; only a warm-up may make it work";
        Finding::warning(CHECK, found, meaning, lower)
    } else if range.steepest.is_some_and(|steepest| FAR_BELOW * rate < steepest) {
        let meaning = "steps of this size are so small that training takes many times as long";
        let raise = "raise optimizer.learning-rate towards the suggestions";
        Finding::warning(CHECK, found, meaning, raise)
    } else {
        Finding::ok(CHECK, found, "it lies where the loss falls")
    }
}

/// Shares of the highest learning rate above which the last one has not come down.
const STILL_HIGH: f64 = 0.1;

/// Whether the schedule's curve rises and comes down within the recipe's `n_steps` optimiser
/// steps.
pub fn schedule(recipe: &Recipe, n_steps: usize) -> Finding {
    const CHECK: &str = "schedule";
    let schedule = Schedule::new(recipe.schedule, recipe.optimizer.learning_rate(), n_steps);
    let rates: Vec<f64> =
        (0..n_steps).filter_map(|step| schedule.at(step).ok()).map(|s| s.learning_rate).collect();
    let highest = rates.iter().copied().fold(0.0, f64::max);
    let (first, last) = (rates.first().copied(), rates.last().copied());
    let (first, last) = (first.unwrap_or(0.0), last.unwrap_or(0.0));
    let peak_at = rates.iter().position(|&rate| rate == highest).unwrap_or(0);
    let found = format!(
        "{n_steps} steps: the learning rate begins at {first:.1e}, is highest at step {} with \
         {highest:.1e}, ends at {last:.1e}",
        peak_at + 1
    );
    let shorter = "make its steps or phases shorter than epochs x batches, or train longer";
    match recipe.schedule {
        ScheduleConfig::Constant {} => {
            let meaning =
                "constant needs no length; coming down towards the end usually gains accuracy";
            Finding::ok(CHECK, found, meaning)
        }
        _ if last >= highest => {
            let meaning = "the run ends before the learning rate has come down at all: the schedule \
                           never finishes";
            Finding::problem(CHECK, found, meaning, shorter)
        }
        _ if last > STILL_HIGH * highest => {
            let meaning = "the run ends while steps are still large; the last epochs' gain is lost";
            Finding::warning(CHECK, found, meaning, shorter)
        }
        ScheduleConfig::OneCycle { pct_start, .. } if peak_at == 0 && pct_start > 0.0 => {
            let meaning = "there are too few steps for the warm-up: the first one is the largest";
            Finding::warning(CHECK, found, meaning, "train longer, or use smaller batches")
        }
        _ => Finding::ok(CHECK, found, "it ends with the run, at small steps"),
    }
}
