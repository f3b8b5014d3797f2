//! Vectors of stored values, and what a matrix product takes in.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]

use half::bf16;

use crate::buffer::Plain;
use crate::element::Element;
use crate::simd::Simd;

/// The operations on vectors of an [`Element`](crate::element::Element).
pub trait Vectors: Plain {
    /// What a matrix product of such values is made of.
    type Factor: Factor<Value = Self>;

    /// Whether instructions for bf16 load, store or multiply them.
    const BF16: bool = Self::Factor::BF16;

    /// The factor of two values; of the first where a factor has one.
    fn join(first: Self, second: Self) -> Self::Factor;

    /// # Safety
    /// As for [`Simd::load`].
    unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::V;

    /// # Safety
    /// As for [`Simd::store`].
    unsafe fn store<S: Simd>(s: S, to: *mut Self, v: S::V);

    /// Two vectors, one behind the other.
    ///
    /// # Safety
    /// As for [`Simd::store_two_bf16`].
    #[inline(always)]
    unsafe fn store_two<S: Simd>(s: S, to: *mut Self, [a, b]: [S::V; 2]) {
        // SAFETY: the caller's.
        unsafe {
            Self::store(s, to, a);
            Self::store(s, to.add(S::LANES), b);
        }
    }
}

/// What one lane of a vector holds where two matrices are multiplied: a value of f32, or two of
/// bf16 whose products are summed. Four bytes, so that they move as f32 do.
pub trait Factor: Plain + Default {
    /// What it is made of.
    type Value: Element<Factor = Self>;

    /// Values of one.
    const VALUES: usize;

    /// Whether instructions for bf16 multiply them.
    const BF16: bool = Self::VALUES > 1;

    /// The factors of [`Factor::VALUES`] vectors; others of `values` are not looked at.
    fn join<S: Simd>(s: S, values: [S::V; 2]) -> S::V;

    /// Two vectors of the factors that values of two rows make; of the first alone where a factor has one.
    ///
    /// # Safety
    /// `rows` point to two vectors of readable values each; no alignment is needed.
    unsafe fn join_rows<S: Simd>(s: S, rows: [*const Self::Value; 2]) -> [S::V; 2];

    /// `c` and the product of `a` and `b`.
    fn mul_add<S: Simd>(s: S, a: S::V, b: S::V, c: S::V) -> S::V;
}

/// Two values of bf16, the first in the lower half.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pair(u32);

impl Vectors for f32 {
    type Factor = Self;

    #[inline(always)]
    fn join(first: Self, _: Self) -> Self {
        first
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::V {
        // SAFETY: the caller's.
        unsafe { s.load(from) }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, to: *mut Self, v: S::V) {
        // SAFETY: the caller's.
        unsafe { s.store(to, v) }
    }
}

impl Vectors for bf16 {
    type Factor = Pair;

    #[inline(always)]
    fn join(first: Self, second: Self) -> Pair {
        Pair(u32::from(second.to_bits()) << 16 | u32::from(first.to_bits()))
    }

    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::V {
        // SAFETY: the caller's.
        unsafe { s.load_bf16(from) }
    }

    #[inline(always)]
    unsafe fn store_two<S: Simd>(s: S, to: *mut Self, both: [S::V; 2]) {
        // SAFETY: the caller's.
        unsafe { s.store_two_bf16(to, both) }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, to: *mut Self, v: S::V) {
        // SAFETY: the caller's.
        unsafe { s.store_bf16(to, v) }
    }
}

impl Factor for f32 {
    type Value = Self;

    const VALUES: usize = 1;

    #[inline(always)]
    fn join<S: Simd>(_: S, [value, _]: [S::V; 2]) -> S::V {
        value
    }

    #[inline(always)]
    unsafe fn join_rows<S: Simd>(s: S, [first, _]: [*const f32; 2]) -> [S::V; 2] {
        // SAFETY: the caller's.
        [0, S::LANES].map(|at| unsafe { s.load(first.add(at)) })
    }

    #[inline(always)]
    fn mul_add<S: Simd>(s: S, a: S::V, b: S::V, c: S::V) -> S::V {
        s.mul_add(a, b, c)
    }
}

impl Factor for Pair {
    type Value = bf16;

    const VALUES: usize = 2;

    #[inline(always)]
    fn join<S: Simd>(s: S, [first, second]: [S::V; 2]) -> S::V {
        s.pairs(first, second)
    }

    #[inline(always)]
    unsafe fn join_rows<S: Simd>(s: S, [first, second]: [*const bf16; 2]) -> [S::V; 2] {
        // SAFETY: the caller's.
        unsafe { s.pair_up(first, second) }
    }

    #[inline(always)]
    fn mul_add<S: Simd>(s: S, a: S::V, b: S::V, c: S::V) -> S::V {
        s.pairs_mul_add(a, b, c)
    }
}
