//! Update rules that equal PyTorch's step for step and whose state can be saved.
//!
//! candle's `AdamW` hides its moments and its `SGD` has no momentum; a run trained with them
//! cannot be resumed. These keep their state by weight and hand it out by name. On the CPU a step
//! is one pass over the memory of each weight; elsewhere it goes through candle's operations.

mod adamw;
mod groups;
mod muon;
mod sgd;

use std::array;
use std::cell::RefCell;
use std::collections::BTreeMap;

use candle_core::{
    CpuStorage, DType, Device, Error, InplaceOp2, Layout, Result, Tensor, Var, bail,
};
use serde::{Deserialize, Serialize};

pub use adamw::{AdamW, AdamWConfig};
pub use groups::{Optimizers, ParameterGroup};
pub use muon::{Muon, MuonConfig, orthogonal};
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
    /// Orthogonalised momentum, for matrices.
    Muon(MuonConfig),
}

impl OptimizerConfig {
    /// The base or peak learning rate.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd(config) => config.learning_rate,
            Self::AdamW(config) => config.learning_rate,
            Self::Muon(config) => config.learning_rate,
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
            Self::Muon(config) => config.check(),
        }
    }
}

/// An update rule, with its state.
#[derive(Debug)]
pub enum Optimizer {
    /// Stochastic gradient descent.
    Sgd(Sgd),
    /// Adam with decoupled weight decay.
    AdamW(AdamW),
    /// Orthogonalised momentum, for matrices.
    Muon(Muon),
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
            OptimizerConfig::Muon(config) => Self::Muon(Muon::new(config, weights)?),
        })
    }

    /// Changes every weight, in place, by its gradient times `gradient_scale` (a
    /// [`clip_factor`](crate::clip_factor), or 1).
    ///
    /// # Errors
    /// candle's, for shapes that differ.
    pub fn step(
        &mut self,
        gradients: &[Tensor],
        size: StepSize,
        gradient_scale: f64,
    ) -> Result<()> {
        match self {
            Self::Sgd(sgd) => sgd.step(gradients, size, gradient_scale),
            Self::AdamW(adamw) => adamw.step(gradients, size, gradient_scale),
            Self::Muon(muon) => muon.step(gradients, size, gradient_scale),
        }
    }

    /// The whole state as named tensors: `momentum_buffer.<weight>` for SGD and Muon,
    /// `exp_avg.<weight>`, `exp_avg_sq.<weight>` (PyTorch's names) and `step` (i64) for AdamW.
    /// Later steps do not change them.
    ///
    /// # Errors
    /// candle's, where a tensor cannot be made.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        match self {
            Self::Sgd(sgd) => sgd.state(),
            Self::AdamW(adamw) => adamw.state(),
            Self::Muon(muon) => muon.state(),
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
            Self::Muon(muon) => muon.load_state(&mut state),
        }
    }
}

/// Checks the momentum of an update rule that has Nesterov's look-ahead.
fn check_momentum(momentum: f64, nesterov: bool) -> std::result::Result<(), RecipeError> {
    require("optimizer.momentum", momentum, (0.0..1.0).contains(&momentum), "0 <= value < 1")?;
    if nesterov && momentum == 0.0 {
        return Err(RecipeError::Contradiction(
            "`optimizer.nesterov` needs `optimizer.momentum` above 0",
        ));
    }
    Ok(())
}

/// What is kept of one weight: `N` values for each of its values.
#[derive(Debug)]
enum Slots<const N: usize> {
    /// For a weight that is changed in place.
    Values([Vec<f32>; N]),
    /// For one that is changed by candle's operations.
    Tensors([Tensor; N]),
}

impl<const N: usize> Slots<N> {
    fn zeros(var: &Var) -> Result<Self> {
        if in_place(var) {
            return Ok(Self::Values(array::from_fn(|_| vec![0.0; var.elem_count()])));
        }
        let zeros = var.zeros_like()?;
        Ok(Self::Tensors(array::from_fn(|_| zeros.clone())))
    }

    /// A copy of the `i`-th, in the shape of its weight.
    fn get(&self, i: usize, var: &Var) -> Result<Tensor> {
        match self {
            Self::Values(values) => Tensor::from_slice(&values[i], var.shape(), var.device()),
            Self::Tensors(tensors) => Ok(tensors[i].clone()),
        }
    }

