//! What values are stored in: f32, or bf16, which halves the memory and doubles what a dot product
//! takes in. Sums, statistics and weights are f32 always.

use std::fmt::Debug;

pub use half::bf16;
use rayon::prelude::*;

use crate::factor::Vectors;

/// A type that images, activations and their gradients are stored in.
pub trait Element: Vectors + Default + Debug + PartialEq {
    /// `"f32"` or `"bf16"`.
    const NAME: &str;

    /// The nearest value, ties to even; a NaN stays one.
    fn from_f32(value: f32) -> Self;

    /// The value.
    fn to_f32(self) -> f32;
}

impl Element for f32 {
    const NAME: &str = "f32";

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        value
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        self
    }
}

impl Element for bf16 {
    const NAME: &str = "bf16";

    #[inline(always)]
    fn from_f32(value: f32) -> Self {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        let bits = if value.is_nan() { bits | 0x0040_0000 } else { rounded };
        Self::from_bits((bits >> 16) as u16)
    }

    #[inline(always)]
    fn to_f32(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }
}

/// Values that one thread converts at a time.
const TASK_LEN: usize = 32_768;

/// `x` as what `y` stores, rounded to it.
///
/// # Panics
/// If the lengths differ.
#[inline(never)]
pub fn convert<A: Element, B: Element>(x: &[A], y: &mut [B]) {
    assert_eq!(x.len(), y.len(), "convert: lengths differ");
    y.par_chunks_mut(TASK_LEN).zip(x.par_chunks(TASK_LEN)).for_each(|(y, x)| {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = B::from_f32(x.to_f32()));
    });
}

#[cfg(test)]
#[expect(unsafe_code, reason = "vectors are loaded and stored through pointers")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::factor::{Factor, Pair};
    use crate::isa::Isa;
    use crate::simd::{Simd, per_isa};

    per_isa! {
        unsafe fn there_and_back<E: Element>(
            values: &[f32; 16], stored: &mut [E; 16], back: &mut [f32; 16],
        ) = there_and_back_body
    }

    #[inline(always)]
    unsafe fn there_and_back_body<S: Simd, E: Element, const M: usize>(
        s: S,
        values: &[f32; 16],
        stored: &mut [E; 16],
        back: &mut [f32; 16],
    ) {
        for at in (0..16).step_by(S::LANES) {
            // SAFETY: a vector of each array.
            unsafe {
                E::store(s, stored.as_mut_ptr().add(at), s.load(values.as_ptr().add(at)));
                s.store(back.as_mut_ptr().add(at), E::load(s, stored.as_ptr().add(at)));
            }
        }
    }

    per_isa! {
        unsafe fn dot<F: Factor>(a: &[[f32; 16]; 2], b: &[[f32; 16]; 2], c: &mut [f32; 16]) = dot_body
    }

    #[inline(always)]
    unsafe fn dot_body<S: Simd, F: Factor, const M: usize>(
        s: S,
        a: &[[f32; 16]; 2],
        b: &[[f32; 16]; 2],
        c: &mut [f32; 16],
    ) {
        for at in (0..16).step_by(S::LANES) {
            // SAFETY: a vector of each array.
            unsafe {
                let [a, b] =
                    [a, b].map(|v| F::join(s, v.map(|values| s.load(values.as_ptr().add(at)))));
                let sum = F::mul_add(s, a, b, s.load(c.as_ptr().add(at)));
                s.store(c.as_mut_ptr().add(at), sum);
            }
        }
    }

    #[test]
    fn values_are_converted_at_any_length() {
        for len in [0, 1, TASK_LEN - 1, TASK_LEN, TASK_LEN + 1] {
            let values: Vec<f32> = (0..len).map(|i| (i % 256) as f32).collect();
            let (mut stored, mut back) = (vec![bf16::NAN; len], vec![-1.0; len]);
            convert(&values, &mut stored);
            convert(&stored, &mut back);
            assert_eq!(back, values, "length {len}");
        }
        let mut stored = [bf16::ZERO];
        convert(&[1.0 + 1.0 / 256.0 + 1.0 / 1024.0], &mut stored);
        assert_eq!(stored[0].to_f32(), 1.0 + 1.0 / 128.0);
    }

    proptest! {
        /// Against the crate `half`, whatever the bits. BF16 instructions take subnormals for 0.
        #[test]
        fn rounding_is_to_the_nearest(bits: [u32; 16]) {
            let values = bits.map(f32::from_bits);
            for isa in Isa::available() {
                let (mut stored, mut back) = ([bf16::ZERO; 16], [9.0; 16]);
                // SAFETY: nothing is asked of the caller.
                unsafe { there_and_back(isa, &values, &mut stored, &mut back) };
                for ((&value, stored), back) in values.iter().zip(stored).zip(back) {
                    let want = bf16::from_f32(value);
                    if value.is_nan() {
                        prop_assert!(stored.is_nan() && back.is_nan());
                    } else if !value.is_subnormal() {
                        prop_assert_eq!(stored, want, "{} {:e}", isa, value);
                        prop_assert_eq!(back.to_bits(), want.to_f32().to_bits());
                    }
                }
            }
        }

        /// Small integers, whose products and sums are exact.
        #[test]
        fn pairs_are_multiplied_and_summed(a: [[i8; 16]; 2], b: [[i8; 16]; 2], c: [i8; 16]) {
            let float = |v: [i8; 16]| v.map(f32::from);
            for isa in Isa::available() {
                let mut sums = float(c);
                // SAFETY: nothing is asked of the caller.
                unsafe { dot::<Pair>(isa, &a.map(float), &b.map(float), &mut sums) };
                for (i, &sum) in sums.iter().enumerate() {
                    let [p, q] = [0, 1].map(|v| i32::from(a[v][i]) * i32::from(b[v][i]));
                    prop_assert_eq!(sum, (i32::from(c[i]) + p + q) as f32, "{} {}", isa, i);
                }
            }
        }
    }
}
