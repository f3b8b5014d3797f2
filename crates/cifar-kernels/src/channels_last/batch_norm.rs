//! Batch normalisation (Ioffe and Szegedy 2015, arXiv:1502.03167) with what usually stands around
//! it: an addition and an activation behind.
//!
//! With `x̂ = (x − mean)·inv_std`, the result is `y = x̂·weight + bias`, in one pass with
//! `activation(y + residual)` where asked for. The backward pass computes the activation's argument
//! again by the same arithmetic, so nothing is stored for it.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]

use rayon::prelude::*;

use crate::activation::{Activation, by_activation};
use crate::buffer::with_scratch;
use crate::element::Element;
use crate::isa::Isa;
use crate::norm::Moments;

mod rows;

use rows::{activation_gradient_rows, apply_rows, gradient_sums, input_gradient_rows, moments};

/// Rows that are summed in f32 before the sums are joined in f64.
const ROWS: usize = 512;

/// Values that one thread takes at a time where nothing is summed.
const TASK_LEN: usize = 32_768;

/// Mean and biased variance of each channel over all rows.
///
/// `x`: `(R, C)`; `mean`, `variance`: `(C)`, overwritten. The rows are summed some hundreds at a
/// time, about their own mean, and joined in f64 (Chan, Golub and LeVeque 1979), so a mean that is
/// large beside the deviation costs no digits.
///
/// # Panics
/// If the lengths do not fit or there are no rows.
#[inline(never)]
pub fn statistics<E: Element>(x: &[E], mean: &mut [f32], variance: &mut [f32]) {
    let c = mean.len();
    assert_eq!(variance.len(), c, "batch norm: one variance a channel");
    let n_rows = n_rows(x, c);
    let isa = Isa::current();
    sums_of_chunks(
        x.len(),
        c,
        |chunk, sums| {
            let x = &x[chunk * ROWS * c..x.len().min((chunk + 1) * ROWS * c)];
            let (means, squares) = sums.split_at_mut(c);
            // SAFETY: `x` is whole rows of `c`, as long as each of the two.
            unsafe { moments(isa, x, means, squares) };
        },
        |channel, sums| {
            let mut joined = Moments::NONE;
            for (chunk, sums) in sums.chunks_exact(2 * c).enumerate() {
                let n = ROWS.min(n_rows - chunk * ROWS) as f64;
                let [mean, squares] = [sums[channel], sums[c + channel]].map(f64::from);
                let squares = if squares < 0.0 { 0.0 } else { squares }; // by rounding; NaN stays
                joined = joined.join(Moments { n, mean, squares });
            }
            (mean[channel], variance[channel]) =
                (joined.mean as f32, (joined.squares / joined.n) as f32);
        },
    );
}

/// The map of one channel: `(v − mean)·scale + bias`.
#[derive(Debug, Clone, Copy)]
pub struct Affine<'a> {
    /// `(C)`
    pub mean: &'a [f32],
    /// `weight / √(variance + eps)`, `(C)`.
    pub scale: &'a [f32],
    /// `(C)`
    pub bias: &'a [f32],
}

impl Affine<'_> {
    fn check(&self) -> usize {
        let c = self.mean.len();
        assert!(self.scale.len() == c && self.bias.len() == c, "batch norm: one value a channel");
        c
    }
}

/// `y = activation((x − mean)·scale + bias (+ residual))`.
///
/// `x`, `residual`, `y`: `(R, C)`.
///
/// # Panics
/// If the lengths do not fit.
#[inline(never)]
pub fn apply<E: Element>(
    x: &[E],
    affine: Affine<'_>,
    residual: Option<&[E]>,
    activation: Option<Activation>,
    y: &mut [E],
) {
    let c = affine.check();
    n_rows(x, c);
    assert_eq!(x.len(), y.len(), "batch norm: lengths differ");
    assert!(residual.is_none_or(|r| r.len() == x.len()), "batch norm: lengths differ");
    let isa = Isa::current();
    let len = task_len(c);
    y.par_chunks_mut(len).enumerate().for_each(|(task, y)| {
        let part = task * len..task * len + y.len();
        let residual = residual.map(|residual| &residual[part.clone()]);
        // SAFETY: whole rows of `c`, all of one length.
        by_activation!(activation, C => unsafe {
            apply_rows::<E, C>(isa, &x[part], affine, residual, y);
        });
    });
}

