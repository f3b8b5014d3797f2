//! Activation functions, value by value.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]

use rayon::prelude::*;

use crate::element::Element;
use crate::isa::Isa;
use crate::simd::{Simd, in_blocks, load, per_isa, store};

pub(crate) mod curve;
#[cfg(test)]
mod reference;

use curve::Curve;
pub(crate) use curve::by_activation;

/// Values that one thread takes at a time.
const TASK_LEN: usize = 32_768;

/// A function of each value alone. A NaN stays NaN with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(x, 0)`; the derivative at 0 is 0.
    Relu,
    /// `x·Φ(x)` with the distribution function `Φ(x) = ½·(1 + erf(x / √2))` (Hendrycks and Gimpel
    /// 2016, arXiv:1606.08415): `torch.nn.GELU()`, without the approximation by tanh.
    ///
    /// The derivative is within 3e-7 of the exact one, the value within 5e-7 of its own size while
    /// that is above 1e-36. At −∞ the value is NaN, and at both ends the derivative, as in PyTorch.
    Gelu,
    /// `x·σ(x)` with `σ(x) = 1 / (1 + e^−x)` (Elfwing et al. 2017, arXiv:1702.03118):
    /// `torch.nn.SiLU()`. As exact as [`Activation::Gelu`], and NaN where that is.
    Silu,
    /// `x` above 0, else `x` times [`LEAKY_SLOPE`], which is the derivative at 0 too:
    /// `torch.nn.LeakyReLU()` (Maas et al. 2013, "Rectifier nonlinearities improve neural network
    /// acoustic models"). At a NaN the derivative is 1, in PyTorch the slope.
    LeakyRelu,
}

/// The slope of [`Activation::LeakyRelu`] below 0: PyTorch's default `negative_slope`.
pub const LEAKY_SLOPE: f32 = 0.01;

impl Activation {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Relu, Self::Gelu, Self::Silu, Self::LeakyRelu];

    /// The name of PyTorch's class: `"ReLU"`, `"GELU"`, `"SiLU"` or `"LeakyReLU"`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relu => "ReLU",
            Self::Gelu => "GELU",
            Self::Silu => "SiLU",
            Self::LeakyRelu => "LeakyReLU",
        }
    }
}

/// `y = activation(x (+ residual))`; without an activation the sum itself.
///
/// Without an `x`, `y` holds it and is replaced.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn apply<E: Element>(
    activation: Option<Activation>,
    x: Option<&[E]>,
    residual: Option<&[E]>,
    y: &mut [E],
) {
    assert!(x.is_none_or(|x| x.len() == y.len()), "activation: lengths differ");
    assert!(residual.is_none_or(|r| r.len() == y.len()), "activation: lengths differ");
    let isa = Isa::current();
    y.par_chunks_mut(TASK_LEN).enumerate().for_each(|(task, y)| {
        let part = task * TASK_LEN..task * TASK_LEN + y.len();
        let [x, residual] = [x, residual].map(|values| values.map(|v| &v[part.clone()]));
        // SAFETY: all of one length.
        by_activation!(activation, C => unsafe { apply_values::<E, C>(isa, x, residual, y) });
    });
}

/// The gradient of [`apply`]'s `x`, and of its `residual`, from the result's in `dy`, which it
/// replaces: `dy · activation'(x (+ residual))`.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn gradient<E: Element>(activation: Activation, x: &[E], residual: Option<&[E]>, dy: &mut [E]) {
    assert_eq!(x.len(), dy.len(), "activation: lengths differ");
    assert!(residual.is_none_or(|r| r.len() == dy.len()), "activation: lengths differ");
    let isa = Isa::current();
    dy.par_chunks_mut(TASK_LEN).enumerate().for_each(|(task, dy)| {
        let part = task * TASK_LEN..task * TASK_LEN + dy.len();
        let (x, residual) = (&x[part.clone()], residual.map(|residual| &residual[part]));
        // SAFETY: all of one length.
        by_activation!(Some(activation), C => unsafe {
            gradient_values::<E, C>(isa, x, residual, dy);
        });
    });
}

/// The gradient of a ReLU by its result: `dy` stays where `y > 0` (or NaN) and becomes 0 elsewhere.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn relu_gate<E: Element>(y: &[E], dy: &mut [E]) {
    // The result is above 0 exactly where the argument is.
    gradient(Activation::Relu, y, None, dy);
}

per_isa! {
    unsafe fn apply_values<E: Element, C: Curve>(
        x: Option<&[E]>, residual: Option<&[E]>, y: &mut [E],
    ) = apply_body
}

/// # Safety
/// `x`, `residual` and `y` are of one length.
#[inline(always)]
unsafe fn apply_body<S: Simd, E: Element, C: Curve, const M: usize>(
    s: S,
    x: Option<&[E]>,
    residual: Option<&[E]>,
    y: &mut [E],
) {
    in_blocks!(s, y.len(), apply_to::<C>(x, residual, y));
}

/// # Safety
/// `B` vectors of values from `at`.
#[inline(always)]
unsafe fn apply_to<S: Simd, E: Element, C: Curve, const B: usize>(
    s: S,
    at: usize,
    x: Option<&[E]>,
    residual: Option<&[E]>,
    y: &mut [E],
) {
    // SAFETY: the caller's.
    unsafe {
        let mut v = summed::<S, _, B>(s, at, x.unwrap_or(y), residual);
        for v in &mut v {
            *v = C::value(s, *v);
        }
        store::<S, _, B>(s, y, at, v);
    }
}

/// What the activation is applied to.
///
/// # Safety
/// `B` vectors of values from `at`.
#[inline(always)]
unsafe fn summed<S: Simd, E: Element, const B: usize>(
    s: S,
    at: usize,
    x: &[E],
    residual: Option<&[E]>,
) -> [S::V; B] {
    // SAFETY: the caller's.
    let mut v = unsafe { load::<S, _, B>(s, x, at) };
    if let Some(residual) = residual {
        // SAFETY: the caller's.
        let residual = unsafe { load::<S, _, B>(s, residual, at) };
        for b in 0..B {
            v[b] = s.add(v[b], residual[b]);
        }
    }
    v
}

per_isa! {
    unsafe fn gradient_values<E: Element, C: Curve>(
        x: &[E], residual: Option<&[E]>, dy: &mut [E],
    ) = gradient_body
}

/// # Safety
/// `x`, `residual` and `dy` are of one length.
#[inline(always)]
unsafe fn gradient_body<S: Simd, E: Element, C: Curve, const M: usize>(
    s: S,
    x: &[E],
    residual: Option<&[E]>,
    dy: &mut [E],
) {
    in_blocks!(s, dy.len(), gradient_to::<C>(x, residual, dy));
}

/// # Safety
/// `B` vectors of values from `at`.
#[inline(always)]
unsafe fn gradient_to<S: Simd, E: Element, C: Curve, const B: usize>(
    s: S,
    at: usize,
    x: &[E],
    residual: Option<&[E]>,
    dy: &mut [E],
) {
    // SAFETY: the caller's.
    unsafe {
        let v = summed::<S, _, B>(s, at, x, residual);
        let mut dv = load::<S, _, B>(s, dy, at);
        for b in 0..B {
            dv[b] = C::gradient(s, v[b], dv[b]);
        }
        store::<S, _, B>(s, dy, at, dv);
    }
}

#[cfg(test)]
mod tests;
