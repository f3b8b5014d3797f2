//! Convolution as a product of what each pixel's window sees and the weights; what it sees is read
//! where it lies, run by run. Zeros around the image are not multiplied: pixels at an edge have fewer
//! runs, and those of several images are multiplied together.

use std::ops::Range;

use rayon::prelude::*;

use super::window::Window;
use super::{Conv2d, Epilogue};
use crate::buffer::with_scratch;
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{
    self, Panels, PlaceTable, Rows, Runs, depth_of, pack_panels, panels_len, products_of_rows,
};
use crate::isa::Isa;
use crate::layout::{channels_last, transpose};

/// Most pixels that each panel of the weights is multiplied with before the next one is.
const PASS_PIXELS: usize = 8 * gemm::ROW_STEP;

/// Pixels of a task, unless one image has more: those of several images' edges fill whole tiles.
const TASK_PIXELS: usize = 1024;

/// Tasks that a batch is cut into at least, so that a few images keep many threads busy.
const MIN_TASKS: usize = 16;

/// Factors of what a window sees.
fn depth<E: Element>(window: &Window) -> usize {
    depth_of::<E>(window.depth::<E>())
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
    let whole = Window::forward(conv).pixel_len::<E>();
    with_scratch(weight.len() + k, |ordered: &mut [E]| {
        let (ordered, zeros) = ordered.split_at_mut(weight.len());
        zeros.fill(E::default());
        transpose(weight, (k, c * taps), ordered);
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
    let (k, group_k) = (conv.out_channels, conv.of_one_group().out_channels);
    let n_images = x.len() / conv.in_len();
    let (rows, columns) = (conv.out_height(), conv.out_width());
    let images = images_of_task(rows * columns, n_images);
    // Bands of rows where there are few images.
    let bands = if images == 1 { MIN_TASKS.div_ceil(n_images).min(rows) } else { 1 };
    let band = rows.div_ceil(bands);
    let parts: Vec<_> = packed
        .chunks_exact(packed.len() / conv.groups)
        .enumerate()
        .map(|(group, packed)| {
            let (window, first) = (Window::forward(conv).of_group(group), group * group_k);
            let filters = panels::<E>(isa, packed, &window, group_k);
            let bias = epilogue.bias.map(|bias| &bias[first..][..group_k]);
            let bands = (0..rows).step_by(band).map(|start| {
                let band = start..rows.min(start + band);
                let target =
                    |row: usize, column: usize| ((row - start) * columns + column) * k + first;
                Pixels::new::<E>(&window, band, images, conv.out_len(), target)
            });
            let bands: Vec<_> = bands.collect();
            (window, filters, Epilogue { bias, ..epilogue }, bands)
        })
        .collect();
    let tasks = y.par_chunks_mut(images * conv.out_len()).zip(x.par_chunks(images * conv.in_len()));
    tasks.for_each(|(y, x)| {
        let n_images = x.len() / conv.in_len();
        y.par_chunks_mut(n_images * band * columns * k).enumerate().for_each(|(band, y)| {
            for (window, filters, epilogue, bands) in &parts {
                bands[band].multiply(isa, window, x, *filters, *epilogue, y);
            }
        });
    });
}

/// Images whose grids are multiplied together.
fn images_of_task(grid_len: usize, n_images: usize) -> usize {
    let fit = |pixels: usize| (pixels / grid_len.max(1)).max(1);
    n_images.div_ceil(MIN_TASKS).clamp(fit(PASS_PIXELS), fit(TASK_PIXELS))
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

/// The pixels of some rows of the grid of several images, in the order that they are multiplied in.
struct Pixels {
    /// Those of the same runs: where what the window sees begins, and where the result does.
    regions: Vec<(Runs, PlaceTable, PlaceTable)>,
    /// Images that they are of.
    images: usize,
}

impl Pixels {
    /// Those of `grid_rows`. `target(row, column)`: where the result of a pixel of the first image begins;
    /// those of the next image begin `out_len` behind.
    fn new<E: Element>(
        window: &Window,
        grid_rows: Range<usize>,
        images: usize,
        out_len: usize,
        target: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let columns = window.columns.stretches(0..window.columns.grid);
        let rows = window.rows.stretches(grid_rows);
        let pairs = rows.iter().flat_map(|rows| columns.iter().map(move |columns| (rows, columns)));
        let regions = pairs.map(|(rows, columns)| {
            let places = || {
                let of_image = move |image| {
                    let row =
                        move |row| columns.pixels.clone().map(move |column| (image, row, column));
                    rows.pixels.clone().flat_map(row)
                };
                (0..images).flat_map(of_image)
            };
            let start =
                |(image, row, column)| window.start::<E>(image, (rows, row), (columns, column));
            let target = |(image, row, column)| image * out_len + target(row, column);
            let starts: PlaceTable = places().map(start).collect();
            (window.runs::<E>(rows, columns), starts, places().map(target).collect())
        });
        Self { regions: regions.collect(), images }
    }

    /// What the window sees of `images`, as many or fewer, times `filters`.
    fn multiply<E: Element>(
        &self,
        isa: Isa,
        window: &Window,
        images: &[E],
        filters: Panels<'_, E::Factor>,
        epilogue: Epilogue<'_>,
        out: &mut [E],
    ) {
        let n_images = images.len() / window.image_len();
        window.with_pixels(images, |a| {
            let (mut pass, mut room) = (Vec::new(), PASS_PIXELS);
            for (runs, starts, targets) in &self.regions {
                let n = starts.len() / self.images * n_images;
                let (starts, targets) = (starts.first(n), targets.first(n));
                let mut at = 0;
                while at < n {
                    // In whole tiles, unless these are the last.
                    let whole = room / gemm::ROW_STEP * gemm::ROW_STEP;
                    let part = at..if n - at <= room { n } else { at + whole };
                    (at, room) = (part.end, room - part.len());
                    let (starts, targets) = (starts.part(part.clone()), targets.part(part));
                    pass.push(Rows { starts, runs: *runs, targets });
                    if at < n {
                        products_of_rows(isa, (a, &pass), filters, epilogue, out);
                        pass.clear();
                        room = PASS_PIXELS;
                    }
                }
            }
            products_of_rows(isa, (a, &pass), filters, epilogue, out);
        });
    }
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
    let whole = k.next_multiple_of(E::Factor::VALUES);
    with_scratch(weight.len() + c, |ordered: &mut [E]| {
        let (ordered, zeros) = ordered.split_at_mut(weight.len());
        zeros.fill(E::default());
        channels_last(weight, conv.in_channels, conv.n_taps(), ordered);
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
    let n_images = dx.len() / in_len;
    let grid = conv.height.div_ceil(s) * conv.width.div_ceil(s);
    let images = images_of_task(grid, n_images);
    let of_groups = (0..conv.groups).flat_map(|group| {
        let phases = phases::<E>(isa, &conv);
        phases.map(move |(phase, window, len)| (group, phase, window.of_group(group), len))
    });
    let parts: Vec<_> = of_groups
        .scan(0, |start, (group, (y0, x0), window, len)| {
            *start += len;
            let first = group * group_c;
            let target = |row: usize, column: usize| {
                ((y0 + row * s) * conv.width + x0 + column * s) * c + first
            };
            let pixels = Pixels::new::<E>(&window, 0..window.rows.grid, images, in_len, target);
            Some((window, &packed[*start - len..*start], pixels))
        })
        .collect();
    let tasks = dx.par_chunks_mut(images * in_len).zip(dy.par_chunks(images * conv.out_len()));
    tasks.for_each(|(dx, dy)| {
        for (window, packed, pixels) in &parts {
            let filters = panels::<E>(isa, packed, window, group_c);
            pixels.multiply(isa, window, dy, filters, epilogue, dx);
        }
    });
}