/// The sums that the gradients are made of: `dweight = Σ dz·x̂` and `dbias = Σ dz`, where `dz` is
/// `dy`, or with an activation what of it reaches `y` through `activation(y)`.
///
/// `x`, `dy`: `(R, C)`; `inv_std`: `(C)`, `1 / √(variance + eps)`; `dweight`, `dbias`: `(C)`,
/// overwritten.
///
/// # Panics
/// If the lengths do not fit or there are no rows.
#[inline(never)]
pub fn parameter_gradients<E: Element>(
    x: &[E],
    dy: &[E],
    affine: Affine<'_>,
    inv_std: &[f32],
    activation: Option<Activation>,
    dweight: &mut [f32],
    dbias: &mut [f32],
) {
    let c = affine.check();
    n_rows(x, c);
    assert_eq!(x.len(), dy.len(), "batch norm: lengths differ");
    assert!([inv_std.len(), dweight.len(), dbias.len()] == [c; 3], "batch norm: one a channel");
    let isa = Isa::current();
    sums_of_chunks(
        x.len(),
        c,
        |chunk, sums| {
            let part = chunk * ROWS * c..x.len().min((chunk + 1) * ROWS * c);
            // SAFETY: whole rows of `c`, twice `c` sums.
            by_activation!(activation, C => unsafe {
                gradient_sums::<E, C>(isa, &x[part.clone()], &dy[part], affine, sums);
            });
        },
        |channel, sums| {
            let total = |at: usize| sums.chunks_exact(2 * c).map(|s| f64::from(s[at])).sum::<f64>();
            dbias[channel] = total(channel) as f32;
            dweight[channel] = (total(c + channel) * f64::from(inv_std[channel])) as f32;
        },
    );
}

/// The gradient of `x` where the statistics are the batch's:
/// `dx = scale·(dz − mean(dz) − x̂·mean(dz·x̂))`, with `dz` as in [`parameter_gradients`], which
/// gives `dweight` and `dbias`.
///
/// `x`, `dy`, `dx`: `(R, C)`. Without a `dy`, `dx` holds it and is replaced.
///
/// # Panics
/// If the lengths do not fit or there are no rows.
#[expect(clippy::too_many_arguments, reason = "a forward pass, its gradients and the result")]
#[inline(never)]
pub fn input_gradient<E: Element>(
    x: &[E],
    dy: Option<&[E]>,
    affine: Affine<'_>,
    inv_std: &[f32],
    activation: Option<Activation>,
    dweight: &[f32],
    dbias: &[f32],
    dx: &mut [E],
) {
    let c = affine.check();
    let n = n_rows(x, c) as f32;
    assert_eq!(x.len(), dx.len(), "batch norm: lengths differ");
    assert!(dy.is_none_or(|dy| dy.len() == x.len()), "batch norm: lengths differ");
    assert!([inv_std.len(), dweight.len(), dbias.len()] == [c; 3], "batch norm: one a channel");
    let isa = Isa::current();
    let len = task_len(c);
    with_scratch(2 * c, |slopes| {
        let (mean_dz, slope) = slopes.split_at_mut(c);
        for channel in 0..c {
            mean_dz[channel] = dbias[channel] / n;
            slope[channel] = dweight[channel] / n * inv_std[channel];
        }
        let (mean_dz, slope) = (&*mean_dz, &*slope);
        dx.par_chunks_mut(len).enumerate().for_each(|(task, dx)| {
            let part = task * len..task * len + dx.len();
            let dy = dy.map(|dy| &dy[part.clone()]);
            // SAFETY: whole rows of `c`, all of one length.
            by_activation!(activation, C => unsafe {
                input_gradient_rows::<E, C>(isa, &x[part], dy, affine, mean_dz, slope, dx);
            });
        });
    });
}

/// What of `dy` reaches the sum in `activation((x − mean)·scale + bias + residual)`, in its place;
/// it is the gradient of the residual, and what the other two take for `dy` without an activation.
///
/// `x`, `residual`, `dy`: `(R, C)`.
///
/// # Panics
/// If the lengths do not fit.
#[inline(never)]
pub fn activation_gradient<E: Element>(
    x: &[E],
    affine: Affine<'_>,
    residual: &[E],
    activation: Activation,
    dy: &mut [E],
) {
    let c = affine.check();
    n_rows(x, c);
    assert!([residual.len(), dy.len()] == [x.len(); 2], "batch norm: lengths differ");
    let isa = Isa::current();
    let len = task_len(c);
    dy.par_chunks_mut(len).enumerate().for_each(|(task, dy)| {
        let part = task * len..task * len + dy.len();
        let (x, residual) = (&x[part.clone()], &residual[part]);
        // SAFETY: whole rows of `c`, all of one length.
        by_activation!(Some(activation), C => unsafe {
            activation_gradient_rows::<E, C>(isa, x, affine, residual, dy);
        });
    });
}

fn n_rows<E: Element>(x: &[E], channels: usize) -> usize {
    assert!(channels > 0 && !x.is_empty(), "batch norm: no values");
    assert!(x.len().is_multiple_of(channels), "batch norm: not whole rows");
    x.len() / channels
}

/// About [`TASK_LEN`] values in whole rows.
fn task_len(channels: usize) -> usize {
    (TASK_LEN / channels).max(1) * channels
}

/// Calls `sum(chunk, sums)` for every chunk of rows, with room for two sums a channel, and then
/// `join(channel, sums)` with those of all chunks.
fn sums_of_chunks(
    len: usize,
    channels: usize,
    sum: impl Fn(usize, &mut [f32]) + Sync,
    mut join: impl FnMut(usize, &[f32]),
) {
    let n_chunks = len.div_ceil(ROWS * channels);
    with_scratch(n_chunks * 2 * channels, |sums| {
        sums.par_chunks_exact_mut(2 * channels).enumerate().for_each(|(i, sums)| sum(i, sums));
        (0..channels).for_each(|channel| join(channel, sums));
    });
}

#[cfg(test)]
mod tests;
