//! The passes of a plan on values of one type.

use std::fmt::Debug;

use candle_core::Result;
use cifar_kernels::buffer::Buffer;
use cifar_kernels::conv::{Algorithm, Filters, Pass, WeightSums};
use cifar_kernels::element::Element;
use cifar_kernels::isa::Isa;
use rayon::prelude::*;

use super::plan::{Op, Operation, Plan};
use super::pooled::Room;
use super::report::MemoryReport;
use super::shard::Shard;
use super::statistics::Statistics;
use super::{Planned, Tensors};

/// Both passes, whatever type values are stored in.
pub(super) trait Passes: Debug + Send {
    /// From images, `(N, C, H, W)`, to logits, `(N, K)`. `keys`: one for each image, where the plan
    /// draws.
    fn forward(
        &mut self,
        planned: &Planned,
        images: &[f32],
        keys: &[u64],
        n_images: usize,
        logits: &mut Vec<f32>,
    ) -> Result<()>;

    /// From the gradient of the logits to that of every weight.
    fn backward(
        &mut self,
        planned: &Planned,
        dlogits: &[f32],
        n_images: usize,
        dweights: &mut [f32],
    ) -> Result<()>;

    fn report(&self, planned: &Planned, batch_size: usize) -> MemoryReport;
}

/// What the passes keep, with values stored as `E`.
#[derive(Debug)]
pub(super) struct Typed<E: Element> {
    /// The packed weights of each operation, for all shards.
    weights: Vec<Option<Packed<E>>>,
    /// Those of the last forward pass come first.
    shards: Vec<Shard<E>>,
}

/// The weights of a convolution as both passes read them; images have no gradient, so the first
/// convolution lacks one. And how the weights' gradient is summed.
#[derive(Debug)]
pub(super) struct Packed<E: Element> {
    pub(super) weight_sums: WeightSums<E>,
    pub(super) forward: Filters<E>,
    pub(super) input_gradient: Option<Filters<E>>,
}

/// What one operation keeps from the forward pass for the backward pass, beside its values.
#[derive(Debug)]
pub(super) enum Kept {
    Nothing,
    BatchNorm(Statistics),
    /// Which pixel of its window each maximum was.
    MaxPool(Vec<u32>),
    /// The key of each image.
    Dropout(Vec<u64>),
}

/// The buffers of the values and of their gradients.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) values: Vec<Buffer>,
    pub(super) gradients: Vec<Buffer>,
    pub(super) room: Room,
}

impl<E: Element> Typed<E> {
    pub(super) fn new(plan: &Plan, convolution: Algorithm) -> Self {
        let packed = |operation: &Operation| match &operation.op {
            Op::Conv { conv, .. } => Some(Packed {
                weight_sums: WeightSums::new(*conv, convolution),
                forward: Filters::new(*conv, Pass::Forward, convolution),
                input_gradient: (operation.input != 0)
                    .then(|| Filters::new(*conv, Pass::InputGradient, convolution)),
            }),
            _ => None,
        };
        let weights = plan.operations.iter().map(packed).collect();
        Self { weights, shards: Vec::new() }
    }

    /// Packs the weights of all convolutions for one of the passes.
    fn pack(&mut self, planned: &Planned, pass: Pass) -> Result<()> {
        let each = self.weights.par_iter_mut().zip(&planned.plan.operations);
        each.try_for_each(|(packed, operation)| {
            let filters = packed.as_mut().and_then(|packed| match pass {
                Pass::Forward => Some(&mut packed.forward),
                Pass::InputGradient => packed.input_gradient.as_mut(),
            });
            if let Some(filters) = filters {
                filters.pack(planned.tensors.read(&operation.path, "weight")?.slice());
            }
            Ok(())
        })
    }
}

impl<E: Element> Passes for Typed<E> {
    fn forward(
        &mut self,
        planned: &Planned,
        images: &[f32],
        keys: &[u64],
        n_images: usize,
        logits: &mut Vec<f32>,
    ) -> Result<()> {
        let plan = &planned.plan;
        let (in_len, out_len) = (plan.values[0].len(), plan.values[plan.output].len());
        logits.resize(n_images * out_len, 0.0);
        let shard_len = plan.shard_len(n_images, planned.tensors.n_trained);
        while self.shards.len() < n_images.div_ceil(shard_len) {
            self.shards.push(Shard::new(plan, &planned.gradients));
        }
        self.pack(planned, Pass::Forward)?;
        let (isa, weights) = (Isa::current(), &self.weights);
        let parts =
            images.par_chunks(shard_len * in_len).zip(logits.par_chunks_mut(shard_len * out_len));
        let shards = self.shards.par_iter_mut().zip(parts).enumerate();
        shards.try_for_each(|(nth, (shard, (images, logits)))| {
            let keys = keys.chunks(shard_len).nth(nth).unwrap_or_default();
            isa.force(|| shard.forward(planned, weights, (images, keys), logits))
        })
    }

    fn backward(
        &mut self,
        planned: &Planned,
        dlogits: &[f32],
        n_images: usize,
        dweights: &mut [f32],
    ) -> Result<()> {
        let Planned { plan, tensors, .. } = planned;
        self.pack(planned, Pass::InputGradient)?;
        let shard_len = plan.shard_len(n_images, tensors.n_trained);
        let parts = dlogits.par_chunks(shard_len * plan.values[plan.output].len());
        let (isa, weights) = (Isa::current(), &self.weights);
        let n_shards = parts.len();
        let shards = &mut self.shards[..n_shards];
        if let [shard] = shards {
            return shard.backward(planned, weights, dlogits, dweights);
        }
        shards.par_iter_mut().zip(parts).try_for_each(|(shard, dlogits)| {
            let mut own = std::mem::take(&mut shard.dweights);
            own.resize::<f32>(tensors.n_trained);
            let done = isa.force(|| shard.backward(planned, weights, dlogits, own.as_mut_slice()));
            shard.dweights = own;
            done
        })?;
        add_up(shards, tensors, dweights);
        Ok(())
    }

    fn report(&self, planned: &Planned, batch_size: usize) -> MemoryReport {
        MemoryReport::new(planned, &self.weights, batch_size)
    }
}

/// The sum of all shards' gradients, in their order, of each tensor whose gradient is wanted.
fn add_up<E: Element>(shards: &[Shard<E>], tensors: &Tensors, dweights: &mut [f32]) {
    let wanted = tensors.all.iter().filter(|tensor| tensor.wanted);
    for range in wanted.filter_map(|tensor| tensor.gradient.clone()) {
        let (total, mut shards) = (&mut dweights[range.clone()], shards.iter());
        if let Some(first) = shards.next() {
            total.copy_from_slice(&first.dweights.as_slice()[range.clone()]);
        }
        for shard in shards {
            let part: &[f32] = &shard.dweights.as_slice()[range.clone()];
            total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
        }
    }
}
