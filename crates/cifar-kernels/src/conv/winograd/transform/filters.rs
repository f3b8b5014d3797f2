//! The transforms of filters and of their gradients.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]
#![expect(
    clippy::needless_range_loop,
    reason = "squares are written down by their indices, which keeps them in registers"
)]

use super::axis::{Along, FrequencyGradients, Taps, both_ways};
use crate::factor::Factor;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// `G g Gᵀ` for `width` filters, as many as a panel has, for each of a factor's values: `taps[v][t]` is where
/// tap `t`'s row for value `v` begins in `weights`; frequency `f` goes to `out[f·stride..]`.
pub(in crate::conv::winograd) fn filter<F: Factor, const TILE: usize>(
    isa: Isa,
    weights: &[f32],
    taps: [[usize; 9]; 2],
    out: &mut [F],
    stride: usize,
    width: usize,
) where
    Taps: Along<3, TILE>,
{
    let inside = |tap: &usize| tap + width <= weights.len();
    assert!(taps[..F::VALUES].as_flattened().iter().all(inside), "winograd: a tap outside");
    assert!((TILE * TILE - 1) * stride + width <= out.len(), "winograd: a frequency outside");
    // SAFETY: by the assertions every panel's width read and written is there.
    unsafe { filter_panel::<F, TILE>(isa, weights, taps, out, stride, width) };
}

per_isa! {
    unsafe fn filter_panel<F: Factor; const TILE: usize>(
        weights: &[f32], taps: [[usize; 9]; 2], out: &mut [F], stride: usize, width: usize,
    ) where [Taps: Along<3, TILE>] = filter_panel_body
}

/// # Safety
/// See [`filter`].
#[inline(always)]
unsafe fn filter_panel_body<S: Simd, F: Factor, const TILE: usize, const M: usize>(
    s: S,
    weights: &[f32],
    taps: [[usize; 9]; 2],
    out: &mut [F],
    stride: usize,
    width: usize,
) where
    Taps: Along<3, TILE>,
{
    for at in (0..width).step_by(S::LANES) {
        let mut values = [[[s.splat(0.0); TILE]; TILE]; 2];
        for (values, taps) in values.iter_mut().zip(taps).take(F::VALUES) {
            let mut square = [[s.splat(0.0); 3]; 3];
            for (tap, value) in square.as_flattened_mut().iter_mut().enumerate() {
                // SAFETY: a vector of a panel's width of the tap's row.
                *value = unsafe { s.load(weights.as_ptr().add(taps[tap] + at)) };
            }
            *values = both_ways::<S, Taps, 3, TILE>(s, square);
        }
        for i in 0..TILE {
            for j in 0..TILE {
                let factors = F::join(s, [values[0][i][j], values[1][i][j]]);
                let at = (i * TILE + j) * stride + at;
                // SAFETY: a vector of a panel's width of the frequency's row; a factor is as large
                // and as aligned as an f32.
                unsafe { s.store(out.as_mut_ptr().add(at).cast(), factors) };
            }
        }
    }
}

/// `Gᵀ m G` for `width` filters, as many as a panel has: frequency `f` is read from `m[f·stride..]`, tap `t`
/// written to `out[to[t]..]`.
pub(in crate::conv::winograd) fn filter_gradient<const TILE: usize>(
    isa: Isa,
    m: &[f32],
    stride: usize,
    out: &mut [f32],
    to: [usize; 9],
    width: usize,
) where
    FrequencyGradients: Along<TILE, 3>,
{
    assert!((TILE * TILE - 1) * stride + width <= m.len(), "winograd: a frequency outside");
    assert!(to.iter().all(|to| to + width <= out.len()), "winograd: a tap outside");
    // SAFETY: by the assertions every panel's width read and written is there.
    unsafe { filter_gradient_panel::<TILE>(isa, m, stride, out, to, width) };
}

per_isa! {
    unsafe fn filter_gradient_panel<; const TILE: usize>(
        m: &[f32], stride: usize, out: &mut [f32], to: [usize; 9], width: usize,
    ) where [FrequencyGradients: Along<TILE, 3>] = filter_gradient_panel_body
}

/// # Safety
/// See [`filter_gradient`].
#[inline(always)]
unsafe fn filter_gradient_panel_body<S: Simd, const TILE: usize, const M: usize>(
    s: S,
    m: &[f32],
    stride: usize,
    out: &mut [f32],
    to: [usize; 9],
    width: usize,
) where
    FrequencyGradients: Along<TILE, 3>,
{
    for at in (0..width).step_by(S::LANES) {
        let mut square = [[s.splat(0.0); TILE]; TILE];
        for (f, value) in square.as_flattened_mut().iter_mut().enumerate() {
            // SAFETY: a vector of a panel's width of the frequency's row.
            *value = unsafe { s.load(m.as_ptr().add(f * stride + at)) };
        }
        let square = both_ways::<S, FrequencyGradients, TILE, 3>(s, square);
        for (tap, value) in square.into_iter().flatten().enumerate() {
            // SAFETY: a vector of a panel's width of the tap's row.
            unsafe { s.store(out.as_mut_ptr().add(to[tap] + at), value) };
        }
    }
}
