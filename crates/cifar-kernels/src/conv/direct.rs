//! Convolution as a product of patches and weights.

use rayon::prelude::*;

use super::patches::Window;
use super::{Conv2d, Epilogue, MAX_PIXELS, pixels_at_a_time, row_stride, weights};
use crate::buffer::with_scratch;
use crate::gemm::{self, Panels, Rows, pack_panels, panels_len, products_of_rows};
use crate::isa::Isa;

pub(super) fn forward_packed_len(isa: Isa, conv: &Conv2d) -> usize {
    panels_len(isa, Window::forward(conv).depth(), conv.out_channels)
}

/// Packs the weights as the matrix `(kh·kw·C, K)`.
pub(super) fn pack_forward(isa: Isa, conv: &Conv2d, weight: &[f32], packed: &mut [f32]) {
    let (c, k) = (conv.in_channels, conv.out_channels);
    with_scratch(weight.len(), |ordered| {
        weights::output_channels_last(conv, weight, ordered);
        let row = |row: usize| &ordered[(row % c * conv.n_taps() + row / c) * k..][..k];
        pack_panels(isa, k, row, packed);
    });
}

/// `x`, `(N, H, W, C)`, to `y`, `(N, OH, OW, K)`.
pub(super) fn forward(
    isa: Isa,
    conv: &Conv2d,
    packed: &[f32],
    x: &[f32],
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let window = Window::forward(conv);
    let (k, depth) = (conv.out_channels, window.depth());
    let filters =
        Panels { values: packed, stride: depth * gemm::panel_width(isa), depth, columns: k };
    let at_a_time = pixels_at_a_time(depth);
    y.par_chunks_mut(at_a_time * k).enumerate().for_each(|(chunk, y)| {
        let mut targets = [0; MAX_PIXELS];
        let targets = &mut targets[..y.len() / k];
        targets.iter_mut().enumerate().for_each(|(i, target)| *target = i * k);
        multiply(isa, &window, x, chunk * at_a_time, targets, filters, epilogue, y);
    });
}

/// The patches of as many grid pixels as `targets`, from pixel `first`, times `filters`.
#[expect(clippy::too_many_arguments, reason = "two matrices, a result and where each begins")]
fn multiply(
    isa: Isa,
    window: &Window,
    images: &[f32],
    first: usize,
    targets: &[usize],
    filters: Panels<'_>,
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) {
    let depth = window.depth();
    if window.is_identity() {
        let a = &images[first * depth..];
        return products_of_rows(isa, Rows { a, stride: depth, targets }, filters, epilogue, out);
    }
    let stride = row_stride(depth);
    with_scratch(stride * targets.len(), |patches| {
        window.gather(images, first, stride, patches);
        products_of_rows(isa, Rows { a: patches, stride, targets }, filters, epilogue, out);
    });
}

/// The stride's phases, each a convolution of its own, and the length of its packed weights.
fn phases(isa: Isa, conv: &Conv2d) -> impl Iterator<Item = ((usize, usize), Window, usize)> {
    let (conv, s) = (*conv, conv.stride);
    (0..s * s).map(move |phase| {
        let phase = (phase / s, phase % s);
        let window = Window::input_gradient(&conv, phase);
        let len = panels_len(isa, window.depth(), conv.in_channels);
        (phase, window, len)
    })
}

pub(super) fn input_gradient_packed_len(isa: Isa, conv: &Conv2d) -> usize {
    phases(isa, conv).map(|(_, _, len)| len).sum()
}

/// Packs the weights as one matrix `(taps·K, C)` per phase of the stride.
pub(super) fn pack_input_gradient(isa: Isa, conv: &Conv2d, weight: &[f32], packed: &mut [f32]) {
    let (c, k) = (conv.in_channels, conv.out_channels);
    with_scratch(weight.len(), |ordered| {
        weights::input_channels_last(conv, weight, ordered);
        let mut rest = packed;
        for (_, window, len) in phases(isa, conv) {
            let (packed, after) = rest.split_at_mut(len);
            let taps = window.taps(conv.kernel_width);
            let row = |row: usize| &ordered[(row % k * conv.n_taps() + taps[row / k]) * c..][..c];
            pack_panels(isa, c, row, packed);
            rest = after;
        }
    });
}

/// `dy`, `(N, OH, OW, K)`, to `dx`, `(N, H, W, C)`.
pub(super) fn input_gradient(
    isa: Isa,
    conv: &Conv2d,
    packed: &[f32],
    dy: &[f32],
    epilogue: Epilogue<'_>,
    dx: &mut [f32],
) {
    let (c, s) = (conv.in_channels, conv.stride);
    let phases: Vec<_> = phases(isa, conv)
        .scan(0, |start, (phase, window, len)| {
            *start += len;
            Some((phase, window, &packed[*start - len..*start]))
        })
        .collect();
    dx.par_chunks_exact_mut(conv.in_len()).enumerate().for_each(|(image, dx)| {
        for ((y0, x0), window, packed) in &phases {
            let (depth, n_pixels) = (window.depth(), window.grid_len());
            let filters = Panels {
                values: packed,
                stride: depth * gemm::panel_width(isa),
                depth,
                columns: c,
            };
            let at_a_time = pixels_at_a_time(depth);
            for first in (0..n_pixels).step_by(at_a_time) {
                let mut targets = [0; MAX_PIXELS];
                let targets = &mut targets[..at_a_time.min(n_pixels - first)];
                for (i, target) in targets.iter_mut().enumerate() {
                    let (row, column) = ((first + i) / window.grid.1, (first + i) % window.grid.1);
                    *target = ((y0 + row * s) * conv.width + x0 + column * s) * c;
                }
                if depth > 0 {
                    let first = image * n_pixels + first;
                    multiply(isa, window, dy, first, targets, filters, epilogue, dx);
                } else if !epilogue.accumulate {
                    // No window ever met these pixels.
                    targets.iter().for_each(|&target| dx[target..target + c].fill(0.0));
                }
            }
        }
    });
}
