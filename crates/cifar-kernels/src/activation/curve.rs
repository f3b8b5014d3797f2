//! The activation functions on vectors, each a type, so that a kernel is compiled for it.

use super::LEAKY_SLOPE;
use crate::simd::Simd;

/// A function of each lane alone.
pub(crate) trait Curve {
    /// As of a [`Factor`](crate::factor::Factor): it is one of f32, whatever is stored.
    const BF16: bool = false;

    fn value<S: Simd>(s: S, v: S::V) -> S::V;
    /// `dy` times the derivative at `v`.
    fn gradient<S: Simd>(s: S, v: S::V, dy: S::V) -> S::V;
}

/// `by_activation!(activation, C => body)`: `body` with `C` the [`Curve`] of an
/// `Option<Activation>`.
macro_rules! by_activation {
    ($activation:expr, $curve:ident => $body:expr) => {{
        use $crate::activation::{Activation, curve};
        match $activation {
            None => {
                type $curve = curve::Identity;
                $body
            }
            Some(Activation::Relu) => {
                type $curve = curve::Relu;
                $body
            }
            Some(Activation::Gelu) => {
                type $curve = curve::Gelu;
                $body
            }
            Some(Activation::Silu) => {
                type $curve = curve::Silu;
                $body
            }
            Some(Activation::LeakyRelu) => {
                type $curve = curve::LeakyRelu;
                $body
            }
        }
    }};
}
pub(crate) use by_activation;

/// No activation.
pub(crate) struct Identity;

impl Curve for Identity {
    #[inline(always)]
    fn value<S: Simd>(_: S, v: S::V) -> S::V {
        v
    }

    #[inline(always)]
    fn gradient<S: Simd>(_: S, _: S::V, dy: S::V) -> S::V {
        dy
    }
}

pub(crate) struct Relu;

impl Curve for Relu {
    #[inline(always)]
    fn value<S: Simd>(s: S, v: S::V) -> S::V {
        s.relu(v)
    }

    #[inline(always)]
    fn gradient<S: Simd>(s: S, v: S::V, dy: S::V) -> S::V {
        s.gated(v, dy)
    }
}

pub(crate) struct LeakyRelu;

impl Curve for LeakyRelu {
    #[inline(always)]
    fn value<S: Simd>(s: S, v: S::V) -> S::V {
        Self::gradient(s, v, v)
    }

    #[inline(always)]
    fn gradient<S: Simd>(s: S, v: S::V, dy: S::V) -> S::V {
        s.if_above(v, s.splat(0.0), dy, s.mul(dy, s.splat(LEAKY_SLOPE)))
    }
}

pub(crate) struct Gelu;

impl Curve for Gelu {
    #[inline(always)]
    fn value<S: Simd>(s: S, v: S::V) -> S::V {
        s.mul(v, normal(s, v).distribution)
    }

    #[inline(always)]
    fn gradient<S: Simd>(s: S, v: S::V, dy: S::V) -> S::V {
        let Normal { distribution, density } = normal(s, v);
        s.mul(dy, s.mul_add(v, density, distribution))
    }
}

pub(crate) struct Silu;

impl Curve for Silu {
    #[inline(always)]
    fn value<S: Simd>(s: S, v: S::V) -> S::V {
        let [sigmoid, _] = sigmoids(s, v);
        s.mul(v, sigmoid)
    }

    #[inline(always)]
    fn gradient<S: Simd>(s: S, v: S::V, dy: S::V) -> S::V {
        let [sigmoid, rest] = sigmoids(s, v);
        let slope = s.mul(sigmoid, s.mul_add(v, rest, s.splat(1.0)));
        s.mul(dy, slope)
    }
}

/// `σ(v)` and `1 − σ(v) = σ(−v)`, neither of which loses digits where it is small.
#[inline(always)]
fn sigmoids<S: Simd>(s: S, v: S::V) -> [S::V; 2] {
    let (zero, one) = (s.splat(0.0), s.splat(1.0));
    // Beyond 105, e^−|v| is 0 in f32.
    let size = magnitude(s, v, 105.0);
    let e = exp_of_sum(s, s.sub(zero, size), zero);
    let larger = s.div(one, s.add(one, e));
    let smaller = s.mul(e, larger);
    [s.if_above(v, zero, larger, smaller), s.if_above(v, zero, smaller, larger)]
}

/// The standard normal distribution at some value.
struct Normal<V> {
    /// `Φ`
    distribution: V,
    /// `φ = Φ'`
    density: V,
}

