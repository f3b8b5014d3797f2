//! Learning-rate schedules as pure functions of the step, and the cursor that holds the
//! training loop to the schedule's length.
//!
//! A schedule is asked once per optimiser step. PyTorch keeps the same numbers inside
//! scheduler objects which a loop must advance; a loop that advances too often or too
//! rarely bends the curve silently. Here the length is part of the schedule, and
//! [`ScheduleCursor`] turns an overrun or a shortfall into an error.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

use crate::recipe::{RecipeError, require};

/// How the learning rate moves from the first step to the last, as written in a recipe.
///
/// The peak or base learning rate itself belongs to the optimiser (`learning-rate`).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "name",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case",
    deny_unknown_fields
)]
pub enum ScheduleConfig {
    /// The same learning rate at every step.
    Constant {},
    /// One cycle of cosine warm-up and cosine decay, momentum running the other way
    /// (Smith & Topin 2017, arXiv:1708.07120), with the numbers of
    /// [`torch.optim.lr_scheduler.OneCycleLR`](https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html)
    /// (two phases, cosine annealing).
    OneCycle {
        /// Fraction of all steps spent rising, in `0..=1`. PyTorch's default is 0.3.
        pct_start: f64,
        /// The first learning rate is `learning-rate / div-factor`. PyTorch's default is 25.
        div_factor: f64,
        /// The last learning rate is the first one divided by this. PyTorch's default is 1e4.
        final_div_factor: f64,
        /// Momentum (beta1 of AdamW) at the peak of the learning rate. PyTorch's default is 0.85.
        base_momentum: f64,
        /// Momentum (beta1 of AdamW) at both ends. PyTorch's default is 0.95.
        max_momentum: f64,
    },
    /// Half a cosine from the learning rate down to `min-learning-rate`
    /// ([`CosineAnnealingLR`](https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html)
    /// with `T_max` = all steps).
    Cosine {
        /// Learning rate that the curve approaches at the end.
        min_learning_rate: f64,
    },
    /// A straight line from the learning rate to `end-factor` times it
    /// ([`LinearLR`](https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.LinearLR.html)
    /// with `start_factor` 1 and `total_iters` = all steps).
    Linear {
        /// Share of the learning rate that the line reaches where the step after the last would be.
        end_factor: f64,
    },
    /// Multiplies the learning rate by `gamma` every `step-size` steps
    /// ([`StepLR`](https://pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.StepLR.html),
    /// stepped once per batch).
    Step {
        /// Optimiser steps between two decays, at least 1.
        step_size: usize,
        /// Factor of each decay.
        gamma: f64,
    },
}

impl ScheduleConfig {
    pub(crate) fn check(&self) -> Result<(), RecipeError> {
        match *self {
            Self::Constant {} => Ok(()),
            Self::OneCycle {
                pct_start,
                div_factor,
                final_div_factor,
                base_momentum,
                max_momentum,
            } => {
                require(
                    "schedule.pct-start",
                    pct_start,
                    (0.0..=1.0).contains(&pct_start),
                    "0 <= value <= 1",
                )?;
                for (key, factor) in [
                    ("schedule.div-factor", div_factor),
                    ("schedule.final-div-factor", final_div_factor),
                ] {
                    require(key, factor, factor > 0.0 && factor.is_finite(), "a positive number")?;
                }
                for (key, momentum) in [
                    ("schedule.base-momentum", base_momentum),
                    ("schedule.max-momentum", max_momentum),
                ] {
                    require(key, momentum, (0.0..1.0).contains(&momentum), "0 <= value < 1")?;
                }
                Ok(())
            }
            Self::Cosine { min_learning_rate: low } => require(
                "schedule.min-learning-rate",
                low,
                low >= 0.0 && low.is_finite(),
                "a number from 0 up",
            ),
            Self::Linear { end_factor } => require(
                "schedule.end-factor",
                end_factor,
                end_factor >= 0.0 && end_factor.is_finite(),
                "a number from 0 up",
            ),
            Self::Step { step_size, gamma } => {
                require("schedule.step-size", step_size, step_size >= 1, "at least 1 step")?;
                require(
                    "schedule.gamma",
                    gamma,
                    gamma > 0.0 && gamma.is_finite(),
                    "a positive number",
                )
            }
        }
    }
}

/// What the optimiser uses for one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSize {
    /// Learning rate.
    pub learning_rate: f64,
    /// Momentum of SGD or beta1 of AdamW where the schedule moves it, else `None`:
    /// the optimiser's own value holds.
    pub momentum: Option<f64>,
}

/// A schedule with its learning rate and its length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    config: ScheduleConfig,
    learning_rate: f64,
    total_steps: usize,
}

