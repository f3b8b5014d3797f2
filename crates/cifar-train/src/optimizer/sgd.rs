//! Stochastic gradient descent with momentum.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use serde::{Deserialize, Serialize};

use super::{OptimizerStateError, refuse_rest, slot_names, take_slots};
use crate::recipe::{RecipeError, require};
use crate::schedule::StepSize;

const SLOT: &str = "momentum_buffer";

/// Constants of [`Sgd`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SgdConfig {
    /// Base or peak learning rate, positive.
    pub learning_rate: f64,
    /// Share of the last update kept, in `0..1`; 0 keeps no buffer.
    pub momentum: f64,
    /// Nesterov's look-ahead; needs momentum.
    pub nesterov: bool,
    /// L2 penalty added to the gradient, not negative.
    pub weight_decay: f64,
}

impl SgdConfig {
    pub(super) fn check(&self) -> std::result::Result<(), RecipeError> {
        let Self { momentum, weight_decay: decay, .. } = *self;
        require("optimizer.momentum", momentum, (0.0..1.0).contains(&momentum), "0 <= value < 1")?;
        require(
            "optimizer.weight-decay",
            decay,
            decay >= 0.0 && decay.is_finite(),
            "a number from 0 up",
        )?;
        if self.nesterov && momentum == 0.0 {
            return Err(RecipeError::Contradiction(
                "`optimizer.nesterov` needs `optimizer.momentum` above 0",
            ));
        }
        Ok(())
    }
}

/// [`torch.optim.SGD`](https://pytorch.org/docs/stable/generated/torch.optim.SGD.html) without
/// dampening: `d = g + wd w`, `buf = momentum buf + d`, `w -= lr (nesterov ? d + momentum buf : buf)`.
#[derive(Debug)]
pub struct Sgd {
    config: SgdConfig,
    weights: Vec<(String, Var)>,
    /// One per weight; empty where there is no momentum. PyTorch starts the buffer as the first
    /// gradient, which is what a zero buffer gives without dampening.
    buffers: Vec<Tensor>,
}

impl Sgd {
    /// Zero momentum for every weight.
    ///
    /// # Errors
    /// candle's, where the buffers cannot be allocated.
    pub fn new(config: SgdConfig, weights: Vec<(String, Var)>) -> Result<Self> {
        let buffers = if config.momentum > 0.0 {
            weights.iter().map(|(_, var)| var.zeros_like()).collect::<Result<_>>()?
        } else {
            Vec::new()
        };
        Ok(Self { config, weights, buffers })
    }

    pub(super) fn step(&mut self, gradients: &[Tensor], size: StepSize) -> Result<()> {
        let SgdConfig { nesterov, weight_decay, .. } = self.config;
        let momentum = size.momentum.unwrap_or(self.config.momentum);
        for (i, ((_, var), gradient)) in self.weights.iter().zip(gradients).enumerate() {
            let weight = var.as_detached_tensor();
            let mut update = gradient.clone();
            if weight_decay > 0.0 {
                update = (update + (&weight * weight_decay)?)?;
            }
            if let Some(buffer) = self.buffers.get_mut(i) {
                *buffer = ((&*buffer * momentum)? + &update)?;
                update = if nesterov { (update + (&*buffer * momentum)?)? } else { buffer.clone() };
            }
            var.set(&(weight - (update * size.learning_rate)?)?)?;
        }
        Ok(())
    }

    pub(super) fn state(&self) -> BTreeMap<String, Tensor> {
        slot_names(SLOT, &self.weights, &self.buffers).collect()
    }

    pub(super) fn load_state(
        &mut self,
        state: &mut BTreeMap<String, Tensor>,
    ) -> std::result::Result<(), OptimizerStateError> {
        let n_slots = self.buffers.len();
        let buffers = take_slots(state, SLOT, &self.weights[..n_slots])?;
        refuse_rest(state)?;
        self.buffers = buffers;
        Ok(())
    }
}