/// `q(a) = ½·erfc(a/√2)·e^(a²/2)` is `t·(Q₀ + Q₁·t + … + Q₈·t⁸)` with `t = 1 / (1 + T·a)`, to
/// 4e-8 of its size for `a` in `0..=14.5`: a minimax fit by Remez's algorithm. `T` was chosen for
/// the smallest error of this degree.
const T: f32 = 0.35;
const Q: [f32; 9] = [
    0.139_621_31,
    0.139_863_5,
    0.119_821_3,
    0.105_552_46,
    -0.023_212_25,
    0.159_319_54,
    -0.255_838_87,
    0.144_030_85,
    -0.029_157_872,
];

/// With `a = |v|`: `Φ(−a) = q(a)·e^(−a²/2)`, which keeps its digits where it is small.
#[inline(always)]
fn normal<S: Simd>(s: S, v: S::V) -> Normal<S::V> {
    let one = s.splat(1.0);
    // Beyond 15, e^(−a²/2) is 0 in f32.
    let a = magnitude(s, v, 15.0);
    // a² would be rounded, and e^(−a²/2) be wrong by as much as a²/2 is; that of `a` in sixteenths
    // is exact.
    let rough = nearest(s, a, 1.0 / 16.0);
    let high = s.mul(s.mul(rough, rough), s.splat(-0.5));
    let low = s.mul(s.mul(s.sub(a, rough), s.add(a, rough)), s.splat(-0.5));
    let e = exp_of_sum(s, high, low);
    let t = s.div(one, s.mul_add(a, s.splat(T), one));
    let tail = s.mul(s.mul(t, polynomial(s, t, &Q)), e);
    Normal {
        distribution: s.if_above(v, s.splat(0.0), s.sub(one, tail), tail),
        density: s.mul(e, s.splat(0.398_942_3)), // 1 / √(2π)
    }
}

/// `e^(high + low)` for a sum in `-170..=0`, to 2e-7 of its size while that is a normal number; of
/// `low`, at most about 1, only the rounding counts.
///
/// The range reduction and the polynomial are those of Cephes' `expf`
/// (<https://www.netlib.org/cephes/>, `single/expf.c`).
#[inline(always)]
fn exp_of_sum<S: Simd>(s: S, high: S::V, low: S::V) -> S::V {
    const LN_2_HIGH: f32 = 355.0 / 512.0; // of 9 bits: exact times a whole number
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    const POLYNOMIAL: [f32; 6] =
        [0.5, 0.166_666_65, 0.041_665_796, 0.008_333_452, 0.001_398_2, 0.000_198_756_92];
    let exponent = s.mul(s.add(high, low), s.splat(std::f32::consts::LOG2_E));
    let exponent = nearest(s, exponent, 1.0);
    let rest = s.sub(high, s.mul(exponent, s.splat(LN_2_HIGH)));
    let rest = s.add(s.sub(rest, s.mul(exponent, s.splat(LN_2_LOW))), low);
    let curved = s.mul(s.mul(rest, rest), polynomial(s, rest, &POLYNOMIAL));
    let fraction = s.add(s.add(curved, rest), s.splat(1.0));
    // Two steps, as the power may be below the smallest normal number.
    let half = nearest(s, s.mul(exponent, s.splat(0.5)), 1.0);
    s.mul(s.mul(fraction, s.pow2(half)), s.pow2(s.sub(exponent, half)))
}

/// `|v|`, or `most` where that is less or `v` is NaN.
#[inline(always)]
fn magnitude<S: Simd>(s: S, v: S::V, most: f32) -> S::V {
    let (zero, most) = (s.splat(0.0), s.splat(most));
    let size = s.if_above(v, zero, v, s.sub(zero, v));
    s.if_above(most, size, size, most)
}

/// The nearest multiple of `unit`, a power of two, where `v` is less than `2²²` of them.
#[inline(always)]
fn nearest<S: Simd>(s: S, v: S::V, unit: f32) -> S::V {
    // The last place of 2²³ + 2²² is 1.
    let shift = s.splat(12_582_912.0 * unit);
    s.sub(s.add(v, shift), shift)
}

/// `c₀ + c₁·x + c₂·x² + …`
#[inline(always)]
fn polynomial<S: Simd, const N: usize>(s: S, x: S::V, coefficients: &[f32; N]) -> S::V {
    let mut sum = s.splat(0.0);
    for &c in coefficients.iter().rev() {
        sum = s.mul_add(sum, x, s.splat(c));
    }
    sum
}
