//! The passes of a plan on values of one type.

use std::fmt::Debug;

use candle_core::Result;
use cifar_kernels::buffer::Buffer;
use cifar_kernels::conv::{Algorithm, Filters, Pass};
use cifar_kernels::element::Element;
use cifar_kernels::layout;

use super::memory::Gradients;
use super::plan::{Op, Operation, Plan};
use super::report::MemoryReport;
use super::statistics::Statistics;
use super::{Planned, backward, forward};

/// Both passes, whatever type values are stored in.
pub(super) trait Passes: Debug + Send {
    /// From images, `(N, C, H, W)`, to logits, `(N, K)`.
    fn forward(
        &mut self,
        planned: &Planned,
        images: &[f32],
        n_images: usize,
        logits: &mut Vec<f32>,
    ) -> Result<()>;

    /// From the gradient of the logits to that of every weight.
    fn backward(
        &mut self,
        planned: &Planned,
        dlogits: &[f32],
        n_images: usize,
        weights: &mut [f32],
    ) -> Result<()>;

    fn report(&self, planned: &Planned, batch_size: usize) -> MemoryReport;
}

/// What the passes keep, with values stored as `E`.
#[derive(Debug)]
pub(super) struct Typed<E: Element> {
    /// What an operation keeps from the forward pass for the backward pass.
    states: Vec<State<E>>,
    memory: Memory,
}

/// What one operation keeps beside its values.
#[derive(Debug)]
pub(super) enum State<E: Element> {
    Nothing,
    /// The packed weights of both passes; images have no gradient, so the first lacks one. And what
    /// the weights' gradient is computed by.
    Conv {
        algorithm: Algorithm,
        forward: Filters<E>,
        input_gradient: Option<Filters<E>>,
    },
    BatchNorm(Statistics),
    /// Which pixel of its window each maximum was.
    MaxPool(Vec<u32>),
}

/// The buffers of the values and of their gradients.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) values: Vec<Buffer>,
    pub(super) gradients: Vec<Buffer>,
}

impl<E: Element> Typed<E> {
    pub(super) fn new(plan: &Plan, gradients: &Gradients, convolution: Algorithm) -> Self {
        let state = |operation: &Operation| match &operation.op {
            Op::Conv { conv, .. } => State::Conv {
                algorithm: convolution,
                forward: Filters::new(*conv, Pass::Forward, convolution),
                input_gradient: (operation.input != 0)
                    .then(|| Filters::new(*conv, Pass::InputGradient, convolution)),
            },
            Op::BatchNorm { norm, .. } => State::BatchNorm(Statistics::new(norm.channels)),
            Op::MaxPool(_) => State::MaxPool(Vec::new()),
            _ => State::Nothing,
        };
        Self {
            states: plan.operations.iter().map(state).collect(),
            memory: Memory {
                values: vec![Buffer::default(); plan.values.len()],
                gradients: vec![Buffer::default(); gradients.buffers.len()],
            },
        }
    }

    fn resize(&mut self, planned: &Planned, n: usize) {
        let values = &planned.plan.values;
        for (buffer, value) in self.memory.values.iter_mut().zip(values) {
            buffer.resize::<E>(n * value.len());
        }
        for (buffer, len) in self.memory.gradients.iter_mut().zip(&planned.gradients.buffers) {
            buffer.resize::<E>(n * len);
        }
        for (state, operation) in self.states.iter_mut().zip(&planned.plan.operations) {
            if let State::MaxPool(argmax) = state {
                argmax.resize(n * values[operation.output].len(), 0);
            }
        }
    }
}

impl<E: Element> Passes for Typed<E> {
    fn forward(
        &mut self,
        planned: &Planned,
        images: &[f32],
        n_images: usize,
        logits: &mut Vec<f32>,
    ) -> Result<()> {
        let plan = &planned.plan;
        self.resize(planned, n_images);
        let Self { states, memory, .. } = self;
        let input = plan.values[0];
        let first = memory.values[0].as_mut_slice::<E>();
        layout::channels_last(images, input.channels, input.height * input.width, first);
        forward::run(plan, &planned.tensors, states, &mut memory.values)?;
        let last = memory.values[plan.output].as_slice::<E>();
        logits.clear();
        logits.extend(last.iter().map(|logit| logit.to_f32()));
        Ok(())
    }

    fn backward(
        &mut self,
        planned: &Planned,
        dlogits: &[f32],
        n_images: usize,
        weights: &mut [f32],
    ) -> Result<()> {
        let Self { states, memory, .. } = self;
        let of_logits = memory.gradients[planned.gradients.of_logits].as_mut_slice::<E>();
        of_logits.iter_mut().zip(dlogits).for_each(|(d, &value)| *d = E::from_f32(value));
        let Planned { plan, gradients, tensors } = planned;
        backward::run(plan, gradients, tensors, states, memory, n_images, weights)
    }

    fn report(&self, planned: &Planned, batch_size: usize) -> MemoryReport {
        let Planned { plan, gradients, tensors } = planned;
        MemoryReport::new(plan, gradients, &self.states, tensors, batch_size)
    }
}
