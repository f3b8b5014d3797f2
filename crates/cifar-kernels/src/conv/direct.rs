//! Convolution as a product of what each pixel's window sees and the weights; what it sees is read
//! where it lies, run by run.

use std::ops::Range;

use rayon::prelude::*;

use super::window::{Frame, Window};
use super::{Conv2d, Epilogue, weights};
use crate::buffer::{factors, with_scratch};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{
    self, Panels, PlaceTable, Rows, depth_of, pack_panels, panels_len, products_of_rows,
};
use crate::isa::Isa;

/// Most pixels that are multiplied at a time.
const MAX_PIXELS: usize = 192;

/// Tasks that a batch is cut into at least, so that a few images keep many threads busy.
const MIN_TASKS: usize = 16;

/// Channels in whole factors.
fn whole_factors<E: Element>(channels: usize) -> usize {
    channels.next_multiple_of(E::Factor::VALUES)
}

/// Factors of what a window sees.
fn depth<E: Element>(window: &Window) -> usize {
    depth_of::<E>(window.depth(whole_factors::<E>(window.channels.len())))
}

/// Factors of the packed weights.
pub(super) fn forward_packed_len<E: Element>(isa: Isa, conv: &Conv2d) -> usize {
    let columns = conv.of_one_group().out_channels;
    conv.groups * panels_len(isa, depth::<E>(&Window::forward(conv)), columns)
}

/// Packs the weights of each group as the matrix `(kh·kw·C, K)`, `C` in whole factors.
pub(super) fn pack_forward<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    weight: &[f32],
    packed: &mut [E::Factor],
) {
    let one = conv.of_one_group();
    let weights = weight.chunks_exact(one.weight_len());
    let groups = weights.zip(packed.chunks_exact_mut(packed.len() / conv.groups));
    groups.for_each(|(weight, packed)| pack_group_forward::<E>(isa, &one, weight, packed));
}

fn pack_group_forward<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    weight: &[f32],
    packed: &mut [E::Factor],
) {
    let (c, k, taps) = (conv.in_channels, conv.out_channels, conv.n_taps());
    let whole = whole_factors::<E>(c);
    with_scratch(weight.len() + k, |ordered: &mut [E]| {
        let (ordered, zeros) = ordered.split_at_mut(weight.len());
        zeros.fill(E::default());
        weights::output_channels_last(conv, weight, ordered);
        let (ordered, zeros) = (&*ordered, &*zeros);
        let row = |row: usize| match (row / whole, row % whole) {
            (tap, channel) if channel < c => &ordered[(channel * taps + tap) * k..][..k],
            _ => zeros,
        };
        pack_panels(isa, (taps * whole, k), row, packed);
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
    let (k, (rows, columns)) = (conv.out_channels, window.grid);
    let group_k = conv.of_one_group().out_channels;
    let n_images = x.len() / conv.in_len();
    let images = images_at_a_time(&window);
    // Bands of rows where there are few images.
    let bands = MIN_TASKS.div_ceil(n_images).min(rows);
    let band = if bands > 1 && images == 1 { rows.div_ceil(bands) } else { rows };
    let groups: Vec<_> = packed
        .chunks_exact(packed.len() / conv.groups)
        .enumerate()
        .map(|(group, packed)| {
            let (window, first) = (window.clone().of_group(group), group * group_k);
            let filters = panels::<E>(isa, packed, &window, group_k);
            let target = |row: usize, column: usize| (row * columns + column) * k + first;
            let pixels = Pixels::new::<E>(&window, band, target);
            (window, filters, first, pixels)
        })
        .collect();
    let tasks = y.par_chunks_mut(images * conv.out_len()).zip(x.par_chunks(images * conv.in_len()));
    tasks.for_each(|(y, x)| {
        let band_len = if band < rows { band * columns * k } else { y.len() };
        y.par_chunks_mut(band_len).enumerate().for_each(|(at, y)| {
            let grid_rows = at * band..rows.min((at + 1) * band);
            for (window, filters, first, pixels) in &groups {
                let bias = epilogue.bias.map(|bias| &bias[*first..][..filters.columns]);
                let (epilogue, out) = (Epilogue { bias, ..epilogue }, (&mut *y, conv.out_len()));
                multiply(isa, window, x, &grid_rows, pixels, *filters, epilogue, out);
            }
        });
    });
}

/// Images whose grids are multiplied together: several where one has few pixels.
fn images_at_a_time(window: &Window) -> usize {
    (MAX_PIXELS / window.grid_len().max(1)).max(1)
}

/// The weights of one window as the right matrix of a product.
fn panels<'a, E: Element>(
    isa: Isa,
    packed: &'a [E::Factor],
    window: &Window,
    columns: usize,
) -> Panels<'a, E::Factor> {
    let depth = depth::<E>(window);
    Panels { values: packed, stride: depth * gemm::panel_width(isa, columns), depth, columns }
}

