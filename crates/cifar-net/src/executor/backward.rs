//! The backward pass.

use std::ops::Range;

use candle_core::{Error, Result};
use cifar_kernels::activation;
use cifar_kernels::buffer::Buffer;
use cifar_kernels::channels_last::{batch_norm, pool};
use cifar_kernels::conv;
use cifar_kernels::dropout;
use cifar_kernels::element::Element;

use super::memory::{Into, Step};
use super::passes::{Kept, Memory, Packed};
use super::plan::{Op, Operation};
use super::pooled::{Pooled, Room};
use super::{Planned, Tensors};
use crate::Activation;

/// Fills the gradient of every wanted weight; that of the logits is in its place.
pub(super) fn run<E: Element>(
    planned: &Planned,
    weights: &[Option<Packed<E>>],
    kept: &[Kept],
    memory: &mut Memory,
    n_images: usize,
    dweights: &mut [f32],
) -> Result<()> {
    let Planned { plan, gradients, tensors } = planned;
    let steps = gradients.wanted_steps();
    for (nth, step) in steps.iter().enumerate() {
        match *step {
            Step::Operation { at, dy, dx } => {
                // Nothing asks for the gradient of what the last one read.
                let dx = if nth + 1 < steps.len() { dx } else { Into::Nowhere };
                let operation = &plan.operations[at];
                let (mut source, mut target) = (take(memory, dy), Buffer::default());
                if let Into::Write(id) | Into::Accumulate(id) = dx {
                    target = take(memory, id);
                }
                let out_len = n_images * plan.values[operation.output].len();
                let in_len = n_images * plan.values[operation.input].len();
                let buffers = Buffers::<E> {
                    x: memory.values[operation.input].as_slice(),
                    residual: operation.inputs().nth(1).map(|id| memory.values[id].as_slice()),
                    y: memory.values[operation.output].as_slice(),
                    dy: &mut source.as_mut_slice()[..out_len],
                    dx: match dx {
                        Into::Nowhere | Into::InPlace => None,
                        Into::Write(_) | Into::Accumulate(_) => {
                            Some(&mut target.as_mut_slice()[..in_len])
                        }
                    },
                    accumulate: matches!(dx, Into::Accumulate(_)),
                    dweights,
                    room: &mut memory.room,
                };
                let channels = plan.values[operation.input].channels;
                let packed = weights[at].as_ref();
                let done = operate(operation, channels, tensors, packed, &kept[at], buffers);
                memory.gradients[dy] = source;
                if let Into::Write(id) | Into::Accumulate(id) = dx {
                    memory.gradients[id] = target;
                }
                done.map_err(|error| error.context(format!("layer `{}`", operation.path)))?;
            }
            Step::Add { from, to, value } => {
                let len = n_images * plan.values[value].len();
                let mut sum = take(memory, to);
                let added = &memory.gradients[from].as_slice::<E>()[..len];
                for (sum, v) in sum.as_mut_slice::<E>().iter_mut().zip(added) {
                    *sum = E::from_f32(sum.to_f32() + v.to_f32());
                }
                memory.gradients[to] = sum;
            }
            Step::Copy { from, to, value } => {
                let len = n_images * plan.values[value].len();
                let mut copy = take(memory, to);
                let source = &memory.gradients[from].as_slice::<E>()[..len];
                copy.as_mut_slice()[..len].copy_from_slice(source);
                memory.gradients[to] = copy;
            }
        }
    }
    Ok(())
}

fn take(memory: &mut Memory, id: usize) -> Buffer {
    std::mem::take(&mut memory.gradients[id])
}

/// What one operation's backward pass reads and writes.
struct Buffers<'a, E> {
    x: &'a [E],
    residual: Option<&'a [E]>,
    y: &'a [E],
    /// The result's gradient; becomes that of the input where there is no `dx`.
    dy: &'a mut [E],
    dx: Option<&'a mut [E]>,
    /// Whether to add to `dx` rather than overwrite it.
    accumulate: bool,
    /// The gradients of all weights.
    dweights: &'a mut [f32],
    room: &'a mut Room,
}

impl<E> Buffers<'_, E> {
    /// The gradient of one tensor; none where it is not wanted.
    fn of(&mut self, tensors: &Tensors, path: &str, name: &str) -> Result<&mut [f32]> {
        Ok(&mut self.dweights[wanted(tensors, path, name)?])
    }
}

/// Where the gradient of a tensor lies; nowhere if it is not wanted.
fn wanted(tensors: &Tensors, path: &str, name: &str) -> Result<Range<usize>> {
    let tensor = tensors.get(path, name)?;
    Ok(tensor.gradient.clone().filter(|_| tensor.wanted).unwrap_or(0..0))
}

/// The gradients of a convolution; those of the weights are empty where they are not wanted.
pub(super) struct ConvGradients<'a, E> {
    pub(super) weight: &'a mut [f32],
    pub(super) bias: &'a mut [f32],
    pub(super) input: Option<&'a mut [E]>,
    /// Whether to add to that of the input rather than overwrite it.
    pub(super) accumulate: bool,
}

