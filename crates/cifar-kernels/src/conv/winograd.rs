//! F(4×4, 3×3): 36 products for 16 results (Lavin and Gray 2015, arXiv:1509.09308).
//!
//! A tile of 4×4 results comes from 6×6 pixels. Both the pixels and the filters are transformed
//! to 36 *frequencies*, where the convolution is one product of matrices per frequency, `(tiles,
//! C) × (C, K)`; the products are transformed back. The gradient of the input is the same with
//! the filters turned around; that of the weights multiplies `(C, tiles) × (tiles, K)`.

use std::ops::Range;

use rayon::prelude::*;

use super::{Conv2d, Epilogue, Pass, weights};
use crate::buffer::with_scratch;
use crate::gemm::{
    self, Panels, Rows, panel_width, panels_len, products_of_columns, products_of_rows, sums_at,
    sums_len,
};
use crate::isa::Isa;

mod transform;

use transform::{Grid, N_FREQUENCIES};

/// How the tiles of a convolution are worked on.
#[derive(Debug, Clone, Copy)]
struct Plan {
    grid: Grid,
    /// Images of one task.
    images: usize,
    /// Tiles transformed and multiplied at a time.
    tiles: usize,
}

impl Plan {
    /// `most`: values that all frequencies of one group's pixels may take.
    fn new(conv: &Conv2d, most: usize) -> Self {
        let grid = Grid::of(conv);
        let channels = conv.in_channels.max(conv.out_channels);
        let fits = (most / N_FREQUENCIES / channels).clamp(gemm::ROW_STEP, 8 * gemm::ROW_STEP);
        let images = (fits / grid.n_tiles()).max(1);
        let n_tiles = images * grid.n_tiles();
        // As even as they come, in whole steps.
        let even = n_tiles.div_ceil(n_tiles.div_ceil(fits));
        Self { grid, images, tiles: even.next_multiple_of(gemm::ROW_STEP).min(n_tiles) }
    }
}

/// Values of one group's frequencies in the forward pass: about the second-level cache.
const FORWARD_VALUES: usize = 64 * 1024;

/// Values of one group's frequencies in the weights' gradient: the larger, the rarer the sums
/// travel through memory.
const GRADIENT_VALUES: usize = 256 * 1024;

/// Rows and columns of the matrix of a frequency.
fn matrix(conv: &Conv2d, pass: Pass) -> (usize, usize) {
    match pass {
        Pass::Forward => (conv.in_channels, conv.out_channels),
        Pass::InputGradient => (conv.out_channels, conv.in_channels),
    }
}

pub(super) fn packed_len(isa: Isa, conv: &Conv2d) -> usize {
    let (rows, columns) = matrix(conv, Pass::Forward);
    let (back_rows, back_columns) = matrix(conv, Pass::InputGradient);
    let len = panels_len(isa, rows, columns).max(panels_len(isa, back_rows, back_columns));
    N_FREQUENCIES * len
}

