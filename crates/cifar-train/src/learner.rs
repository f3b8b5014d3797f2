//! A module and its variables, and one forward and backward pass through them.

use std::collections::BTreeMap;
use std::fmt;

use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::ModuleT;
use cifar_data::Batch;
use cifar_net::Variable;
use cifar_ops::cross_entropy;

use crate::error::TrainError;
use crate::recipe::Recipe;

/// Anything trainable: a candle module and the variables it reads.
#[derive(Clone, Copy)]
pub struct Learner<'a> {
    /// Maps images `(N, C, H, W)` to logits `(N, K)`.
    pub module: &'a dyn ModuleT,
    /// The module's variables, in a fixed order.
    pub variables: &'a [Variable],
}

impl fmt::Debug for Learner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Learner").field("variables", &self.variables).finish_non_exhaustive()
    }
}

/// What one batch gives.
#[derive(Debug)]
pub struct Pass {
    /// Mean loss over the batch.
    pub loss: f64,
    /// Images whose largest logit is at their label.
    pub n_correct: usize,
    /// Gradient of the loss for each trainable variable, in order; empty where the loss is not
    /// finite.
    pub gradients: Vec<Tensor>,
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

    /// Loss and gradients of the recipe's loss on `batch`, in training mode.
    ///
    /// With gradient accumulation the batch runs in as many micro-batches, each weighted by its
    /// share of the images, so that the result is the whole batch's.
    ///
    /// # Errors
    /// candle's, or [`TrainError::NoGradient`] where the loss does not depend on a variable.
    pub fn forward_backward(
        &self,
        batch: &Batch,
        recipe: &Recipe,
        device: &Device,
    ) -> Result<Pass, TrainError> {
        let (images, labels) = (batch.image_tensor(device)?, batch.label_tensor(device)?);
        let n_images = batch.len();
        let micro_size = n_images.div_ceil(recipe.gradient_accumulation).max(1);
        let mut whole = Pass { loss: 0.0, n_correct: 0, gradients: Vec::new() };
        let mut start = 0;
        while start < n_images {
            let len = micro_size.min(n_images - start);
            let share = len as f64 / n_images as f64;
            let (images, labels) = (images.narrow(0, start, len)?, labels.narrow(0, start, len)?);
            let logits = self.module.forward_t(&images, true)?;
            let loss = cross_entropy(&logits, &labels, recipe.label_smoothing)?;
            whole.loss += f64::from(loss.to_scalar::<f32>()?) * share;
            whole.n_correct += n_correct(&logits, &labels)?;
            if !whole.loss.is_finite() {
                whole.gradients.clear();
                return Ok(whole);
            }
            self.add_gradients(&loss, share, &mut whole.gradients)?;
            start += len;
        }
        Ok(whole)
    }

    fn add_gradients(
        &self,
        loss: &Tensor,
        share: f64,
        sums: &mut Vec<Tensor>,
    ) -> Result<(), TrainError> {
        let mut store = loss.backward()?;
        for (i, variable) in self.variables.iter().filter(|v| v.trainable).enumerate() {
            let gradient = store
                .remove(variable.var.as_tensor())
                .ok_or_else(|| TrainError::NoGradient { name: variable.name.clone() })?;
            let gradient = if share == 1.0 { gradient } else { (gradient * share)? };
            match sums.get_mut(i) {
                Some(sum) => *sum = (&*sum + gradient)?,
                None => sums.push(gradient),
            }
        }
        Ok(())
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

fn n_correct(logits: &Tensor, labels: &Tensor) -> candle_core::Result<usize> {
    let hits = logits.argmax(D::Minus1)?.eq(labels)?.to_dtype(DType::F32)?.sum_all()?;
    Ok(hits.to_scalar::<f32>()? as usize)
}
