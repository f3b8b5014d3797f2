//! The forward pass in training mode.

use candle_core::{Result, bail};
use cifar_kernels::activation;
use cifar_kernels::buffer::Buffer;
use cifar_kernels::channels_last::{batch_norm, pool};
use cifar_kernels::conv::{self, Epilogue};
use cifar_kernels::dropout;
use cifar_kernels::element::Element;

use super::Tensors;
use super::passes::{Kept, Memory, Packed};
use super::plan::{Op, Operation, Plan};
use super::pooled::{Pooled, Room};

/// Fills every value after the images'.
pub(super) fn run<E: Element>(
    plan: &Plan,
    tensors: &Tensors,
    weights: &[Option<Packed<E>>],
    kept: &mut [Kept],
    memory: &mut Memory,
) -> Result<()> {
    let Memory { values, room, .. } = memory;
    for ((operation, packed), kept) in plan.operations.iter().zip(weights).zip(kept) {
        let mut output = std::mem::take(&mut values[operation.output]);
        let y = output.as_mut_slice();
        let done = step(plan, operation, tensors, packed.as_ref(), kept, values, room, y);
        values[operation.output] = output;
        done.map_err(|error| error.context(format!("layer `{}`", operation.path)))?;
    }
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "what is read, kept and written")]
fn step<E: Element>(
    plan: &Plan,
    operation: &Operation,
    tensors: &Tensors,
    packed: Option<&Packed<E>>,
    kept: &mut Kept,
    values: &[Buffer],
    room: &mut Room,
    y: &mut [E],
) -> Result<()> {
    let path = &operation.path;
    let x = values[operation.input].as_slice::<E>();
    let channels = plan.values[operation.input].channels;
    match (&operation.op, packed, kept) {
        (Op::Conv { bias, relu, .. }, Some(packed), kept) => {
            let bias = bias.then(|| tensors.read(path, "bias")).transpose()?;
            let bias = bias.as_ref().map(|bias| bias.slice());
            if let (Some(pooled), Kept::MaxPool(argmax)) = (Pooled::of(operation), kept) {
                pooled.forward(packed, bias, x, (y, argmax), room);
            } else {
                let epilogue = Epilogue { bias, relu: *relu, accumulate: false };
                conv::forward(&packed.forward, x, epilogue, y);
            }
        }
        (Op::BatchNorm { norm, residual, activation }, _, Kept::BatchNorm(statistics)) => {
            let n_values = x.len() / channels;
            if n_values < 2 {
                bail!(
                    "batch norm in training mode needs more than 1 value per channel: \
                     use a larger batch"
                );
            }
            statistics.take(x);
            let (weight, bias) = (tensors.read(path, "weight")?, tensors.read(path, "bias")?);
            statistics.map(norm.eps, weight.slice(), bias.slice());
            statistics.track(norm, n_values, path, tensors)?;
            let residual = residual.map(|residual| values[residual].as_slice());
            batch_norm::apply(x, statistics.affine(), residual, *activation, y);
        }
        (Op::MaxPool { shape, relu }, _, Kept::MaxPool(argmax)) => {
            pool::max_pool(x, shape, channels, *relu, y, argmax);
        }
        (Op::Dropout(layer), _, Kept::Dropout(keys)) => {
            y.copy_from_slice(x);
            dropout::apply(layer.p, keys, channels, y);
        }
        (op, ..) => plain(op, x, channels, values, y),
    }
    Ok(())
}

/// An operation that keeps nothing; the same in training and evaluation.
pub(super) fn plain<E: Element>(op: &Op, x: &[E], channels: usize, values: &[Buffer], y: &mut [E]) {
    match op {
        Op::Add { residual, activation } => {
            let residual = &values[*residual].as_slice()[..x.len()];
            activation::apply(*activation, Some(x), Some(residual), y);
        }
        Op::Activation(activation) => activation::apply(Some(*activation), Some(x), None, y),
        Op::Scale(factor) => {
            y.iter_mut().zip(x).for_each(|(y, x)| *y = E::from_f32(x.to_f32() * factor));
        }
        Op::AvgPool(shape) => pool::avg_pool(x, shape, channels, y),
        Op::GlobalAvgPool => {
            let n_pixels = x.len() / y.len();
            pool::global_avg_pool(x, n_pixels, channels, y);
        }
        Op::Conv { .. } | Op::BatchNorm { .. } | Op::MaxPool { .. } | Op::Dropout(_) => {}
    }
}
