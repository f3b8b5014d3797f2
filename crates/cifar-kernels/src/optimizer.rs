//! Optimiser updates: everything that a step changes, in as few passes over memory as there can be.
//!
//! Each value is changed by the formula that the function names, rounded after every operation, so
//! the bits of a result depend neither on threads nor, but for [`muon()`]'s matrix products, on the
//! instruction set. Gradients are multiplied by a scale as they are read, so clipping them costs no
//! pass of its own.

#![expect(unsafe_code, reason = "`per_isa!` makes unsafe functions; none here asks anything")]

use rayon::prelude::*;

use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

mod muon;

pub use muon::{MuonStep, muon};

/// Values that one task updates: few enough to stay in a core's cache, many enough to be worth
/// handing over.
const TASK: usize = 16_384;

/// Partial sums of f32 kept side by side: two vectors of the widest registers.
const LANES: usize = 32;

/// Values summed in f32 before their lanes are joined in f64: 128 to a lane.
const RUN: usize = 128 * LANES;

/// Sums joined by [`sum_of_squares`] at the most.
const MAX_PARTS: usize = 64;

/// The scalars of a step of [`sgd`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SgdStep {
    /// Factor of every gradient.
    pub gradient_scale: f32,
    /// `lr`.
    pub learning_rate: f64,
    /// Share of the buffer that is kept.
    pub momentum: f64,
    /// Nesterov's look-ahead; nothing without a buffer.
    pub nesterov: bool,
    /// `wd`, the L2 penalty.
    pub weight_decay: f64,
}

/// The scalars of a step of [`adamw`], the `t`-th.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamWStep {
    /// Factor of every gradient.
    pub gradient_scale: f32,
    /// Decay of the gradient's average.
    pub beta1: f64,
    /// Decay of the squared gradient's average.
    pub beta2: f64,
    /// `lr / (1 − β₁ᵗ)`.
    pub step_size: f64,
    /// `√(1 − β₂ᵗ)`.
    pub second_correction: f64,
    /// Added to the denominator.
    pub eps: f64,
    /// `1 − lr·wd`, the share of a weight that is left.
    pub decay: f64,
}

/// `Σ v²`: 32 lanes of f32 over runs of 4096 values, joined in f64 in a fixed order. The terms are
/// not negative, so the relative error is below 130·2⁻²⁴ < 8e-6, whatever the length.
///
/// A NaN or an infinity comes through; so does the overflow of a square beyond f32.
pub fn sum_of_squares(values: &[f32]) -> f64 {
    let isa = Isa::current();
    let part_len = values.len().div_ceil(MAX_PARTS).next_multiple_of(RUN).max(TASK);
    let mut parts = [0.0; MAX_PARTS];
    parts.par_iter_mut().zip(values.par_chunks(part_len)).for_each(|(part, values)| {
        // SAFETY: nothing is asked.
        unsafe { squares(isa, values, part) };
    });
    parts.iter().sum()
}

per_isa! {
    unsafe fn squares(values: &[f32], sum: &mut f64) = squares_body
}

/// Adds `Σ v²` to `sum`.
///
/// # Safety
/// None is needed.
#[inline(always)]
unsafe fn squares_body<S: Simd, const M: usize>(_: S, values: &[f32], sum: &mut f64) {
    for run in values.chunks(RUN) {
        let mut lanes = [0.0f32; LANES];
        let (rows, tail) = run.as_chunks::<LANES>();
        for row in rows {
            for (lane, &v) in lanes.iter_mut().zip(row) {
                *lane += v * v;
            }
        }
        for (lane, &v) in lanes.iter_mut().zip(tail) {
            *lane += v * v;
        }
        for lane in lanes {
            *sum += f64::from(lane);
        }
    }
}