impl<E: Element> ConvGradients<'_, E> {
    /// Fills all of them from `dy`, the gradient of the convolution's result.
    pub(super) fn fill(self, packed: &Packed<E>, x: &[E], dy: &[E]) {
        if !self.weight.is_empty() {
            conv::weight_gradient(&packed.weight_sums, x, dy, self.weight);
        }
        if !self.bias.is_empty() {
            conv::bias_gradient(dy, self.bias);
        }
        if let (Some(filters), Some(dx)) = (&packed.input_gradient, self.input) {
            conv::input_gradient(filters, dy, self.accumulate, dx);
        }
    }
}

fn operate<E: Element>(
    operation: &Operation,
    channels: usize,
    tensors: &Tensors,
    packed: Option<&Packed<E>>,
    kept: &Kept,
    mut buffers: Buffers<'_, E>,
) -> Result<()> {
    let path = &operation.path;
    match (&operation.op, packed, kept) {
        (Op::Conv { bias, relu, .. }, Some(packed), kept) => {
            let weight = wanted(tensors, path, "weight")?;
            let bias = if *bias { wanted(tensors, path, "bias")? } else { 0..0 };
            let Buffers { x, y, dy, dx, accumulate, dweights, room, .. } = buffers;
            let [weight, bias] = dweights.get_disjoint_mut([weight, bias]).map_err(Error::wrap)?;
            let gradients = ConvGradients { weight, bias, input: dx, accumulate };
            if let (Some(pooled), Kept::MaxPool(argmax)) = (Pooled::of(operation), kept) {
                pooled.backward(packed, (x, y, argmax), dy, gradients, room);
            } else {
                if *relu {
                    activation::relu_gate(y, dy);
                }
                gradients.fill(packed, x, dy);
            }
        }
        (Op::BatchNorm { activation, .. }, _, Kept::BatchNorm(statistics)) => {
            let (affine, inv_std) = (statistics.affine(), &statistics.inv_std[..]);
            let mut activation = *activation;
            // With an addition in between, the activation's argument is not a function of `x` alone.
            if let Some(residual) = buffers.residual {
                match activation.take() {
                    Some(Activation::Relu) => activation::relu_gate(buffers.y, buffers.dy),
                    Some(curved) => {
                        let (x, dy) = (buffers.x, &mut *buffers.dy);
                        batch_norm::activation_gradient(x, affine, residual, curved, dy);
                    }
                    None => {}
                }
            }
            // Summed even where the two are not trained: the input's gradient is made of them.
            let (mut dweight, mut dbias) = (vec![0.0; channels], vec![0.0; channels]);
            let (x, dy) = (buffers.x, std::mem::take(&mut buffers.dy));
            batch_norm::parameter_gradients(
                x,
                dy,
                affine,
                inv_std,
                activation,
                &mut dweight,
                &mut dbias,
            );
            for (name, gradient) in [("weight", &dweight), ("bias", &dbias)] {
                let target = buffers.of(tensors, path, name)?;
                target.copy_from_slice(&gradient[..target.len()]);
            }
            let (from, to) = match buffers.dx {
                Some(dx) => (Some(&*dy), dx),
                None => (None, dy),
            };
            batch_norm::input_gradient(x, from, affine, inv_std, activation, &dweight, &dbias, to);
        }
        (Op::Add { activation: None, .. }, ..) => {}
        (
            Op::Add { activation: Some(Activation::Relu), .. } | Op::Activation(Activation::Relu),
            ..,
        ) => activation::relu_gate(buffers.y, buffers.dy),
        (Op::Add { activation: Some(curved), .. } | Op::Activation(curved), ..) => {
            activation::gradient(*curved, buffers.x, buffers.residual, buffers.dy);
        }
        (Op::Scale(factor), ..) => {
            buffers.dy.iter_mut().for_each(|dy| *dy = E::from_f32(dy.to_f32() * factor));
        }
        (Op::Dropout(layer), _, Kept::Dropout(keys)) => {
            dropout::apply(layer.p, keys, channels, buffers.dy);
        }
        (Op::MaxPool { shape, relu }, _, Kept::MaxPool(argmax)) => {
            if let Some(dx) = buffers.dx {
                if *relu {
                    activation::relu_gate(buffers.y, buffers.dy);
                }
                pool::max_pool_backward(buffers.dy, argmax, shape, channels, dx);
            }
        }
        (Op::AvgPool(shape), ..) => {
            if let Some(dx) = buffers.dx {
                pool::avg_pool_backward(buffers.dy, shape, channels, dx);
            }
        }
        (Op::GlobalAvgPool, ..) => {
            if let Some(dx) = buffers.dx {
                let n_pixels = dx.len() / buffers.dy.len();
                pool::global_avg_pool_backward(buffers.dy, n_pixels, channels, dx);
            }
        }
        (Op::Conv { .. } | Op::BatchNorm { .. } | Op::MaxPool { .. } | Op::Dropout(_), ..) => {}
    }
    Ok(())
}
