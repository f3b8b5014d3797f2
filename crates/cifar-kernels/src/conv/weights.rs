//! The weights of one group in other orders than PyTorch's `(K, C, kh, kw)`.

use rayon::prelude::*;

use super::Conv2d;
use crate::element::Element;

/// `(K, C, kh·kw)` to `(C, kh·kw, K)`.
pub(super) fn output_channels_last<E: Element>(conv: &Conv2d, weight: &[f32], out: &mut [E]) {
    let (k, c, taps) = (conv.out_channels, conv.in_channels, conv.n_taps());
    // A few input channels at a time share the cache lines they come from.
    const CHANNELS: usize = 8;
    out.par_chunks_mut(CHANNELS * taps * k).enumerate().for_each(|(block, out)| {
        let first = block * CHANNELS * taps;
        let rows = out.len() / k;
        for (filter, weight) in weight.chunks_exact(c * taps).enumerate() {
            for (row, &value) in weight[first..first + rows].iter().enumerate() {
                out[row * k + filter] = E::from_f32(value);
            }
        }
    });
}

/// `(K, C, kh·kw)` to `(K, kh·kw, C)`.
pub(super) fn input_channels_last<E: Element>(conv: &Conv2d, weight: &[f32], out: &mut [E]) {
    let (c, taps) = (conv.in_channels, conv.n_taps());
    let filters = out.par_chunks_exact_mut(c * taps).zip(weight.par_chunks_exact(c * taps));
    filters.for_each(|(out, weight)| {
        for (channel, weight) in weight.chunks_exact(taps).enumerate() {
            for (tap, &value) in weight.iter().enumerate() {
                out[tap * c + channel] = E::from_f32(value);
            }
        }
    });
}
