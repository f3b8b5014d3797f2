//! Vectors in plain Rust: arrays that the compiler turns into whatever the target has.

use half::bf16;

use super::{POW2_OFFSET, Simd};
use crate::element::Element;

/// Works on every machine; also the pattern the others are compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

const LANES: usize = 8;

impl Simd for Portable {
    type V = [f32; LANES];
    const LANES: usize = LANES;
    type Eight = Self;

    #[inline(always)]
    fn eight(self) -> Self {
        self
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        [value; LANES]
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller's; an array of f32 is as aligned as its values.
        unsafe { *from.cast() }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: the caller's; an array of f32 is as aligned as its values.
        unsafe { *to.cast() = v }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| a[i] / b[i])
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // Not `f32::mul_add`, which is a library call where the target has no such instruction.
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }

    #[inline(always)]
    fn relu(self, v: Self::V) -> Self::V {
        v.map(|v| if v <= 0.0 { 0.0 } else { v })
    }

    #[inline(always)]
    fn gated(self, gate: Self::V, v: Self::V) -> Self::V {
        std::array::from_fn(|i| if gate[i] <= 0.0 { 0.0 } else { v[i] })
    }

    #[inline(always)]
    fn if_above(self, x: Self::V, y: Self::V, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| if (x[i] > y[i]) | x[i].is_nan() { a[i] } else { b[i] })
    }

    #[inline(always)]
    fn where_same(self, x: Self::V, y: Self::V, v: Self::V) -> Self::V {
        std::array::from_fn(|i| if x[i].to_bits() == y[i].to_bits() { v[i] } else { 0.0 })
    }

    #[inline(always)]
    fn pow2(self, n: Self::V) -> Self::V {
        n.map(pow2)
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: the caller's; an array of bf16 is as aligned as its values.
        let values: [bf16; LANES] = unsafe { *from.cast() };
        values.map(Element::to_f32)
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, v: Self::V) {
        // SAFETY: the caller's; an array of bf16 is as aligned as its values.
        unsafe { *to.cast() = v.map(<bf16 as Element>::from_f32) }
    }

    #[inline(always)]
    fn pairs(self, a: Self::V, b: Self::V) -> Self::V {
        std::array::from_fn(|i| pair(a[i], b[i]))
    }

    #[inline(always)]
    fn pairs_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        std::array::from_fn(|i| pair_mul_add(a[i], b[i], c[i]))
    }
}

/// One value at a time, for what is left beside whole vectors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lane;

impl Simd for Lane {
    type V = f32;
    const LANES: usize = 1;
    type Eight = Self;

    #[inline(always)]
    fn eight(self) -> Self {
        self
    }

    #[inline(always)]
    fn splat(self, value: f32) -> f32 {
        value
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> f32 {
        // SAFETY: the caller's.
        unsafe { *from }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: f32) {
        // SAFETY: the caller's.
        unsafe { *to = v }
    }

    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }

    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }

    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }

    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }

    #[inline(always)]
    fn mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        a * b + c
    }

    #[inline(always)]
    fn relu(self, v: f32) -> f32 {
        if v <= 0.0 { 0.0 } else { v }
    }

    #[inline(always)]
    fn gated(self, gate: f32, v: f32) -> f32 {
        if gate <= 0.0 { 0.0 } else { v }
    }

    #[inline(always)]
    fn if_above(self, x: f32, y: f32, a: f32, b: f32) -> f32 {
        if (x > y) | x.is_nan() { a } else { b }
    }

    #[inline(always)]
    fn where_same(self, x: f32, y: f32, v: f32) -> f32 {
        if x.to_bits() == y.to_bits() { v } else { 0.0 }
    }

    #[inline(always)]
    fn pow2(self, n: f32) -> f32 {
        pow2(n)
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> f32 {
        // SAFETY: the caller's.
        unsafe { *from }.to_f32()
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, v: f32) {
        // SAFETY: the caller's.
        unsafe { *to = <bf16 as Element>::from_f32(v) }
    }

    #[inline(always)]
    fn pairs(self, a: f32, b: f32) -> f32 {
        pair(a, b)
    }

    #[inline(always)]
    fn pairs_mul_add(self, a: f32, b: f32, c: f32) -> f32 {
        pair_mul_add(a, b, c)
    }
}

#[inline(always)]
fn pow2(n: f32) -> f32 {
    f32::from_bits((n + POW2_OFFSET).to_bits() << 23)
}

#[inline(always)]
fn pair(a: f32, b: f32) -> f32 {
    let [a, b] = [a, b].map(|v| u32::from(<bf16 as Element>::from_f32(v).to_bits()));
    f32::from_bits(b << 16 | a)
}

#[inline(always)]
fn pair_mul_add(a: f32, b: f32, c: f32) -> f32 {
    let [upper_a, upper_b] = [a, b].map(|v| f32::from_bits(v.to_bits() & 0xffff_0000));
    let [lower_a, lower_b] = [a, b].map(|v| f32::from_bits(v.to_bits() << 16));
    c + upper_a * upper_b + lower_a * lower_b
}