/// Where what the window sees of each pixel begins in a frame of some rows of the grid, and where the
/// pixel's result begins; the same for as many rows anywhere, of every image.
struct Pixels {
    starts: PlaceTable,
    targets: PlaceTable,
}

impl Pixels {
    /// Those of `n_rows`. `target(row, column)`: where a pixel's result begins, `row` counted from the
    /// first.
    fn new<E: Element>(
        window: &Window,
        n_rows: usize,
        target: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let frame = frame::<E>(window, &(0..n_rows));
        let starts = (0..n_rows).flat_map(|row| window.starts(&frame, row));
        let targets =
            (0..n_rows).flat_map(|row| (0..window.grid.1).map(move |column| (row, column)));
        Self {
            starts: starts.map(|start| start / E::Factor::VALUES).collect(),
            targets: targets.map(|(row, column)| target(row, column)).collect(),
        }
    }
}

fn frame<E: Element>(window: &Window, grid_rows: &Range<usize>) -> Frame {
    window.frame(grid_rows, whole_factors::<E>(window.channels.len()))
}

/// What the window sees from some rows of the grid of whole `images`, times `filters`; `pixels` are
/// those of as many rows or more. The results of one image begin `out_len` after those of the one before.
#[expect(clippy::too_many_arguments, reason = "two matrices, a result and where each begins")]
fn multiply<E: Element>(
    isa: Isa,
    window: &Window,
    images: &[E],
    grid_rows: &Range<usize>,
    pixels: &Pixels,
    filters: Panels<'_, E::Factor>,
    epilogue: Epilogue<'_>,
    (out, out_len): (&mut [E], usize),
) {
    let n_values = E::Factor::VALUES;
    let (height, width, channels) = window.image;
    let n_images = images.len() / (height * width * channels);
    let frame = frame::<E>(window, grid_rows);
    window.with_frames(images, &frame, |frames, image_stride| {
        let (a, (n_runs, run_stride, run_len)) = (factors(frames), window.runs(&frame));
        let runs = (n_runs, run_stride / n_values, run_len / n_values);
        let n_pixels = grid_rows.len() * window.grid.1;
        // Those of several images at once where each has few.
        let mut room = ([0; MAX_PIXELS], [0; MAX_PIXELS]);
        let (distance, pixels) = (image_stride / n_values, (&pixels.starts, &pixels.targets));
        let starts = pixels.0.first(n_pixels).repeated(n_images, distance, &mut room.0);
        let targets = pixels.1.first(n_pixels).repeated(n_images, out_len, &mut room.1);
        for first in (0..starts.len()).step_by(MAX_PIXELS) {
            let part = first..starts.len().min(first + MAX_PIXELS);
            let (starts, targets) = (starts.part(part.clone()), targets.part(part));
            products_of_rows(isa, Rows { a, starts, runs, targets }, filters, epilogue, out);
        }
    });
}

/// The convolution whose input gradient it has: where the window is the whole image, that of one
/// pixel with as many channels as the image has values.
fn of_input_gradient(conv: &Conv2d) -> Conv2d {
    let whole = (conv.kernel_height, conv.kernel_width) == (conv.height, conv.width);
    if !whole || conv.padding > 0 || conv.groups > 1 {
        return *conv;
    }
    Conv2d {
        in_channels: conv.in_len(),
        height: 1,
        width: 1,
        kernel_height: 1,
        kernel_width: 1,
        ..*conv
    }
}

