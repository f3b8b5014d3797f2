//! Adam with decoupled weight decay.

use std::collections::BTreeMap;

use candle_core::{Device, Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::{OptimizerStateError, refuse_rest, slot_names, take_slots};
use crate::recipe::{RecipeError, require};
use crate::schedule::StepSize;

const FIRST: &str = "exp_avg";
const SECOND: &str = "exp_avg_sq";
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
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    step: i64,
}

impl AdamW {
    /// Zero moments for every weight.
    ///
    /// # Errors
    /// candle's, where the moments cannot be allocated.
    pub fn new(config: AdamWConfig, weights: Vec<(String, Var)>) -> Result<Self> {
        let zeros = || weights.iter().map(|(_, var)| var.zeros_like()).collect::<Result<Vec<_>>>();
        let (first, second) = (zeros()?, zeros()?);
        Ok(Self { config, weights, first, second, step: 0 })
    }

    pub(super) fn step(&mut self, gradients: &[Tensor], size: StepSize) -> Result<()> {
        let AdamWConfig { beta2, eps, weight_decay, .. } = self.config;
        let beta1 = size.momentum.unwrap_or(self.config.beta1);
        self.step += 1;
        let step_size = size.learning_rate / (1.0 - beta1.powf(self.step as f64));
        let second_correction = (1.0 - beta2.powf(self.step as f64)).sqrt();
        let moments = self.first.iter_mut().zip(&mut self.second);
        for (((_, var), gradient), (first, second)) in
            self.weights.iter().zip(gradients).zip(moments)
        {
            *first = (&*first + ((gradient - &*first)? * (1.0 - beta1))?)?;
            *second = ((&*second * beta2)? + (gradient.sqr()? * (1.0 - beta2))?)?;
            let denominator = ((second.sqrt()? / second_correction)? + eps)?;
            let decayed = (var.as_detached_tensor() * (1.0 - size.learning_rate * weight_decay))?;
            var.set(&(decayed - ((&*first / denominator)? * step_size)?)?)?;
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state: BTreeMap<String, Tensor> = slot_names(FIRST, &self.weights, &self.first)
            .chain(slot_names(SECOND, &self.weights, &self.second))
            .collect();
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
        let first = take_slots(state, FIRST, &self.weights)?;
        let second = take_slots(state, SECOND, &self.weights)?;
        refuse_rest(state)?;
        (self.step, self.first, self.second) = (step, first, second);
        Ok(())
    }
}