/// `g = gradient·scale + wd·w`, `b = momentum·b + g`, `w −= lr·b`, where Nesterov's look-ahead has
/// `g + momentum·b` in the place of the last `b`, and `g` stands there without a buffer.
///
/// [`torch.optim.SGD`](https://pytorch.org/docs/stable/generated/torch.optim.SGD.html) without
/// dampening. A weight decay of 0 or less adds nothing, also to an infinite weight.
///
/// # Panics
/// If the lengths differ.
pub fn sgd(weights: &mut [f32], gradients: &[f32], buffer: Option<&mut [f32]>, step: &SgdStep) {
    assert_eq!(weights.len(), gradients.len(), "sgd: lengths differ");
    let isa = Isa::current();
    let tasks = weights.par_chunks_mut(TASK).zip(gradients.par_chunks(TASK));
    let Some(buffer) = buffer else {
        return tasks.for_each(|(weights, gradients)| {
            // SAFETY: nothing is asked.
            unsafe { descend(isa, weights, gradients, step) };
        });
    };
    assert_eq!(buffer.len(), gradients.len(), "sgd: lengths differ");
    tasks.zip(buffer.par_chunks_mut(TASK)).for_each(|((weights, gradients), buffer)| {
        // SAFETY: nothing is asked.
        unsafe { descend_with_momentum(isa, weights, gradients, buffer, step) };
    });
}

per_isa! {
    unsafe fn descend(weights: &mut [f32], gradients: &[f32], step: &SgdStep) = descend_body
}

/// # Safety
/// None is needed.
#[inline(always)]
unsafe fn descend_body<S: Simd, const M: usize>(
    _: S,
    weights: &mut [f32],
    gradients: &[f32],
    step: &SgdStep,
) {
    let (rate, decay) = (step.learning_rate as f32, step.weight_decay as f32);
    for (w, &g) in weights.iter_mut().zip(gradients) {
        let mut g = g * step.gradient_scale;
        if decay > 0.0 {
            g += *w * decay;
        }
        *w -= g * rate;
    }
}

per_isa! {
    unsafe fn descend_with_momentum(
        weights: &mut [f32], gradients: &[f32], buffer: &mut [f32], step: &SgdStep,
    ) = descend_with_momentum_body
}

/// # Safety
/// None is needed.
#[inline(always)]
unsafe fn descend_with_momentum_body<S: Simd, const M: usize>(
    _: S,
    weights: &mut [f32],
    gradients: &[f32],
    buffer: &mut [f32],
    step: &SgdStep,
) {
    let (rate, decay) = (step.learning_rate as f32, step.weight_decay as f32);
    let momentum = step.momentum as f32;
    for ((w, &g), b) in weights.iter_mut().zip(gradients).zip(buffer) {
        let mut g = g * step.gradient_scale;
        if decay > 0.0 {
            g += *w * decay;
        }
        *b = *b * momentum + g;
        let update = if step.nesterov { g + *b * momentum } else { *b };
        *w -= update * rate;
    }
}

/// `g = gradient·scale`, `m += (1 − β₁)(g − m)`, `v = β₂·v + (1 − β₂)g²`,
/// `w = decay·w − step_size·m / (√v / second_correction + eps)`.
///
/// [`torch.optim.AdamW`](https://pytorch.org/docs/stable/generated/torch.optim.AdamW.html)
/// (Loshchilov & Hutter 2019, arXiv:1711.05101). `first` is `m`, `second` is `v`.
///
/// # Panics
/// If the lengths differ.
pub fn adamw(
    weights: &mut [f32],
    gradients: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    step: &AdamWStep,
) {
    for len in [gradients.len(), first.len(), second.len()] {
        assert_eq!(weights.len(), len, "adamw: lengths differ");
    }
    let isa = Isa::current();
    let moments = first.par_chunks_mut(TASK).zip(second.par_chunks_mut(TASK));
    let tasks = weights.par_chunks_mut(TASK).zip(gradients.par_chunks(TASK)).zip(moments);
    tasks.for_each(|((weights, gradients), (first, second))| {
        // SAFETY: nothing is asked.
        unsafe { adapt(isa, weights, gradients, first, second, step) };
    });
}

per_isa! {
    unsafe fn adapt(
        weights: &mut [f32], gradients: &[f32], first: &mut [f32], second: &mut [f32],
        step: &AdamWStep,
    ) = adapt_body
}