/// The stride's phases, each a convolution of its own, and the length of one group's packed
/// weights.
fn phases<E: Element>(
    isa: Isa,
    conv: &Conv2d,
) -> impl Iterator<Item = ((usize, usize), Window, usize)> + use<E> {
    let (conv, s) = (*conv, conv.stride);
    (0..s * s).map(move |phase| {
        let phase = (phase / s, phase % s);
        let window = Window::input_gradient(&conv, phase);
        let len = panels_len(isa, depth::<E>(&window), conv.of_one_group().in_channels);
        (phase, window, len)
    })
}

/// Factors of the packed weights.
pub(super) fn input_gradient_packed_len<E: Element>(isa: Isa, conv: &Conv2d) -> usize {
    let of_group: usize = phases::<E>(isa, &of_input_gradient(conv)).map(|(_, _, len)| len).sum();
    conv.groups * of_group
}

/// Packs the weights of each group as one matrix `(taps·K, C)` per phase of the stride, `K` in
/// whole factors.
pub(super) fn pack_input_gradient<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    weight: &[f32],
    packed: &mut [E::Factor],
) {
    let convs = (conv.of_one_group(), of_input_gradient(conv).of_one_group());
    let weights = weight.chunks_exact(convs.0.weight_len());
    let groups = weights.zip(packed.chunks_exact_mut(packed.len() / conv.groups));
    groups.for_each(|(weight, packed)| pack_group_input_gradient::<E>(isa, convs, weight, packed));
}

/// Of the weights of `conv` those of `flat`, which has the same input gradient.
fn pack_group_input_gradient<E: Element>(
    isa: Isa,
    (conv, flat): (Conv2d, Conv2d),
    weight: &[f32],
    packed: &mut [E::Factor],
) {
    let (c, k, n_taps) = (flat.in_channels, flat.out_channels, flat.n_taps());
    let whole = whole_factors::<E>(k);
    with_scratch(weight.len() + c, |ordered: &mut [E]| {
        let (ordered, zeros) = ordered.split_at_mut(weight.len());
        zeros.fill(E::default());
        weights::input_channels_last(&conv, weight, ordered);
        let (ordered, zeros) = (&*ordered, &*zeros);
        let mut rest = packed;
        for (_, window, len) in phases::<E>(isa, &flat) {
            let (packed, after) = rest.split_at_mut(len);
            let taps = window.taps(flat.kernel_width);
            let row = |row: usize| match (taps[row / whole], row % whole) {
                (tap, filter) if filter < k => &ordered[(filter * n_taps + tap) * c..][..c],
                _ => zeros,
            };
            pack_panels(isa, (taps.len() * whole, c), row, packed);
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
    let conv = of_input_gradient(conv);
    let (c, s, in_len) = (conv.in_channels, conv.stride, conv.in_len());
    let group_c = conv.of_one_group().in_channels;
    let of_groups = (0..conv.groups).flat_map(|group| {
        let phases = phases::<E>(isa, &conv);
        phases.map(move |(phase, window, len)| (group, phase, window.of_group(group), len))
    });
    let parts: Vec<_> = of_groups
        .scan(0, |start, (group, phase, window, len)| {
            *start += len;
            let ((y0, x0), first) = (phase, group * group_c);
            let target = |row: usize, column: usize| {
                ((y0 + row * s) * conv.width + x0 + column * s) * c + first
            };
            let pixels = match window.depth(1) {
                // No window ever met these pixels.
                0 => None,
                _ => Some(Pixels::new::<E>(&window, window.grid.0, target)),
            };
            Some((first, phase, window, &packed[*start - len..*start], pixels))
        })
        .collect();
    let images = images_at_a_time(&parts[0].2);
    let tasks = dx.par_chunks_mut(images * in_len).zip(dy.par_chunks(images * conv.out_len()));
    tasks.for_each(|(dx, dy)| {
        for (first, (y0, x0), window, packed, pixels) in &parts {
            let (rows, columns) = window.grid;
            if let Some(pixels) = pixels {
                let (filters, out) =
                    (panels::<E>(isa, packed, window, group_c), (&mut *dx, in_len));
                multiply(isa, window, dy, &(0..rows), pixels, filters, epilogue, out);
            } else if !epilogue.accumulate {
                for image in 0..dx.len() / in_len {
                    for (row, column) in (0..rows * columns).map(|i| (i / columns, i % columns)) {
                        let at = ((y0 + row * s) * conv.width + x0 + column * s) * c + first;
                        dx[image * in_len + at..][..group_c].fill(E::default());
                    }
                }
            }
        }
    });
}
