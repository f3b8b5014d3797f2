//! Which learning rates are worth trying: the range test of Smith 2015 (arXiv:1506.01186,
//! section 3.3), with an exponential sweep as in fastai's `Learner.lr_find` and `torch-lr-finder`.

use candle_core::Device;
use cifar_data::Loader;
use serde::Serialize;

use crate::clip::global_norm;
use crate::engine::Engine;
use crate::error::TrainError;
use crate::learner::Learner;
use crate::optimizer::Optimizers;
use crate::recipe::Recipe;

/// Share of a new loss in the smoothed one (`smooth_f` of `torch-lr-finder`).
const SMOOTHING: f64 = 0.05;
/// The sweep ends when the smoothed loss is this many times its lowest value (fastai).
const DIVERGED: f64 = 4.0;
/// The sweep is not ended, nor its beginning judged, in one part of this many: the first losses
/// scatter.
const SETTLED: usize = 10;
/// Fewest steps that a slope can be taken from.
const MIN_STEPS: usize = 20;

/// The learning rates of a range test: `from`, growing by the same factor at every step, to `to`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrSweep {
    from: f64,
    to: f64,
    steps: usize,
}

/// A sweep that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum LrSweepError {
    /// The ends are no range.
    #[error("a sweep from {from} to {to} is none; give 0 < from < to, for example 1e-7 and 10")]
    Range {
        /// The first learning rate.
        from: f64,
        /// The last one.
        to: f64,
    },
    /// Too few steps for a slope.
    #[error("a sweep of {0} steps is too short, expected at least {MIN_STEPS}; 100 is usual")]
    Steps(usize),
}

/// One step of a range test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LrPoint {
    /// Its learning rate.
    pub learning_rate: f64,
    /// Mean loss of its batch, before the update.
    pub loss: f64,
    /// Exponential mean of the losses so far, without the bias of its start.
    pub smoothed: f64,
}

/// What a range test found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LrRange {
    /// Every step with a finite loss.
    pub points: Vec<LrPoint>,
    /// Whether the loss rose so far that the sweep was ended before `to`.
    pub diverged: bool,
    /// Where the smoothed loss falls fastest; none where it does not fall.
    pub steepest: Option<f64>,
    /// A tenth of the learning rate with the lowest smoothed loss; none where that is the first.
    pub min_tenth: Option<f64>,
}

impl LrSweep {
    /// `steps` learning rates from `from` to `to`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(from: f64, to: f64, steps: usize) -> Result<Self, LrSweepError> {
        if !(0.0 < from && from < to && to.is_finite()) {
            return Err(LrSweepError::Range { from, to });
        }
        if steps < MIN_STEPS {
            return Err(LrSweepError::Steps(steps));
        }
        Ok(Self { from, to, steps })
    }

    /// Number of learning rates.
    pub fn steps(&self) -> usize {
        self.steps
    }

    fn at(&self, step: usize) -> f64 {
        self.from * (self.to / self.from).powf(step as f64 / (self.steps - 1) as f64)
    }
}

/// Trains `learner` on `loader`'s batches, one step at each learning rate of `sweep`, with the
/// recipe's optimisers, clipping and smoothing but without its schedule, until the loss diverges; then
/// gives every variable its value back. Tells `each` step.
///
/// # Errors
/// candle's. A loss that is not finite ends the sweep and is no error.
pub fn lr_range_test(
    learner: &Learner<'_>,
    loader: &Loader,
    recipe: &Recipe,
    device: &Device,
    sweep: LrSweep,
    mut each: impl FnMut(&LrPoint),
) -> Result<LrRange, TrainError> {
    let (points, diverged) =
        learner.unchanged(|| run(learner, loader, recipe, device, sweep, &mut each))?;
    Ok(LrRange { steepest: steepest(&points), min_tenth: min_tenth(&points), points, diverged })
}

fn run(
    learner: &Learner<'_>,
    loader: &Loader,
    recipe: &Recipe,
    device: &Device,
    sweep: LrSweep,
    each: &mut dyn FnMut(&LrPoint),
) -> Result<(Vec<LrPoint>, bool), TrainError> {
    let mut engine = Engine::new(learner, recipe, device)?;
    let mut optimizers = Optimizers::new(recipe, &learner.trainable(), sweep.steps)?;
    let (mut points, mut mean, mut least) = (Vec::new(), 0.0, f64::INFINITY);
    let batches = (0..).flat_map(|epoch| loader.epoch(epoch));
    for (step, batch) in batches.take(sweep.steps).enumerate() {
        let pass = engine.forward_backward(learner, &batch, recipe)?;
        let norm = if pass.loss.is_finite() { global_norm(&pass.gradients)? } else { f64::NAN };
        if !norm.is_finite() {
            return Ok((points, true));
        }
        mean += SMOOTHING * (pass.loss - mean);
        let smoothed = mean / (1.0 - (1.0 - SMOOTHING).powi(step as i32 + 1));
        let learning_rate = sweep.at(step);
        let point = LrPoint { learning_rate, loss: pass.loss, smoothed };
        each(&point);
        points.push(point);
        if smoothed > DIVERGED * least && step >= sweep.steps / SETTLED {
            return Ok((points, true));
        }
        least = least.min(smoothed);
        let scale = recipe.gradient_scale(norm, batch.len());
        optimizers.step_at(learning_rate, &pass.gradients, scale)?;
    }
    Ok((points, false))
}