    fn set(&mut self, i: usize, value: &Tensor, var: &Var) -> Result<()> {
        let value = value.to_device(var.device())?.to_dtype(var.dtype())?;
        match self {
            Self::Values(values) => values[i] = value.flatten_all()?.to_vec1()?,
            Self::Tensors(tensors) => tensors[i] = value,
        }
        Ok(())
    }
}

/// The slots of all weights as tensors, `<kind>.<weight>`.
fn named<const N: usize>(
    kinds: [&str; N],
    weights: &[(String, Var)],
    slots: &[Slots<N>],
) -> Result<BTreeMap<String, Tensor>> {
    let mut state = BTreeMap::new();
    for ((weight, var), slots) in weights.iter().zip(slots) {
        for (i, kind) in kinds.into_iter().enumerate() {
            state.insert(format!("{kind}.{weight}"), slots.get(i, var)?);
        }
    }
    Ok(state)
}

/// Takes the slots of each weight out of `state`, in the order of the weights.
fn take<const N: usize>(
    state: &mut BTreeMap<String, Tensor>,
    kinds: [&str; N],
    weights: &[(String, Var)],
) -> std::result::Result<Vec<Slots<N>>, OptimizerStateError> {
    let mut all = Vec::with_capacity(weights.len());
    for (weight, var) in weights {
        let mut slots = Slots::zeros(var)?;
        for (i, kind) in kinds.into_iter().enumerate() {
            let name = format!("{kind}.{weight}");
            let value =
                state.remove(&name).ok_or_else(|| OptimizerStateError::Missing(name.clone()))?;
            if value.dims() != var.dims() {
                let (found, expected) = (value.dims().to_vec(), var.dims().to_vec());
                return Err(OptimizerStateError::Shape { name, found, expected });
            }
            slots.set(i, &value, var)?;
        }
        all.push(slots);
    }
    Ok(all)
}

fn refuse_rest(state: &BTreeMap<String, Tensor>) -> std::result::Result<(), OptimizerStateError> {
    match state.keys().next() {
        Some(name) => Err(OptimizerStateError::Unexpected(name.clone())),
        None => Ok(()),
    }
}

/// Whether a weight's values lie in memory as one run of f32, to be changed where they are.
fn in_place(var: &Var) -> bool {
    matches!(var.device(), Device::Cpu) && var.dtype() == DType::F32 && var.is_contiguous()
}

/// Calls `rule(weights, gradients)` on the values of a weight that is [`in_place`], which candle
/// keeps locked meanwhile. Like [`Var::set`] it is seen by all who share the weight's storage.
fn update_in_place(
    var: &Var,
    gradient: &Tensor,
    rule: impl FnMut(&mut [f32], &[f32]),
) -> Result<()> {
    same_shape(var, gradient)?;
    var.inplace_op2(&gradient.contiguous()?, &Update(RefCell::new(rule)))
}

fn same_shape(var: &Var, gradient: &Tensor) -> Result<()> {
    if var.shape() == gradient.shape() {
        return Ok(());
    }
    let (lhs, rhs) = (var.shape().clone(), gradient.shape().clone());
    Err(Error::ShapeMismatchBinaryOp { lhs, rhs, op: UPDATE }.bt())
}

const UPDATE: &str = "optimizer step";

/// An operation that calls what it holds; candle gives it only `&self`.
struct Update<F>(RefCell<F>);

impl<F: FnMut(&mut [f32], &[f32])> InplaceOp2 for Update<F> {
    fn name(&self) -> &'static str {
        UPDATE
    }

    fn cpu_fwd(
        &self,
        weights: &mut CpuStorage,
        weights_at: &Layout,
        gradients: &CpuStorage,
        gradients_at: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(weights), CpuStorage::F32(gradients)) = (weights, gradients) else {
            bail!("{UPDATE}: weights and gradients must be F32");
        };
        let (Some((start, end)), Some((from, to))) =
            (weights_at.contiguous_offsets(), gradients_at.contiguous_offsets())
        else {
            return Err(Error::RequiresContiguous { op: UPDATE }.bt());
        };
        (self.0.borrow_mut())(&mut weights[start..end], &gradients[from..to]);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
