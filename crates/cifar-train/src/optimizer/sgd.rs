//! Stochastic gradient descent with momentum.

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use cifar_kernels::optimizer::{self, SgdStep};
use serde::{Deserialize, Serialize};

use super::{
    OptimizerStateError, Slots, check_momentum, in_place, named, refuse_rest, take, update_in_place,
};
use crate::recipe::{RecipeError, require};
use crate::schedule::StepSize;

const SLOTS: [&str; 1] = ["momentum_buffer"];

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
        check_momentum(self.momentum, self.nesterov)?;
        let decay = self.weight_decay;
        require(
            "optimizer.weight-decay",
            decay,
            decay >= 0.0 && decay.is_finite(),
            "a number from 0 up",
        )
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
    buffers: Vec<Slots<1>>,
}

impl Sgd {
    /// Zero momentum for every weight.
    ///
    /// # Errors
    /// candle's, where the buffers cannot be allocated.
    pub fn new(config: SgdConfig, weights: Vec<(String, Var)>) -> Result<Self> {
        let buffers = if config.momentum > 0.0 {
            weights.iter().map(|(_, var)| Slots::zeros(var)).collect::<Result<_>>()?
        } else {
            Vec::new()
        };
        Ok(Self { config, weights, buffers })
    }

    pub(super) fn step(
        &mut self,
        gradients: &[Tensor],
        size: StepSize,
        gradient_scale: f64,
    ) -> Result<()> {
        let step = SgdStep {
            gradient_scale: gradient_scale as f32,
            learning_rate: size.learning_rate,
            momentum: size.momentum.unwrap_or(self.config.momentum),
            nesterov: self.config.nesterov,
            weight_decay: self.config.weight_decay,
        };
        for (i, ((_, var), gradient)) in self.weights.iter().zip(gradients).enumerate() {
            match self.buffers.get_mut(i) {
                Some(Slots::Values([buffer])) => update_in_place(var, gradient, |w, g| {
                    optimizer::sgd(w, g, Some(buffer.as_mut_slice()), &step);
                })?,
                None if in_place(var) => {
                    update_in_place(var, gradient, |w, g| optimizer::sgd(w, g, None, &step))?;
                }
                Some(Slots::Tensors([buffer])) => update(var, gradient, Some(buffer), &step)?,
                None => update(var, gradient, None, &step)?,
            }
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        named(SLOTS, &self.weights, &self.buffers)
    }

    pub(super) fn load_state(
        &mut self,
        state: &mut BTreeMap<String, Tensor>,
    ) -> std::result::Result<(), OptimizerStateError> {
        let n_slots = self.buffers.len();
        let buffers = take(state, SLOTS, &self.weights[..n_slots])?;
        refuse_rest(state)?;
        self.buffers = buffers;
        Ok(())
    }
}

/// [`optimizer::sgd`] by candle's operations.
fn update(var: &Var, gradient: &Tensor, buffer: Option<&mut Tensor>, step: &SgdStep) -> Result<()> {
    let weight = var.as_detached_tensor();
    let mut update = (gradient * f64::from(step.gradient_scale))?;
    if step.weight_decay > 0.0 {
        update = (update + (&weight * step.weight_decay)?)?;
    }
    if let Some(buffer) = buffer {
        *buffer = ((&*buffer * step.momentum)? + &update)?;
        update =
            if step.nesterov { (update + (&*buffer * step.momentum)?)? } else { buffer.clone() };
    }
    var.set(&(weight - (update * step.learning_rate)?)?)
}
