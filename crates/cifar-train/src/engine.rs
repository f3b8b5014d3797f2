//! What computes a learner's passes: candle's autograd, or on a CPU the planned executor.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Tensor, bail};
use cifar_data::Batch;
use cifar_kernels::loss;
use cifar_metrics::first_maximum;
use cifar_net::{Executor, on_pool};
use cifar_ops::{cross_entropy, with_image_keys};

use crate::error::TrainError;
use crate::learner::Learner;
use crate::recipe::{Precision, Recipe};

/// The way through a learner's forward and backward passes.
#[derive(Debug)]
pub enum Engine {
    /// Through the module, op by op, on any device.
    Autograd(Autograd),
    /// Through its net, planned ahead, on the CPU.
    Planned(Planned),
}

/// Where candle computes, and which gradients are wanted.
#[derive(Debug)]
pub struct Autograd {
    device: Device,
    /// One for each trainable variable; empty where all are.
    wanted: Vec<bool>,
}

/// An executor and what its results are put in, step after step.
#[derive(Debug)]
pub struct Planned {
    executor: Box<Executor>,
    /// One for each trainable variable.
    gradients: Vec<Tensor>,
    /// Which of them are wanted; empty where all are.
    wanted: Vec<bool>,
    dlogits: Vec<f32>,
    /// Where pictures are mixed: by the labels of what was mixed in.
    dlogits_of_partners: Vec<f32>,
}

/// What one batch gives.
#[derive(Debug)]
pub struct Pass {
    /// Mean loss over the batch. Where pictures are mixed: by the labels of both, each with its
    /// share.
    pub loss: f64,
    /// Images whose largest logit is at their own label.
    pub n_correct: usize,
    /// Cross-entropy of each image's own label, in order, without label smoothing.
    pub losses: Vec<f32>,
    /// Gradient of the loss for each trainable variable, in order; empty where the loss is not
    /// finite. The next batch's may take their place.
    pub gradients: Vec<Tensor>,
    /// Time that logits and loss took; the rest of the call went into the gradients.
    pub forward: Duration,
}

impl Engine {
    /// The fastest way for `learner` on `device`: planned where the learner has a net and the
    /// device is the CPU.
    ///
    /// # Errors
    /// A net that its variables do not fit; bf16 asked for where only f32 is to be had.
    pub fn new(
        learner: &Learner<'_>,
        recipe: &Recipe,
        device: &Device,
    ) -> Result<Self, TrainError> {
        match learner.net.filter(|_| device.is_cpu()) {
            Some(net) => {
                let executor = Executor::new(net, learner.variables, recipe.arithmetic())?;
                let trained = learner.variables.iter().filter(|v| v.trainable);
                Ok(Self::Planned(Planned {
                    executor: Box::new(executor),
                    gradients: trained.map(|v| v.var.zeros_like()).collect::<Result<_, _>>()?,
                    wanted: Vec::new(),
                    dlogits: Vec::new(),
                    dlogits_of_partners: Vec::new(),
                }))
            }
            None if recipe.precision == Some(Precision::Bf16) => Err(TrainError::Precision),
            None => Ok(Self::Autograd(Autograd { device: device.clone(), wanted: Vec::new() })),
        }
    }

    /// From now on finds the gradients of those trainable variables alone that are `wanted`, one
    /// flag for each in order; the others' are 0, as PyTorch's are `None`. On a CPU the work is
    /// saved for all layers before the first that has one.
    pub fn require_gradients(&mut self, learner: &Learner<'_>, wanted: &[bool]) {
        match self {
            Self::Autograd(autograd) => wanted.clone_into(&mut autograd.wanted),
            // Once a step; it changes once or twice in a run.
            Self::Planned(planned) if planned.wanted == wanted => {}
            Self::Planned(planned) => {
                wanted.clone_into(&mut planned.wanted);
                let trained = learner.variables.iter().filter(|v| v.trainable);
                let names: HashSet<&str> = trained
                    .zip(wanted)
                    .filter_map(|(v, wanted)| wanted.then_some(v.name.as_str()))
                    .collect();
                planned.executor.require_gradients(|name| names.contains(name));
            }
        }
    }

    /// Loss and gradients of the recipe's loss on `batch`, in training mode.
    ///
    /// With gradient accumulation the batch runs in as many micro-batches, each weighted by its
    /// share of the images, so that the result is the whole batch's.
    ///
    /// # Errors
    /// candle's, or [`TrainError::NoGradient`] where the loss does not depend on a variable.
    pub fn forward_backward(
        &mut self,
        learner: &Learner<'_>,
        batch: &Batch,
        recipe: &Recipe,
    ) -> Result<Pass, TrainError> {
        let n_images = batch.len();
        let micro_size = n_images.div_ceil(recipe.gradient_accumulation).max(1);
        let mut whole = Pass {
            loss: 0.0,
            n_correct: 0,
            losses: Vec::with_capacity(n_images),
            gradients: Vec::new(),
            forward: Duration::ZERO,
        };
        let keys = batch.image_keys(recipe.seed);
        let mut start = 0;
        while start < n_images {
            let len = micro_size.min(n_images - start);
            let part = Part { batch, start, len, keys: &keys[start..start + len] };
            let share = part.len as f64 / n_images as f64;
            let smoothing = recipe.label_smoothing;
            let forward = match self {
                Self::Autograd(autograd) => {
                    part.autograd(autograd, learner, smoothing, share, &mut whole)?
                }
                Self::Planned(planned) => {
                    on_pool(|| part.planned(planned, smoothing, share, &mut whole))?
                }
            };
            whole.loss += forward.loss * share;
            whole.forward += forward.took;
            if !whole.loss.is_finite() {
                whole.gradients.clear();
                return Ok(whole);
            }
            start += part.len;
        }
        if let Self::Planned(planned) = self {
            whole.gradients.clone_from(&planned.gradients);
        }
        Ok(whole)
    }
}

