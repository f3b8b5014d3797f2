//! A module and its variables.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::{Tensor, Var};
use candle_nn::ModuleT;
use cifar_net::{Net, Variable};

use crate::error::TrainError;

/// Anything trainable: a candle module and the variables it reads.
#[derive(Clone, Copy)]
pub struct Learner<'a> {
    /// Maps images `(N, C, H, W)` to logits `(N, K)`.
    pub module: &'a dyn ModuleT,
    /// The module's variables, in a fixed order.
    pub variables: &'a [Variable],
    /// The net that the module runs, where there is one: on a CPU it is then trained by the
    /// planned executor. `None` trains through candle's autograd.
    pub net: Option<&'a Net>,
}

impl fmt::Debug for Learner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learner").field("variables", &self.variables).finish_non_exhaustive()
    }
}

impl Learner<'_> {
    /// The trainable variables with their names, in order.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.variables
            .iter()
            .filter(|v| v.trainable)
            .map(|v| (v.name.clone(), v.var.clone()))
            .collect()
    }

    /// Number of trainable scalars.
    pub fn n_parameters(&self) -> usize {
        self.variables.iter().filter(|v| v.trainable).map(|v| v.var.elem_count()).sum()
    }

    /// Runs `f`, then gives every variable the value back that it had before, also where `f` fails.
    pub(crate) fn unchanged<T>(
        &self,
        f: impl FnOnce() -> Result<T, TrainError>,
    ) -> Result<T, TrainError> {
        let copy = |v: &Variable| v.var.as_detached_tensor().copy();
        let values = self.variables.iter().map(copy).collect::<Result<Vec<_>, _>>()?;
        let result = f();
        for (variable, value) in self.variables.iter().zip(&values) {
            variable.var.set(value)?;
        }
        result
    }

    /// Checks that `tensors` has exactly the variables' names and shapes.
    pub(crate) fn check_names(&self, tensors: &BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        let resume = |reason| Err(TrainError::Resume { reason });
        for Variable { name, var, .. } in self.variables {
            match tensors.get(name) {
                None => return resume(format!("the checkpoint has no `{name}`")),
                Some(saved) if saved.dims() != var.dims() => {
                    return resume(format!(
                        "`{name}` has shape {:?} in the checkpoint, {:?} in the model",
                        saved.dims(),
                        var.dims()
                    ));
                }
                Some(_) => {}
            }
        }
        match tensors.keys().find(|name| !self.variables.iter().any(|v| v.name == **name)) {
            Some(name) => resume(format!("the model has no `{name}`")),
            None => Ok(()),
        }
    }

    /// Gives every variable the value of that name; call [`Learner::check_names`] first.
    pub(crate) fn set(&self, tensors: &BTreeMap<String, Tensor>) -> Result<(), TrainError> {
        for Variable { name, var, .. } in self.variables {
            if let Some(value) = tensors.get(name) {
                var.set(&value.to_device(var.device())?)?;
            }
        }
        Ok(())
    }
}