/// The loop and the schedule disagree about the number of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// One step more than the schedule has.
    #[error(
        "the loop asks for step {step} of a schedule of {total_steps} steps; build the schedule with epochs x batches per epoch"
    )]
    Overrun {
        /// Index of the step asked for, from 0.
        step: usize,
        /// Length of the schedule.
        total_steps: usize,
    },
    /// The loop ended before the schedule did.
    #[error(
        "the loop ended after {steps} steps of a schedule of {total_steps}; build the schedule with epochs x batches per epoch"
    )]
    Shortfall {
        /// Steps taken.
        steps: usize,
        /// Length of the schedule.
        total_steps: usize,
    },
}

impl Schedule {
    /// A schedule over `total_steps` optimiser steps whose base or peak is `learning_rate`.
    pub fn new(config: ScheduleConfig, learning_rate: f64, total_steps: usize) -> Self {
        Self { config, learning_rate, total_steps }
    }

    /// Length in optimiser steps.
    pub fn total_steps(&self) -> usize {
        self.total_steps
    }

    /// Learning rate and momentum of step `step`, counted from 0.
    ///
    /// # Errors
    /// [`ScheduleError::Overrun`] where `step` is not below [`Schedule::total_steps`].
    pub fn at(&self, step: usize) -> Result<StepSize, ScheduleError> {
        if step >= self.total_steps {
            return Err(ScheduleError::Overrun { step, total_steps: self.total_steps });
        }
        let base = self.learning_rate;
        let learning_rate = match self.config {
            ScheduleConfig::Constant {} => base,
            ScheduleConfig::Cosine { min_learning_rate } => {
                let turn = PI * step as f64 / self.total_steps as f64;
                min_learning_rate + (base - min_learning_rate) * (1.0 + turn.cos()) / 2.0
            }
            ScheduleConfig::Linear { end_factor } => {
                base * (1.0 + (end_factor - 1.0) * step as f64 / self.total_steps as f64)
            }
            ScheduleConfig::Step { step_size, gamma } => {
                base * gamma.powf((step / step_size) as f64)
            }
            ScheduleConfig::OneCycle {
                pct_start,
                div_factor,
                final_div_factor,
                base_momentum,
                max_momentum,
            } => {
                let first = base / div_factor;
                let rise = Rise::new(step, self.total_steps, pct_start);
                return Ok(StepSize {
                    learning_rate: rise.between(first, base, first / final_div_factor),
                    momentum: Some(rise.between(max_momentum, base_momentum, max_momentum)),
                });
            }
        };
        Ok(StepSize { learning_rate, momentum: None })
    }
}

/// Where a step lies in the two phases of one cycle.
struct Rise {
    falling: bool,
    /// Progress inside the phase, `0..=1`.
    progress: f64,
}

impl Rise {
    /// PyTorch ends the first phase at the real number `pct_start * total_steps - 1` and the
    /// second at `total_steps - 1`; a step belongs to the first phase up to and including its end.
    fn new(step: usize, total_steps: usize, pct_start: f64) -> Self {
        let (step, last) = (step as f64, total_steps as f64 - 1.0);
        let turn = pct_start * total_steps as f64 - 1.0;
        if step <= turn {
            Self { falling: false, progress: if turn > 0.0 { step / turn } else { 1.0 } }
        } else {
            Self { falling: true, progress: (step - turn) / (last - turn) }
        }
    }

    fn between(&self, first: f64, peak: f64, last: f64) -> f64 {
        let (from, to) = if self.falling { (peak, last) } else { (first, peak) };
        to + (from - to) / 2.0 * (1.0 + (PI * self.progress).cos())
    }
}

/// Hands out the steps of a schedule in order and knows when they are used up.
#[derive(Debug, Clone)]
pub struct ScheduleCursor {
    schedule: Schedule,
    next: usize,
}

impl ScheduleCursor {
    /// Starts at step `next`.
    pub fn new(schedule: Schedule, next: usize) -> Self {
        Self { schedule, next }
    }

    /// Learning rate and momentum of the next step; moves on by one.
    ///
    /// # Errors
    /// [`ScheduleError::Overrun`] after the last step.
    pub fn advance(&mut self) -> Result<StepSize, ScheduleError> {
        let size = self.schedule.at(self.next)?;
        self.next += 1;
        Ok(size)
    }

    /// Whether every step was taken.
    pub fn is_at_end(&self) -> bool {
        self.next >= self.schedule.total_steps
    }

    /// Makes step `next` the next one.
    pub fn go_to(&mut self, next: usize) {
        self.next = next;
    }

