//! A part of the batch on its way through all operations.

use std::marker::PhantomData;

use candle_core::Result;
use cifar_kernels::buffer::Buffer;
use cifar_kernels::element::Element;
use cifar_kernels::layout;

use super::memory::Gradients;
use super::passes::{Kept, Memory, Packed};
use super::plan::{Op, Operation, Plan};
use super::statistics::Statistics;
use super::{Planned, backward, forward};

/// What one part of the batch has to itself. Where no operation looks at the whole batch, a batch
/// goes through the net in parts that no thread waits for, and whose values stay in a cache.
#[derive(Debug)]
pub(super) struct Shard<E> {
    kept: Vec<Kept>,
    memory: Memory,
    /// Its share of the gradients of all weights, where there is more than one shard.
    pub(super) dweights: Buffer,
    n_images: usize,
    element: PhantomData<E>,
}

impl<E: Element> Shard<E> {
    pub(super) fn new(plan: &Plan, gradients: &Gradients) -> Self {
        let kept = |operation: &Operation| match &operation.op {
            Op::BatchNorm { norm, .. } => Kept::BatchNorm(Statistics::new(norm.channels)),
            Op::MaxPool { .. } | Op::Conv { pool: Some(_), .. } => Kept::MaxPool(Vec::new()),
            Op::Dropout(_) => Kept::Dropout(Vec::new()),
            _ => Kept::Nothing,
        };
        Self {
            kept: plan.operations.iter().map(kept).collect(),
            memory: Memory {
                values: vec![Buffer::default(); plan.values.len()],
                gradients: vec![Buffer::default(); gradients.buffers.len()],
                ..Memory::default()
            },
            dweights: Buffer::default(),
            n_images: 0,
            element: PhantomData,
        }
    }

    fn resize(&mut self, planned: &Planned) {
        let (values, n) = (&planned.plan.values, self.n_images);
        for (buffer, value) in self.memory.values.iter_mut().zip(values) {
            buffer.resize::<E>(n * value.len());
        }
        for (buffer, len) in self.memory.gradients.iter_mut().zip(&planned.gradients.buffers) {
            buffer.resize::<E>(n * len);
        }
        for (kept, operation) in self.kept.iter_mut().zip(&planned.plan.operations) {
            if let Kept::MaxPool(argmax) = kept {
                argmax.resize(n * values[operation.output].len(), 0);
            }
        }
    }

    /// From images, `(N, C, H, W)`, and their keys to logits, `(N, K)`.
    pub(super) fn forward(
        &mut self,
        planned: &Planned,
        weights: &[Option<Packed<E>>],
        (images, image_keys): (&[f32], &[u64]),
        logits: &mut [f32],
    ) -> Result<()> {
        let plan = &planned.plan;
        let input = plan.values[0];
        self.n_images = images.len() / input.len();
        self.resize(planned);
        let Self { kept, memory, .. } = self;
        for (kept, operation) in kept.iter_mut().zip(&plan.operations) {
            if let (Kept::Dropout(keys), Op::Dropout(layer)) = (kept, &operation.op) {
                keys.clear();
                keys.extend(layer.keys(image_keys));
            }
        }
        let first = memory.values[0].as_mut_slice::<E>();
        layout::channels_last(images, input.channels, input.height * input.width, first);
        forward::run(plan, &planned.tensors, weights, kept, memory)?;
        let last = memory.values[plan.output].as_slice::<E>();
        logits.iter_mut().zip(last).for_each(|(logit, last)| *logit = last.to_f32());
        Ok(())
    }

    /// From the gradient of the logits to that of every weight, for the images of the last forward
    /// pass.
    pub(super) fn backward(
        &mut self,
        planned: &Planned,
        weights: &[Option<Packed<E>>],
        dlogits: &[f32],
        dweights: &mut [f32],
    ) -> Result<()> {
        let Self { kept, memory, n_images, .. } = self;
        let of_logits = memory.gradients[planned.gradients.of_logits].as_mut_slice::<E>();
        of_logits.iter_mut().zip(dlogits).for_each(|(d, &value)| *d = E::from_f32(value));
        backward::run(planned, weights, kept, memory, *n_images, dweights)
    }
}
