//! Update rules that equal PyTorch's step for step and whose state can be saved.
//!
//! candle's `AdamW` hides its moments and its `SGD` has no momentum; a run trained with them
//! cannot be resumed. These keep one tensor of state per weight and hand it out by name.

mod adamw;
mod sgd;

use std::collections::BTreeMap;

use candle_core::{Result, Tensor, Var};
use serde::{Deserialize, Serialize};

pub use adamw::{AdamW, AdamWConfig};
pub use sgd::{Sgd, SgdConfig};

use crate::recipe::{RecipeError, require};
use crate::schedule::StepSize;

/// The update rule of a recipe.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum OptimizerConfig {
    /// Stochastic gradient descent.
    Sgd(SgdConfig),
    /// Adam with decoupled weight decay.
    #[serde(rename = "adamw")]
    AdamW(AdamWConfig),
}

impl OptimizerConfig {
    /// The base or peak learning rate.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(config) => config.learning_rate,
            Self::AdamW(config) => config.learning_rate,
        }
    }

    pub(crate) fn check(&self) -> std::result::Result<(), RecipeError> {
        let rate = self.learning_rate();
        require(
            "optimizer.learning-rate",
            rate,
            rate > 0.0 && rate.is_finite(),
            "a positive number",
        )?;
        match self {
            Self::Sgd(config) => config.check(),
            Self::AdamW(config) => config.check(),
        }
    }
}

/// Either update rule, with its state.
#[derive(Debug)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
}

/// A saved optimiser state that does not fit.
#[derive(Debug, thiserror::Error)]
pub enum OptimizerStateError {
    /// A tensor that this optimiser and these weights need is not there.
    #[error("no `{0}`; was it written by another optimiser or model?")]
    Missing(String),
    /// A tensor has another shape than its weight.
    #[error("`{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// Name in the file.
        name: String,
        /// Shape in the file.
        found: Vec<usize>,
        /// Shape of the weight.
        expected: Vec<usize>,
    },
    /// A tensor that this optimiser does not know.
    #[error("unexpected `{0}`; was it written by another optimiser or model?")]
    Unexpected(String),
    /// candle could not read or convert a tensor.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl Optimizer {
    /// Zero state for `weights`, each with its name; [`Optimizer::step`] takes gradients in the
    /// same order.
    ///
    /// # Errors
    /// candle's, where the state cannot be allocated.
    pub fn new(config: OptimizerConfig, weights: Vec<(String, Var)>) -> Result<Self> {
        Ok(match config {
            OptimizerConfig::Sgd(config) => Self::Sgd(Sgd::new(config, weights)?),
            OptimizerConfig::AdamW(config) => Self::AdamW(AdamW::new(config, weights)?),
        })
    }

    /// Changes every weight by its gradient.
    ///
    /// # Errors
    /// candle's, for shapes that differ.
    pub fn step(&mut self, gradients: &[Tensor], size: StepSize) -> Result<()> {
        match self {
            Self::Sgd(sgd) => sgd.step(gradients, size),
            Self::AdamW(adamw) => adamw.step(gradients, size),
        }
    }

    /// The whole state as named tensors: `momentum_buffer.<weight>` for SGD,
    /// `exp_avg.<weight>`, `exp_avg_sq.<weight>` (PyTorch's names) and `step` (i64) for AdamW.
    ///
    /// # Errors
    /// candle's, where a tensor cannot be made.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        match self {
            Self::Sgd(sgd) => Ok(sgd.state()),
            Self::AdamW(adamw) => adamw.state(),
        }
    }

    /// Puts a saved state back. Nothing is changed where it does not fit.
    ///
    /// # Errors
    /// Names the first tensor that is missing, unexpected or of another shape.
    pub fn load_state(
        &mut self,
        mut state: BTreeMap<String, Tensor>,
    ) -> std::result::Result<(), OptimizerStateError> {
        match self {
            Self::Sgd(sgd) => sgd.load_state(&mut state),
            Self::AdamW(adamw) => adamw.load_state(&mut state),
        }
    }
}

/// Takes one state tensor per weight out of `state`, in the order of the weights.
fn take_slots(
    state: &mut BTreeMap<String, Tensor>,
    kind: &str,
    weights: &[(String, Var)],
) -> std::result::Result<Vec<Tensor>, OptimizerStateError> {
    let mut slots = Vec::with_capacity(weights.len());
    for (weight, var) in weights {
        let name = format!("{kind}.{weight}");
        let slot = state.remove(&name).ok_or_else(|| OptimizerStateError::Missing(name.clone()))?;
        if slot.dims() != var.dims() {
            let (found, expected) = (slot.dims().to_vec(), var.dims().to_vec());
            return Err(OptimizerStateError::Shape { name, found, expected });
        }
        slots.push(slot.to_device(var.device())?.to_dtype(var.dtype())?);
    }
    Ok(slots)
}

fn refuse_rest(state: &BTreeMap<String, Tensor>) -> std::result::Result<(), OptimizerStateError> {
    match state.keys().next() {
        Some(name) => Err(OptimizerStateError::Unexpected(name.clone())),
        None => Ok(()),
    }
}

fn slot_names<'a>(
    kind: &'a str,
    weights: &'a [(String, Var)],
    slots: &'a [Tensor],
) -> impl Iterator<Item = (String, Tensor)> + 'a {
    weights.iter().zip(slots).map(move |((name, _), slot)| (format!("{kind}.{name}"), slot.clone()))
}

#[cfg(test)]
mod tests;
