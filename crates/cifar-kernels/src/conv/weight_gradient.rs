//! The weights' gradient.
//!
//! The batch is cut into parts whose number depends on the shape alone; each part sums in order,
//! and the parts' sums are added in order, so the bits do not depend on the threads.

use rayon::prelude::*;

use super::window::Window;
use super::{Algorithm, Conv2d, Method, depthwise, row_stride, winograd};
use crate::buffer::{factors, with_scratch};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{
    self, depth_of, join_rows, pack_panels, panels_len, products_of_columns, sums_at, sums_len,
};
use crate::isa::Isa;

/// Parts of a batch.
const PARTS: usize = 8;

/// Pixels of the result that a part has at least: the sums of a part travel through memory.
const PART_PIXELS: usize = 256;

/// `x`, `(N, H, W, C)`, and `dy`, `(N, OH, OW, K)`, to `dweight`, `(K, C / groups, kh, kw)`,
/// overwritten.
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
    let (method, one) = (conv.method(algorithm), conv.of_one_group());
    let of_group = sums_len(isa, one.n_taps() * one.in_channels, one.out_channels);
    let len = match method {
        Method::Depthwise => depthwise::sums_len(conv),
        Method::Direct | Method::Winograd => conv.groups * of_group,
    };
    let n_pixels = n_images * conv.out_height() * conv.out_width();
    let part_len = n_images.div_ceil((n_pixels / PART_PIXELS).clamp(1, PARTS)).max(1);
    let n_parts = n_images.div_ceil(part_len).max(1);
    with_scratch(n_parts * len, |sums: &mut [f32]| {
        sums.par_chunks_exact_mut(len).enumerate().for_each(|(part, sums)| {
            let images = part * part_len..((part + 1) * part_len).min(n_images);
            let x = &x[images.start * conv.in_len()..images.end * conv.in_len()];
            let dy = &dy[images.start * conv.out_len()..images.end * conv.out_len()];
            match method {
                Method::Direct => {
                    for (group, sums) in sums.chunks_exact_mut(of_group).enumerate() {
                        direct(isa, conv, group, x, dy, sums);
                    }
                }
                Method::Winograd => winograd::weight_gradient(isa, conv, x, dy, sums),
                Method::Depthwise => depthwise::weight_gradient(isa, conv, x, dy, sums),
            }
        });
        add_parts(sums, len);
        if method == Method::Depthwise {
            return depthwise::write(conv, &sums[..len], dweight);
        }
        let groups = sums[..len].chunks_exact(of_group);
        for (sums, dweight) in groups.zip(dweight.chunks_exact_mut(one.weight_len())) {
            write(isa, &one, sums, dweight);
        }
    });
}

/// The sums over the pixels of all results, for one group.
fn direct<E: Element>(isa: Isa, conv: &Conv2d, group: usize, x: &[E], dy: &[E], sums: &mut [f32]) {
    let window = Window::forward(conv).of_group(group);
    let (c, k) = (window.channels.len(), conv.out_channels / conv.groups);
    let (depth, filters) = (window.depth(c), group * k..(group + 1) * k);
    // Room for the tile that reads beyond the last row of weights.
    let stride = row_stride(depth + gemm::tile_rows(isa));
    let at_a_time = pixels_at_a_time(depth);
    if x.is_empty() {
        return sums.fill(0.0);
    }
    let group = (at_a_time / window.grid_len()).max(1);
    let most = depth_of::<E>(at_a_time);
    let frame = window.frame(&(0..window.grid.0), c);
    let runs = window.runs(&frame);
    let mut add = false;
    with_scratch(stride * at_a_time, |patches: &mut [E]| {
        with_scratch(stride * most + panels_len(isa, most, k), |scratch: &mut [E::Factor]| {
            let (joined, panels) = scratch.split_at_mut(stride * most);
            for (x, dy) in x.chunks(group * conv.in_len()).zip(dy.chunks(group * conv.out_len())) {
                window.with_frames(x, &frame, |frames, image_stride| {
                    let mut starts = (0..x.len() / conv.in_len()).flat_map(|image| {
                        let rows = 0..window.grid.0;
                        let starts = rows.flat_map(|row| window.starts(&frame, row));
                        starts.map(move |start| image * image_stride + start)
                    });
                    for dy in dy.chunks(at_a_time * conv.out_channels) {
                        let n = dy.len() / conv.out_channels;
                        let n_factors = depth_of::<E>(n);
                        let patches = &mut patches[..n * stride];
                        let panels = &mut panels[..panels_len(isa, n_factors, k)];
                        for patch in patches.chunks_exact_mut(stride) {
                            copy_runs(frames, starts.next().unwrap_or_default(), runs, patch);
                        }
                        let row = |p| &dy[p * conv.out_channels..][filters.clone()];
                        pack_panels(isa, (n, k), row, panels);
                        let a = (pixels_as_factors(isa, patches, stride, joined), stride, depth);
                        products_of_columns(isa, a, panels, k, n_factors, add, sums);
                        add = true;
                    }
                });
            }
        });
    });
}

/// Copies the runs from `start` one behind the other. What lies behind them may be overwritten.
#[inline]
fn copy_runs<E: Element>(
    frames: &[E],
    start: usize,
    (n_runs, run_stride, run_len): (usize, usize, usize),
    patch: &mut [E],
) {
    /// A copy of fixed length is no call.
    const FEW: usize = 16;
    for run in 0..n_runs {
        let (from, to) = (start + run * run_stride, run * run_len);
        if run_len <= FEW && from + FEW <= frames.len() && to + FEW <= patch.len() {
            patch[to..to + FEW].copy_from_slice(&frames[from..from + FEW]);
        } else {
            patch[to..to + run_len].copy_from_slice(&frames[from..from + run_len]);
        }
    }
}

/// Pixels whose patches, of `depth` values each, are gathered at a time: they should stay in the
/// second-level cache beside a panel of weights.
fn pixels_at_a_time(depth: usize) -> usize {
    const VALUES: usize = 32 * 1024;
    let step = gemm::ROW_STEP;
    (VALUES / depth.max(1) / step * step).clamp(step, 8 * step)
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
    let width = gemm::panel_width(isa, k);
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