/// Some images of a batch.
struct Part<'a> {
    batch: &'a Batch,
    start: usize,
    len: usize,
    /// One for each of its images.
    keys: &'a [u64],
}

/// What a part's forward pass gives.
struct Forward {
    loss: f64,
    took: Duration,
}

impl Part<'_> {
    /// Loss and time; hits, losses and the gradients, these times `share`, are added to `whole`.
    fn autograd(
        &self,
        Autograd { device, wanted }: &Autograd,
        learner: &Learner<'_>,
        smoothing: f64,
        share: f64,
        whole: &mut Pass,
    ) -> Result<Forward, TrainError> {
        let begun = Instant::now();
        let images = self.batch.image_tensor(device)?.narrow(0, self.start, self.len)?;
        let labels = self.batch.label_tensor(device)?.narrow(0, self.start, self.len)?;
        let logits = with_image_keys(self.keys, || learner.module.forward_t(&images, true))?;
        let mut loss = cross_entropy(&logits, &labels, smoothing)?;
        if let Some((partners, own_share)) = self.partners() {
            let partners = Tensor::from_slice(partners, self.len, device)?;
            let other = cross_entropy(&logits, &partners, smoothing)?;
            loss = ((loss * own_share)? + (other * (1.0 - own_share))?)?;
        }
        let value = f64::from(loss.to_scalar::<f32>()?);
        let rows = logits.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        self.score(&rows, whole);
        let took = begun.elapsed();
        if value.is_finite() {
            let mut store = loss.backward()?;
            for (i, variable) in learner.variables.iter().filter(|v| v.trainable).enumerate() {
                let gradient = store
                    .remove(variable.var.as_tensor())
                    .ok_or_else(|| TrainError::NoGradient { name: variable.name.clone() })?;
                let gradient = match wanted.get(i) {
                    Some(false) => gradient.zeros_like()?,
                    _ if share == 1.0 => gradient,
                    _ => (gradient * share)?,
                };
                add(&mut whole.gradients, i, gradient)?;
            }
        }
        Ok(Forward { loss: value, took })
    }

    /// Loss and time; hits and losses are added to `whole`, the gradients, times `share`, are put in
    /// those of `planned`, or added to what the parts before put there.
    fn planned(
        &self,
        planned: &mut Planned,
        smoothing: f64,
        share: f64,
        whole: &mut Pass,
    ) -> Result<Forward, TrainError> {
        let begun = Instant::now();
        let Planned { executor, gradients, dlogits, dlogits_of_partners, .. } = planned;
        let image_len = self.batch.images.len() / self.batch.len();
        let images = &self.batch.images[self.start * image_len..][..self.len * image_len];
        let labels = &self.batch.labels[self.start..][..self.len];
        let logits = with_image_keys(self.keys, || executor.forward(images))?;
        dlogits.resize(logits.len(), 0.0);
        let mut value = loss::cross_entropy(logits, labels, smoothing, dlogits);
        if let Some((partners, own_share)) = self.partners() {
            let others = dlogits_of_partners;
            others.resize(logits.len(), 0.0);
            let other = loss::cross_entropy(logits, partners, smoothing, others);
            value = own_share * value + (1.0 - own_share) * other;
            let (own, rest) = (own_share as f32, (1.0 - own_share) as f32);
            dlogits.iter_mut().zip(others).for_each(|(d, other)| *d = own * *d + rest * *other);
        }
        self.score(logits, whole);
        let took = begun.elapsed();
        if value.is_finite() {
            if share != 1.0 {
                dlogits.iter_mut().for_each(|gradient| *gradient *= share as f32);
            }
            executor.backward(dlogits)?;
            for (gradient, (_, values)) in gradients.iter().zip(executor.weight_gradients()) {
                gradient.inplace_op1(&Put { values, add: self.start > 0 })?;
            }
        }
        Ok(Forward { loss: value, took })
    }

    /// Where pictures are mixed: the labels of the part's partners, and the share of its own.
    fn partners(&self) -> Option<(&[u32], f64)> {
        let mixed = self.batch.mixed.as_ref()?;
        Some((&mixed.labels[self.start..][..self.len], mixed.own_share))
    }

    /// Adds the hits and the losses of the part's `logits`, `(N, K)`, to `whole`.
    fn score(&self, logits: &[f32], whole: &mut Pass) {
        let n_classes = logits.len() / self.len;
        let labels = &self.batch.labels[self.start..][..self.len];
        for (row, &label) in logits.chunks_exact(n_classes).zip(labels) {
            // The first of several largest logits counts, as with PyTorch's argmax.
            whole.n_correct += usize::from(first_maximum(row) == label as usize);
            whole.losses.push(cifar_metrics::cross_entropy(row, label as usize) as f32);
        }
    }
}

/// Puts values into a tensor, so that it keeps its memory.
struct Put<'a> {
    values: &'a [f32],
    /// To what is there.
    add: bool,
}

impl InplaceOp1 for Put<'_> {
    fn name(&self) -> &'static str {
        "put gradient"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(to), Some((start, end))) = (storage, layout.contiguous_offsets())
        else {
            bail!("a gradient is contiguous F32");
        };
        let to = &mut to[start..end];
        if self.add {
            to.iter_mut().zip(self.values).for_each(|(to, value)| *to += value);
        } else {
            to.copy_from_slice(self.values);
        }
        Ok(())
    }
}

fn add(sums: &mut Vec<Tensor>, at: usize, gradient: Tensor) -> candle_core::Result<()> {
    match sums.get_mut(at) {
        Some(sum) => *sum = (&*sum + gradient)?,
        None => sums.push(gradient),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