/// Index of the lowest smoothed loss.
fn lowest(points: &[LrPoint]) -> Option<usize> {
    (0..points.len()).min_by(|&a, &b| points[a].smoothed.total_cmp(&points[b].smoothed))
}

fn min_tenth(points: &[LrPoint]) -> Option<f64> {
    let lowest = lowest(points).filter(|&index| index > 0)?;
    Some(points[lowest].learning_rate / 10.0)
}

/// Learning rate around which the smoothed loss falls most, over the logarithm of the learning rate,
/// which grows evenly; between the scattered beginning and the lowest loss. The fall is that over a
/// tenth of the sweep: from one step to the next it is mostly the batches' scatter.
fn steepest(points: &[LrPoint]) -> Option<f64> {
    let reach = points.len() / (2 * SETTLED);
    let (first, last) = (points.len() / SETTLED + reach, lowest(points)?);
    let fall = |at: usize| {
        points[at - reach].smoothed - points[(at + reach).min(points.len() - 1)].smoothed
    };
    let at = (first..last).max_by(|&a, &b| fall(a).total_cmp(&fall(b)))?;
    (fall(at) > 0.0).then(|| points[at].learning_rate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_learner::{Tiny, loader, recipe};

    #[test]
    fn a_sweep_grows_evenly_and_refuses_what_is_none() {
        let sweep = LrSweep::new(1e-6, 1.0, 61).unwrap();
        for (step, want) in [(0, 1e-6), (10, 1e-5), (30, 1e-3), (60, 1.0)] {
            assert!((sweep.at(step) / want - 1.0).abs() < 1e-12, "{}", sweep.at(step));
        }
        for (from, to) in
            [(0.0, 1.0), (1.0, 1.0), (1.0, 0.1), (f64::NAN, 1.0), (1.0, f64::INFINITY)]
        {
            assert!(matches!(LrSweep::new(from, to, 100), Err(LrSweepError::Range { .. })));
        }
        assert_eq!(LrSweep::new(1e-3, 1.0, 5), Err(LrSweepError::Steps(5)));
    }

    fn curve(loss: impl Fn(f64) -> f64) -> Vec<LrPoint> {
        let at = |i: i32| 10_f64.powf(f64::from(i) / 10.0 - 6.0);
        let point = |i| LrPoint { learning_rate: at(i), loss: 0.0, smoothed: loss(at(i)) };
        (0..60).map(point).collect()
    }

    #[test]
    fn the_suggestions_are_the_steepest_fall_and_a_tenth_of_the_lowest_loss() {
        // Falls as a logistic curve around 1e-3 and rises beyond 0.1.
        let points =
            curve(|lr| 2.3 - 2.0 / (1.0 + (1e-3 / lr).powi(2)) + if lr > 0.1 { lr } else { 0.0 });
        let near = |found: Option<f64>, want: f64| (found.unwrap() / want).log10().abs() < 0.11;
        assert!(near(steepest(&points), 1e-3), "{:?}", steepest(&points));
        assert!(near(min_tenth(&points), 1e-2), "{:?}", min_tenth(&points));
        let rising = curve(|lr| 1.0 + lr);
        assert_eq!((steepest(&rising), min_tenth(&rising)), (None, None));
        assert_eq!((steepest(&[]), min_tenth(&[])), (None, None));
    }

    #[test]
    fn a_test_falls_then_diverges_and_leaves_every_variable_as_it_was() {
        let sgd = "optimizer={name='sgd', learning-rate=0.1, momentum=0.9, nesterov=true, weight-decay=0.0}";
        let mut recipe = recipe(&[sgd]);
        recipe.clip_norm = None;
        let tiny = Tiny::new();
        let before: Vec<_> =
            tiny.variables.iter().map(|v| format!("{}", v.var.as_tensor())).collect();
        let sweep = LrSweep::new(1e-3, 1e6, 200).unwrap();
        let loader = loader(0..30, 8, Some(&recipe));
        let mut n_told = 0;
        let device = &Device::Cpu;
        let range =
            lr_range_test(&tiny.learner(), &loader, &recipe, device, sweep, |_| n_told += 1)
                .unwrap();
        assert!(range.diverged && range.points.len() < 200, "{range:?}");
        assert_eq!(n_told, range.points.len());
        let first = &range.points[0];
        assert!((first.smoothed - first.loss).abs() < 1e-12, "no bias at the start: {first:?}");
        let suggested = range.steepest.unwrap();
        let last = range.points.last().unwrap().learning_rate;
        assert!(1e-3 < suggested && suggested < last, "{suggested} of {last}");
        let after: Vec<_> =
            tiny.variables.iter().map(|v| format!("{}", v.var.as_tensor())).collect();
        assert_eq!(after, before);
    }
}