/// Packs the filters' frequencies: panel after panel, in a panel frequency after frequency.
pub(super) fn pack(isa: Isa, conv: &Conv2d, pass: Pass, weight: &[f32], packed: &mut [f32]) {
    let (rows, columns) = matrix(conv, pass);
    let width = panel_width(isa);
    // A panel's width may reach beyond the last row; what comes of it is never looked at.
    with_scratch(weight.len() + width, |ordered| {
        // Nine rows of `columns` values for each row of the matrix; turned around for the way back.
        let turn = |tap: usize| if pass == Pass::Forward { tap } else { 8 - tap };
        let weights = &mut ordered[..weight.len()];
        match pass {
            Pass::Forward => weights::output_channels_last(conv, weight, weights),
            Pass::InputGradient => weights::input_channels_last(conv, weight, weights),
        }
        let panel_len = N_FREQUENCIES * rows * width;
        let n_panels = columns.div_ceil(width);
        let panels = packed[..n_panels * panel_len].par_chunks_exact_mut(panel_len);
        panels.enumerate().for_each(|(block, panel)| {
            for r in 0..rows {
                let taps = std::array::from_fn(|tap| (r * 9 + turn(tap)) * columns + block * width);
                transform::filter(isa, ordered, taps, &mut panel[r * width..], rows * width);
            }
        });
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
    let plan = Plan::new(conv, FORWARD_VALUES);
    let (c, k) = (conv.in_channels, conv.out_channels);
    let images = y.par_chunks_mut(plan.images * conv.out_len());
    images.zip(x.par_chunks(plan.images * conv.in_len())).for_each(|(y, x)| {
        let n_tiles = y.len() / conv.out_len() * plan.grid.n_tiles();
        let (pixels, products) = (Frequencies::new(plan.tiles, c), Frequencies::new(plan.tiles, k));
        let targets: Vec<usize> = (0..plan.tiles).map(|tile| tile * k).collect();
        with_scratch(pixels.len() + products.len(), |scratch| {
            let (v, m) = scratch.split_at_mut(pixels.len());
            for first in (0..n_tiles).step_by(plan.tiles) {
                let tiles = first..(first + plan.tiles).min(n_tiles);
                let rows = targets.get(..tiles.len()).unwrap_or_default();
                transform::input(isa, &plan.grid, x, tiles.clone(), v, pixels.stride);
                for f in 0..N_FREQUENCIES {
                    let rows = Rows { a: &v[f * pixels.stride..], stride: c, targets: rows };
                    let filters = Panels {
                        values: &packed[f * c * panel_width(isa)..],
                        stride: N_FREQUENCIES * c * panel_width(isa),
                        depth: c,
                        columns: k,
                    };
                    let m = &mut m[f * products.stride..];
                    products_of_rows(isa, rows, filters, Epilogue::default(), m);
                }
                transform::output(isa, &plan.grid, m, products.stride, tiles, epilogue, y);
            }
        });
    });
}

/// The frequencies of a group of tiles: for each the tiles, for each tile its channels.
struct Frequencies {
    stride: usize,
}

impl Frequencies {
    fn new(tiles: usize, channels: usize) -> Self {
        Self { stride: super::row_stride(tiles * channels) }
    }

    fn len(&self) -> usize {
        N_FREQUENCIES * self.stride
    }
}

/// The sums over `images`, as tiles of `(9·C, K)`.
pub(super) fn weight_gradient(
    isa: Isa,
    conv: &Conv2d,
    x: &[f32],
    dy: &[f32],
    images: Range<usize>,
    sums: &mut [f32],
) {
    let plan = Plan::new(conv, GRADIENT_VALUES);
    let (c, k) = (conv.in_channels, conv.out_channels);
    let x = &x[images.start * conv.in_len()..images.end * conv.in_len()];
    let dy = &dy[images.start * conv.out_len()..images.end * conv.out_len()];
    let n_tiles = images.len() * plan.grid.n_tiles();
    let tiles_at_a_time = plan.tiles.min(n_tiles);
    // Room for the tile of sums that reads beyond the last channel.
    let pixels = Frequencies::new(tiles_at_a_time + 1, c);
    let results = Frequencies::new(1, panels_len(isa, tiles_at_a_time, k));
    let frequency = sums_len(isa, c, k);
    let len = pixels.len() + results.len() + N_FREQUENCIES * frequency;
    with_scratch(len, |scratch| {
        let (v, scratch) = scratch.split_at_mut(pixels.len());
        let (m, products) = scratch.split_at_mut(results.len());
        if n_tiles == 0 {
            products.fill(0.0);
        }
        for first in (0..n_tiles).step_by(tiles_at_a_time.max(1)) {
            let tiles = first..(first + tiles_at_a_time).min(n_tiles);
            let n = tiles.len();
            transform::input(isa, &plan.grid, x, tiles.clone(), v, pixels.stride);
            transform::output_gradient(isa, &plan.grid, dy, tiles, m, results.stride);
            for (f, products) in products.chunks_exact_mut(frequency).enumerate() {
                let m = &m[f * results.stride..][..panels_len(isa, n, k)];
                let v = (&v[f * pixels.stride..], c, c);
                products_of_columns(isa, v, m, k, n, first > 0, products);
            }
        }
        let width = panel_width(isa);
        for channel in 0..c {
            for column in (0..k).step_by(width) {
                let from = sums_at(isa, channel, column, k);
                let to: [usize; 9] =
                    std::array::from_fn(|tap| sums_at(isa, tap * c + channel, column, k));
                transform::filter_gradient(isa, &products[from..], frequency, sums, to);
            }
        }
    });
}
