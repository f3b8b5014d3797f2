//! Convolution as a product of patches and weights.

use rayon::prelude::*;

use super::patches::Window;
use super::{Conv2d, Epilogue, MAX_PIXELS, pixels_at_a_time, row_stride, weights};
use crate::buffer::{factors, with_scratch};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{self, Panels, Rows, depth_of, pack_panels, panels_len, products_of_rows};
use crate::isa::Isa;

/// Factors of the packed weights.
pub(super) fn forward_packed_len<E: Element>(isa: Isa, conv: &Conv2d) -> usize {
    panels_len(isa, depth_of::<E>(Window::forward(conv).depth()), conv.out_channels)
}

/// Packs the weights as the matrix `(kh·kw·C, K)`.
pub(super) fn pack_forward<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    weight: &[f32],
    packed: &mut [E::Factor],
) {
    let (c, k) = (conv.in_channels, conv.out_channels);
    with_scratch(weight.len(), |ordered: &mut [E]| {
        weights::output_channels_last(conv, weight, ordered);
        let row = |row: usize| &ordered[(row % c * conv.n_taps() + row / c) * k..][..k];
        pack_panels(isa, (conv.n_taps() * c, k), row, packed);
    });
}

/// `x`, `(N, H, W, C)`, to `y`, `(N, OH, OW, K)`.
pub(super) fn forward<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    packed: &[E::Factor],
    x: &[E],
    epilogue: Epilogue<'_>,
    y: &mut [E],
) {
    let window = Window::forward(conv);
    let k = conv.out_channels;
    let filters = panels::<E>(isa, packed, &window, k);
    let at_a_time = pixels_at_a_time(window.depth());
    y.par_chunks_mut(at_a_time * k).enumerate().for_each(|(chunk, y)| {
        let mut targets = [0; MAX_PIXELS];
        let targets = &mut targets[..y.len() / k];
        targets.iter_mut().enumerate().for_each(|(i, target)| *target = i * k);
        multiply(isa, &window, x, chunk * at_a_time, targets, filters, epilogue, y);
    });
}

/// The weights of one window as the right matrix of a product.
fn panels<'a, E: Element>(
    isa: Isa,
    packed: &'a [E::Factor],
    window: &Window,
    columns: usize,
) -> Panels<'a, E::Factor> {
    let depth = depth_of::<E>(window.depth());
    Panels { values: packed, stride: depth * gemm::panel_width(isa), depth, columns }
}

/// The patches of as many grid pixels as `targets`, from pixel `first`, times `filters`.
#[expect(clippy::too_many_arguments, reason = "two matrices, a result and where each begins")]
fn multiply<E: Element>(
    isa: Isa,
    window: &Window,
    images: &[E],
    first: usize,
    targets: &[usize],
    filters: Panels<'_, E::Factor>,
    epilogue: Epilogue<'_>,
    out: &mut [E],
) {
    let (depth, n_values) = (window.depth(), E::Factor::VALUES);
    let images_are_factors = depth.is_multiple_of(n_values)
        && images.as_ptr().align_offset(align_of::<E::Factor>()) == 0;
    if window.is_identity() && images_are_factors {
        let rows = Rows { a: factors(&images[first * depth..]), stride: depth / n_values, targets };
        return products_of_rows(isa, rows, filters, epilogue, out);
    }
    let stride = row_stride(depth);
    with_scratch(stride * targets.len(), |patches: &mut [E]| {
        window.gather(images, first, stride, patches);
        if !depth.is_multiple_of(n_values) {
            patches.chunks_exact_mut(stride).for_each(|patch| patch[depth] = E::default());
        }
        let rows = Rows { a: factors(patches), stride: stride / n_values, targets };
        products_of_rows(isa, rows, filters, epilogue, out);
    });
}

/// The stride's phases, each a convolution of its own, and the length of its packed weights.
fn phases<E: Element>(
    isa: Isa,
    conv: &Conv2d,
) -> impl Iterator<Item = ((usize, usize), Window, usize)> + use<E> {
    let (conv, s) = (*conv, conv.stride);
    (0..s * s).map(move |phase| {
        let phase = (phase / s, phase % s);
        let window = Window::input_gradient(&conv, phase);
        let len = panels_len(isa, depth_of::<E>(window.depth()), conv.in_channels);
        (phase, window, len)
    })
}

/// Factors of the packed weights.
pub(super) fn input_gradient_packed_len<E: Element>(isa: Isa, conv: &Conv2d) -> usize {
    phases::<E>(isa, conv).map(|(_, _, len)| len).sum()
}

/// Packs the weights as one matrix `(taps·K, C)` per phase of the stride.
pub(super) fn pack_input_gradient<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    weight: &[f32],
    packed: &mut [E::Factor],
) {
    let (c, k) = (conv.in_channels, conv.out_channels);
    with_scratch(weight.len(), |ordered: &mut [E]| {
        weights::input_channels_last(conv, weight, ordered);
        let mut rest = packed;
        for (_, window, len) in phases::<E>(isa, conv) {
            let (packed, after) = rest.split_at_mut(len);
            let taps = window.taps(conv.kernel_width);
            let row = |row: usize| &ordered[(row % k * conv.n_taps() + taps[row / k]) * c..][..c];
            pack_panels(isa, (taps.len() * k, c), row, packed);
            rest = after;
        }
    });
}

/// `dy`, `(N, OH, OW, K)`, to `dx`, `(N, H, W, C)`.
pub(super) fn input_gradient<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    packed: &[E::Factor],
    dy: &[E],
    epilogue: Epilogue<'_>,
    dx: &mut [E],
) {
    let (c, s) = (conv.in_channels, conv.stride);
    let phases: Vec<_> = phases::<E>(isa, conv)
        .scan(0, |start, (phase, window, len)| {
            *start += len;
            Some((phase, window, &packed[*start - len..*start]))
        })
        .collect();
    dx.par_chunks_exact_mut(conv.in_len()).enumerate().for_each(|(image, dx)| {
        for ((y0, x0), window, packed) in &phases {
            let (depth, n_pixels) = (window.depth(), window.grid_len());
            let filters = panels::<E>(isa, packed, window, c);
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
                    targets.iter().for_each(|&target| dx[target..target + c].fill(E::default()));
                }
            }
        }
    });
}
