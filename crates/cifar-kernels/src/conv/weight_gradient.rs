//! The weights' gradient.
//!
//! The batch is cut into parts whose number depends on the shape alone; each part sums in order,
//! and the parts' sums are added in order, so the bits do not depend on the threads.

use rayon::prelude::*;

use super::patches::Window;
use super::{Algorithm, Conv2d, pixels_at_a_time, row_stride, winograd};
use crate::buffer::{factors, with_scratch};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{
    self, depth_of, join_rows, pack_panels, panels_len, products_of_columns, sums_at, sums_len,
};
use crate::isa::Isa;

/// Parts of a batch.
const PARTS: usize = 8;

/// `x`, `(N, H, W, C)`, and `dy`, `(N, OH, OW, K)`, to `dweight`, `(K, C, kh, kw)`, overwritten.
/// Where `algorithm` does not apply to `conv`, the direct one is taken.
///
/// # Panics
/// If lengths do not fit.
pub fn weight_gradient<E: Element>(
    conv: &Conv2d,
    algorithm: Algorithm,
    x: &[E],
    dy: &[E],
    dweight: &mut [f32],
) {
    let n_images = conv.n_images(x.len(), dy.len());
    assert_eq!(dweight.len(), conv.weight_len(), "convolution: weights do not fit");
    let isa = Isa::current();
    let (depth, k) = (conv.n_taps() * conv.in_channels, conv.out_channels);
    let len = sums_len(isa, depth, k);
    let algorithm = conv.applicable(algorithm);
    let n_units = match algorithm {
        Algorithm::Direct => n_images * conv.out_height() * conv.out_width(),
        Algorithm::Winograd => n_images,
    };
    let part_len = n_units.div_ceil(PARTS).max(1);
    let n_parts = n_units.div_ceil(part_len).max(1);
    with_scratch(n_parts * len, |sums: &mut [f32]| {
        sums.par_chunks_exact_mut(len).enumerate().for_each(|(part, sums)| {
            let units = part * part_len..((part + 1) * part_len).min(n_units);
            match algorithm {
                Algorithm::Direct => direct(isa, conv, x, dy, units, sums),
                Algorithm::Winograd => winograd::weight_gradient(isa, conv, x, dy, units, sums),
            }
        });
        add_parts(sums, len);
        write(isa, conv, &sums[..len], dweight);
    });
}

/// The sums over the pixels `pixels` of the result, counted through all images.
fn direct<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    x: &[E],
    dy: &[E],
    pixels: std::ops::Range<usize>,
    sums: &mut [f32],
) {
    let window = Window::forward(conv);
    let (k, depth) = (conv.out_channels, window.depth());
    // Room for the tile that reads beyond the last row of weights.
    let stride = row_stride(depth + gemm::tile_rows(isa));
    let at_a_time = pixels_at_a_time(depth);
    if pixels.is_empty() {
        sums.fill(0.0);
    }
    let most = depth_of::<E>(at_a_time);
    with_scratch(stride * at_a_time, |patches: &mut [E]| {
        with_scratch(stride * most + panels_len(isa, most, k), |scratch: &mut [E::Factor]| {
            let (joined, panels) = scratch.split_at_mut(stride * most);
            for first in pixels.clone().step_by(at_a_time) {
                let n = at_a_time.min(pixels.end - first);
                let n_factors = depth_of::<E>(n);
                let patches = &mut patches[..n * stride];
                let panels = &mut panels[..panels_len(isa, n_factors, k)];
                window.gather(x, first, stride, patches);
                pack_panels(isa, (n, k), |p| &dy[(first + p) * k..][..k], panels);
                let a = pixels_as_factors(isa, patches, stride, joined);
                let (a, add) = ((a, stride, depth), first > pixels.start);
                products_of_columns(isa, a, panels, k, n_factors, add, sums);
            }
        });
    });
}

/// Rows of values, one per pixel, as rows of factors.
fn pixels_as_factors<'a, E: Element>(
    isa: Isa,
    patches: &'a [E],
    stride: usize,
    joined: &'a mut [E::Factor],
) -> &'a [E::Factor] {
    if E::Factor::VALUES == 1 {
        return factors(patches);
    }
    let rows = patches.chunks(E::Factor::VALUES * stride);
    for (rows, joined) in rows.zip(joined.chunks_exact_mut(stride)) {
        let (first, second) = rows.split_at(stride);
        join_rows(isa, first, (!second.is_empty()).then_some(second), joined);
    }
    joined
}

/// Adds all parts to the first, each place in the order of the parts.
fn add_parts(sums: &mut [f32], len: usize) {
    const PLACES: usize = 4096;
    let (first, others) = sums.split_at_mut(len);
    first.par_chunks_mut(PLACES).enumerate().for_each(|(chunk, first)| {
        for part in others.chunks_exact(len) {
            for (sum, &value) in first.iter_mut().zip(&part[chunk * PLACES..]) {
                *sum += value;
            }
        }
    });
}

/// From tiles of `(kh·kw·C, K)` to `(K, C, kh·kw)`.
fn write(isa: Isa, conv: &Conv2d, sums: &[f32], dweight: &mut [f32]) {
    let (c, taps, k) = (conv.in_channels, conv.n_taps(), conv.out_channels);
    let width = gemm::panel_width(isa);
    dweight.par_chunks_mut(width * c * taps).enumerate().for_each(|(block, dweight)| {
        let n = dweight.len() / (c * taps);
        for row in 0..c * taps {
            let (tap, channel) = (row / c, row % c);
            let from = &sums[sums_at(isa, row, block * width, k)..][..n];
            for (i, &value) in from.iter().enumerate() {
                dweight[(i * c + channel) * taps + tap] = value;
            }
        }
    });
}