/// # Safety
/// None is needed.
#[inline(always)]
unsafe fn adapt_body<S: Simd, const M: usize>(
    _: S,
    weights: &mut [f32],
    gradients: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    step: &AdamWStep,
) {
    let (first_share, second_share) = ((1.0 - step.beta1) as f32, (1.0 - step.beta2) as f32);
    let (beta2, decay) = (step.beta2 as f32, step.decay as f32);
    let (correction, eps) = ((1.0 / step.second_correction) as f32, step.eps as f32);
    let step_size = step.step_size as f32;
    for (((w, &g), m), v) in weights.iter_mut().zip(gradients).zip(first).zip(second) {
        let g = g * step.gradient_scale;
        *m += (g - *m) * first_share;
        *v = *v * beta2 + g * g * second_share;
        let denominator = v.sqrt() * correction + eps;
        *w = *w * decay - *m / denominator * step_size;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SGD: SgdStep = SgdStep {
        gradient_scale: 0.3,
        learning_rate: 0.07,
        momentum: 0.9,
        nesterov: true,
        weight_decay: 0.013,
    };

    const ADAMW: AdamWStep = AdamWStep {
        gradient_scale: 0.3,
        beta1: 0.9,
        beta2: 0.999,
        step_size: 0.02,
        second_correction: 0.17,
        eps: 1e-8,
        decay: 0.99,
    };

    /// More values than a task has, and an odd rest.
    const LONG: usize = 3 * TASK + 2 * RUN + 45;

    /// Values of no pattern in −1..1.
    fn noise(len: usize, seed: u32) -> Vec<f32> {
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..len).map(next).collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    /// Weights and buffer after a step of SGD, an index at a time.
    fn sgd_twin(
        (weights, gradients, buffer): (&[f32], &[f32], &[f32]),
        with_buffer: bool,
        step: &SgdStep,
    ) -> [Vec<u32>; 2] {
        let (mut weights, mut buffer) = (weights.to_vec(), buffer.to_vec());
        let momentum = step.momentum as f32;
        for i in 0..weights.len() {
            let mut update = gradients[i] * step.gradient_scale;
            if step.weight_decay > 0.0 {
                update += weights[i] * step.weight_decay as f32;
            }
            if with_buffer {
                buffer[i] = momentum * buffer[i] + update;
                update = if step.nesterov { update + momentum * buffer[i] } else { buffer[i] };
            }
            weights[i] -= step.learning_rate as f32 * update;
        }
        [bits(&weights), bits(&buffer)]
    }

    fn sgd_of(
        (weights, gradients, buffer): (&[f32], &[f32], &[f32]),
        with_buffer: bool,
        step: &SgdStep,
    ) -> [Vec<u32>; 2] {
        let (mut weights, mut buffer) = (weights.to_vec(), buffer.to_vec());
        sgd(&mut weights, gradients, with_buffer.then_some(&mut buffer), step);
        [bits(&weights), bits(&buffer)]
    }

    /// Weights and moments after a step of AdamW, an index at a time.
    fn adamw_twin(
        [weights, gradients, first, second]: [&[f32]; 4],
        step: &AdamWStep,
    ) -> [Vec<u32>; 3] {
        let (mut weights, mut first, mut second) =
            (weights.to_vec(), first.to_vec(), second.to_vec());
        for i in 0..weights.len() {
            let g = gradients[i] * step.gradient_scale;
            first[i] = first[i] + (1.0 - step.beta1) as f32 * (g - first[i]);
            second[i] = step.beta2 as f32 * second[i] + (1.0 - step.beta2) as f32 * (g * g);
            let root = second[i].sqrt() * (1.0 / step.second_correction) as f32;
            let change = first[i] / (root + step.eps as f32) * step.step_size as f32;
            weights[i] = step.decay as f32 * weights[i] - change;
        }
        [bits(&weights), bits(&first), bits(&second)]
    }

    fn adamw_of(
        [weights, gradients, first, second]: [&[f32]; 4],
        step: &AdamWStep,
    ) -> [Vec<u32>; 3] {
        let (mut weights, mut first, mut second) =
            (weights.to_vec(), first.to_vec(), second.to_vec());
        adamw(&mut weights, gradients, &mut first, &mut second, step);
        [bits(&weights), bits(&first), bits(&second)]
    }

    /// Weights, gradients, first and second moments (which are not negative).
    fn inputs(len: usize, seed: u32) -> [Vec<f32>; 4] {
        let mut second = noise(len, seed + 3);
        second.iter_mut().for_each(|v| *v = v.abs());
        [noise(len, seed), noise(len, seed + 1), noise(len, seed + 2), second]
    }

    fn check_sgd(len: usize, seed: u32) {
        let [weights, gradients, buffer, _] = inputs(len, seed);
        let values = (&*weights, &*gradients, &*buffer);
        for isa in Isa::available() {
            for (with_buffer, nesterov, weight_decay) in
                [(false, false, 0.0), (false, false, 0.1), (true, false, 0.1), (true, true, 0.0)]
            {
                let step = SgdStep { nesterov, weight_decay, ..SGD };
                let got = isa.force(|| sgd_of(values, with_buffer, &step));
                let want = sgd_twin(values, with_buffer, &step);
                assert!(got == want, "{isa}, {len} values, {step:?}");
            }
        }
    }

    fn check_adamw(len: usize, seed: u32) {
        let values = inputs(len, seed);
        let values = values.each_ref().map(Vec::as_slice);
        for isa in Isa::available() {
            let got = isa.force(|| adamw_of(values, &ADAMW));
            assert!(got == adamw_twin(values, &ADAMW), "{isa}, {len} values");
        }
    }

    fn check_sum_of_squares(len: usize, seed: u32) {
        let values = noise(len, seed);
        let want: f64 = values.iter().map(|&v| f64::from(v) * f64::from(v)).sum();
        let of = |isa: Isa| isa.force(|| sum_of_squares(&values));
        for isa in Isa::available() {
            let got = of(isa);
            assert!((got - want).abs() <= 8e-6 * want, "{isa}, {len} values: {got}, want {want}");
            assert_eq!(got.to_bits(), of(Isa::Portable).to_bits(), "{isa}, {len} values");
        }
    }

    proptest! {
        #[test]
        fn updates_equal_their_twins_bit_for_bit(len in 0usize..100, seed in 0u32..1000) {
            check_sgd(len, seed);
            check_adamw(len, seed);
        }

        #[test]
        fn squares_are_summed_in_the_same_bits_everywhere(len in 0usize..100, seed in 0u32..1000) {
            check_sum_of_squares(len, seed);
        }
    }

    #[test]
    fn more_values_than_a_task_has_are_all_seen_once() {
        check_sgd(LONG, 5);
        check_adamw(LONG, 6);
        check_sum_of_squares(LONG, 7);
        assert_eq!(sum_of_squares(&vec![2.0; LONG]), 4.0 * LONG as f64);
        let many = MAX_PARTS * TASK + 1;
        assert_eq!(sum_of_squares(&vec![1.0; many]), many as f64);
    }

    #[test]
    fn the_number_of_threads_changes_no_bit() {
        let values = inputs(LONG, 8);
        let values = values.each_ref().map(Vec::as_slice);
        let with = |n_threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
            pool.install(|| (sum_of_squares(values[0]).to_bits(), adamw_of(values, &ADAMW)))
        };
        assert!(with(1) == with(3));
    }

    #[test]
    fn what_is_not_finite_comes_through_from_any_place() {
        for isa in Isa::available() {
            for at in [0, 31, 32, RUN - 1, RUN + 7, LONG - 1] {
                let mut values = noise(LONG, 9);
                values[at] = f32::NEG_INFINITY;
                assert_eq!(isa.force(|| sum_of_squares(&values)), f64::INFINITY, "{isa}, {at}");
                values[at] = f32::NAN;
                assert!(isa.force(|| sum_of_squares(&values)).is_nan(), "{isa}, {at}");
            }
        }
    }

    #[test]
    #[should_panic(expected = "adamw: lengths differ")]
    fn lengths_that_differ_are_refused() {
        adamw(&mut [0.0; 2], &[0.0; 2], &mut [0.0; 2], &mut [0.0; 3], &ADAMW);
    }
}
