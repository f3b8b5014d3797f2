//! Adam with decoupled weight decay.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var};
use cifar_kernels::optimizer::{self, AdamWStep};
use serde::{Deserialize, Serialize};

use super::{OptimizerStateError, Slots, named, refuse_rest, take, update_in_place};
use crate::recipe::{RecipeError, require};
use crate::schedule::StepSize;

/// The averages of the gradient and of its square.
const SLOTS: [&str; 2] = ["exp_avg", "exp_avg_sq"];
const STEP: &str = "step";

/// Constants of [`AdamW`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdamWConfig {
    /// Base or peak learning rate, positive.
    pub learning_rate: f64,
    /// Decay of the gradient's average, in `0..1` (PyTorch's default 0.9). A schedule that moves
    /// the momentum replaces it.
    pub beta1: f64,
    /// Decay of the squared gradient's average, in `0..1` (PyTorch's default 0.999).
    pub beta2: f64,
    /// Added to the denominator, positive (PyTorch's default 1e-8).
    pub eps: f64,
    /// Share of the learning rate by which weights shrink, not negative.
    pub weight_decay: f64,
}

impl AdamWConfig {
    pub(super) fn check(&self) -> std::result::Result<(), RecipeError> {
        let Self { beta1, beta2, eps, weight_decay: decay, .. } = *self;
        require("optimizer.beta1", beta1, (0.0..1.0).contains(&beta1), "0 <= value < 1")?;
        require("optimizer.beta2", beta2, (0.0..1.0).contains(&beta2), "0 <= value < 1")?;
        require("optimizer.eps", eps, eps > 0.0 && eps.is_finite(), "a positive number")?;
        require(
            "optimizer.weight-decay",
            decay,
            decay >= 0.0 && decay.is_finite(),
            "a number from 0 up",
        )
    }
}

/// [`torch.optim.AdamW`](https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html)
/// (Loshchilov & Hutter 2019, arXiv:1711.05101).
#[derive(Debug)]
pub struct AdamW {
    config: AdamWConfig,
    weights: Vec<(String, Var)>,
    moments: Vec<Slots<2>>,
    step: i64,
}

impl AdamW {
    /// Zero moments for every weight.
    ///
    /// # Errors
    /// candle's, where the moments cannot be allocated.
    pub fn new(config: AdamWConfig, weights: Vec<(String, Var)>) -> Result<Self> {
        let moments = weights.iter().map(|(_, var)| Slots::zeros(var)).collect::<Result<_>>()?;
        Ok(Self { config, weights, moments, step: 0 })
    }

    pub(super) fn step(
        &mut self,
        gradients: &[Tensor],
        size: StepSize,
        gradient_scale: f64,
    ) -> Result<()> {
        let AdamWConfig { beta2, eps, weight_decay, .. } = self.config;
        let beta1 = size.momentum.unwrap_or(self.config.beta1);
        self.step += 1;
        let step = AdamWStep {
            gradient_scale: gradient_scale as f32,
            beta1,
            beta2,
            step_size: size.learning_rate / (1.0 - beta1.powf(self.step as f64)),
            second_correction: (1.0 - beta2.powf(self.step as f64)).sqrt(),
            eps,
            decay: 1.0 - size.learning_rate * weight_decay,
        };
        for (((_, var), gradient), moments) in
            self.weights.iter().zip(gradients).zip(&mut self.moments)
        {
            match moments {
                Slots::Values([first, second]) => update_in_place(var, gradient, |w, g| {
                    optimizer::adamw(w, g, first, second, &step);
                })?,
                Slots::Tensors(moments) => update(var, gradient, moments, &step)?,
            }
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = named(SLOTS, &self.weights, &self.moments)?;
        state.insert(STEP.to_owned(), Tensor::new(self.step, &Device::Cpu)?);
        Ok(state)
    }

    pub(super) fn load_state(
        &mut self,
        state: &mut BTreeMap<String, Tensor>,
    ) -> std::result::Result<(), OptimizerStateError> {
        let step =
            state.remove(STEP).ok_or_else(|| OptimizerStateError::Missing(STEP.to_owned()))?;
        let step = step.to_scalar::<i64>()?;
        let moments = take(state, SLOTS, &self.weights)?;
        refuse_rest(state)?;
        (self.step, self.moments) = (step, moments);
        Ok(())
    }
}

/// [`optimizer::adamw`] by candle's operations.
fn update(
    var: &Var,
    gradient: &Tensor,
    [first, second]: &mut [Tensor; 2],
    step: &AdamWStep,
) -> Result<()> {
    let gradient = (gradient * f64::from(step.gradient_scale))?;
    *first = (&*first + ((&gradient - &*first)? * (1.0 - step.beta1))?)?;
    *second = ((&*second * step.beta2)? + (gradient.sqr()? * (1.0 - step.beta2))?)?;
    let denominator = ((second.sqrt()? / step.second_correction)? + step.eps)?;
    let decayed = (var.as_detached_tensor() * step.decay)?;
    var.set(&(decayed - ((&*first / denominator)? * step.step_size)?)?)
}