    /// Checks that every step was taken.
    ///
    /// # Errors
    /// [`ScheduleError::Shortfall`] where steps are left.
    pub fn finish(&self) -> Result<(), ScheduleError> {
        let total_steps = self.schedule.total_steps;
        if self.next == total_steps {
            Ok(())
        } else {
            Err(ScheduleError::Shortfall { steps: self.next, total_steps })
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one_cycle() -> ScheduleConfig {
        ScheduleConfig::OneCycle {
            pct_start: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
            base_momentum: 0.85,
            max_momentum: 0.95,
        }
    }

    fn curve(schedule: Schedule) -> Vec<StepSize> {
        (0..schedule.total_steps()).map(|step| schedule.at(step).unwrap()).collect()
    }

    /// Reference values printed by torch 2.15:
    /// `OneCycleLR(AdamW([p], lr=1), max_lr=0.1, total_steps=10)`, the learning rate and beta1
    /// read before each step.
    #[test]
    fn one_cycle_equals_pytorch_at_ten_steps() {
        let want = [
            (0.0040000000000000036, 0.95),
            (0.052000000000000005, 0.8999999999999999),
            (0.1, 0.85),
            (0.09504846320134738, 0.854951556604879),
            (0.0811745653949763, 0.8688255099070633),
            (0.06112620219362893, 0.8888739533021842),
            (0.03887419780637107, 0.9111260466978157),
            (0.0188258346050237, 0.9311744900929366),
            (0.004951936798652629, 0.945048443395121),
            (4e-07, 0.95),
        ];
        let curve = curve(Schedule::new(one_cycle(), 0.1, 10));
        for (step, (got, (lr, momentum))) in curve.iter().zip(want).enumerate() {
            assert!((got.learning_rate - lr).abs() <= 1e-12, "step {step}: {got:?}, want {lr}");
            assert!((got.momentum.unwrap() - momentum).abs() <= 1e-12, "step {step}: {got:?}");
        }
    }

    #[test]
    fn cosine_starts_at_the_base_and_meets_the_middle_half_way() {
        let schedule = Schedule::new(ScheduleConfig::Cosine { min_learning_rate: 0.0 }, 0.2, 100);
        assert_eq!(schedule.at(0).unwrap().learning_rate, 0.2);
        assert!((schedule.at(50).unwrap().learning_rate - 0.1).abs() <= 1e-15);
    }

    #[test]
    fn linear_goes_down_by_the_same_at_each_step() {
        let schedule = Schedule::new(ScheduleConfig::Linear { end_factor: 0.5 }, 0.5, 4);
        let rates: Vec<f64> = curve(schedule).iter().map(|s| s.learning_rate).collect();
        assert_eq!(rates, [0.5, 0.4375, 0.375, 0.3125]);
    }

    #[test]
    fn step_decays_at_each_multiple() {
        let schedule = Schedule::new(ScheduleConfig::Step { step_size: 3, gamma: 0.5 }, 1.0, 7);
        let rates: Vec<f64> = curve(schedule).iter().map(|s| s.learning_rate).collect();
        assert_eq!(rates, [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn a_loop_that_overruns_or_falls_short_is_told_so() {
        let schedule = Schedule::new(ScheduleConfig::Constant {}, 1.0, 2);
        let mut cursor = ScheduleCursor::new(schedule, 0);
        cursor.advance().unwrap();
        assert_eq!(cursor.finish(), Err(ScheduleError::Shortfall { steps: 1, total_steps: 2 }));
        cursor.advance().unwrap();
        assert_eq!(cursor.finish(), Ok(()));
        assert_eq!(cursor.advance(), Err(ScheduleError::Overrun { step: 2, total_steps: 2 }));
    }

    proptest! {
        #[test]
        fn one_cycle_rises_once_then_falls_and_momentum_mirrors_it(total in 2usize..400, pct in 0.0f64..1.0, lr in 1e-4f64..1.0) {
            let config = match one_cycle() {
                ScheduleConfig::OneCycle { div_factor, final_div_factor, base_momentum, max_momentum, .. } =>
                    ScheduleConfig::OneCycle { pct_start: pct, div_factor, final_div_factor, base_momentum, max_momentum },
                other => other,
            };
            let sizes = curve(Schedule::new(config, lr, total));
            let rates: Vec<f64> = sizes.iter().map(|s| s.learning_rate).collect();
            let top = rates.iter().cloned().fold(0.0, f64::max);
            let turn = rates.iter().position(|&r| r == top).unwrap();
            prop_assert!(rates[..=turn].windows(2).all(|w| w[0] <= w[1]));
            prop_assert!(rates[turn..].windows(2).all(|w| w[0] >= w[1]));
            prop_assert!(top <= lr * (1.0 + 1e-12));
            for s in &sizes {
                let momentum = s.momentum.unwrap();
                prop_assert!((0.85 - 1e-12..=0.95 + 1e-12).contains(&momentum));
            }
            prop_assert!((rates[total - 1] - lr / 25.0 / 1e4).abs() <= 1e-12);
        }

        #[test]
        fn every_schedule_is_finite_and_not_negative(total in 1usize..200, lr in 1e-5f64..10.0, size in 1usize..50, gamma in 0.01f64..1.0) {
            for config in [ScheduleConfig::Constant {}, one_cycle(), ScheduleConfig::Cosine { min_learning_rate: 0.0 }, ScheduleConfig::Linear { end_factor: gamma }, ScheduleConfig::Step { step_size: size, gamma }] {
                for s in curve(Schedule::new(config, lr, total)) {
                    prop_assert!(s.learning_rate.is_finite() && s.learning_rate >= 0.0);
                }
            }
        }
    }
}
