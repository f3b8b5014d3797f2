//! Winograd's minimal filtering (Lavin and Gray 2015, arXiv:1509.09308): F(4×4, 3×3), 36 products
//! for 16 results, and F(2×2, 3×3), 16 for 4, which bf16 is exact enough for.
//!
//! A tile of results comes from a tile of pixels that is two rows and columns larger. Both the
//! pixels and the filters are transformed to *frequencies*, as many as pixels, where the
//! convolution is one product of matrices per frequency, `(tiles, C) × (C, K)`; the products are
//! transformed back. The gradient of the input is the same with the filters turned around; that of
//! the weights multiplies `(C, tiles) × (tiles, K)`.

use rayon::prelude::*;

use super::{Conv2d, Epilogue, Pass};
use crate::buffer::{factors, with_scratch};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{
    self, Ahead, Columns, Order, Panels, Places, Right, Rows, Runs, depth_of, panel_width,
    panels_len, products_of_columns, products_of_rows, sums_at, sums_len,
};
use crate::isa::Isa;
use crate::layout::{channels_last, transpose};

mod transform;

use transform::{Along, Frequencies, FrequencyGradients, Grid, Pixels, ResultGradients, Taps};

/// Calls a function with the numbers of pixels and results along a tile that suit `$element`.
macro_rules! by_tile {
    ($element:ident, $f:ident($($arg:expr),* $(,)?)) => {
        match $element::Factor::VALUES {
            1 => $f::<$element, 6, 4>($($arg),*),
            _ => $f::<$element, 4, 2>($($arg),*),
        }
    };
}

/// Whether a pass over `conv` is faster this way than directly, where that multiplies at least `least`
/// times as often. Measured with AVX-512 at the shapes of small networks; `docs/benchmarks.md` has
/// the table.
pub(super) fn pays<E: Element>(conv: &Conv2d, least: f64) -> bool {
    by_tile!(E, pays_in_tiles(conv, least))
}

fn pays_in_tiles<E: Element, const TILE: usize, const OUT: usize>(
    conv: &Conv2d,
    least: f64,
) -> bool {
    let products = Grid::of(conv, OUT).n_tiles() * TILE * TILE;
    let results = (0..conv.n_taps()).map(|tap| conv.results_of_tap(tap));
    let directly: usize = results.map(|(rows, columns)| rows.len() * columns.len()).sum();
    // Pairs halve the products of the direct algorithm and leave the transforms as they are.
    conv.winograd_applies()
        && conv.in_channels.min(conv.out_channels) > FEW_CHANNELS * (E::Factor::VALUES - 1)
        && directly as f64 >= least * products as f64
}

/// Channels, on either side, up to which the transforms cost more than they save where values are pairs.
const FEW_CHANNELS: usize = 24;

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
    /// `most`: values that all frequencies of one group's pixels may take, unless these are fewer than
    /// `least` tiles.
    fn new(conv: &Conv2d, (tile, out): (usize, usize), most: usize, least: usize) -> Self {
        let grid = Grid::of(conv, out);
        let channels = conv.in_channels.max(conv.out_channels);
        let fits = most / (tile * tile) / channels;
        let fits = fits.max(least).clamp(gemm::ROW_STEP, MAX_TILES);
        let images = (fits / grid.n_tiles()).max(1);
        let n_tiles = images * grid.n_tiles();
        // As even as they come, in whole steps.
        let even = n_tiles.div_ceil(n_tiles.div_ceil(fits));
        Self { grid, images, tiles: even.next_multiple_of(gemm::ROW_STEP).min(n_tiles) }
    }
}

/// Most tiles of a group.
const MAX_TILES: usize = 8 * gemm::ROW_STEP;

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

/// Factors of the packed filters.
pub(super) fn packed_len<E: Element>(isa: Isa, conv: &Conv2d) -> usize {
    by_tile!(E, packed_tiles_len(isa, conv))
}

fn packed_tiles_len<E: Element, const TILE: usize, const OUT: usize>(
    isa: Isa,
    conv: &Conv2d,
) -> usize {
    let len = |pass| {
        let (rows, columns) = matrix(conv, pass);
        panels_len(isa, depth_of::<E>(rows), columns)
    };
    TILE * TILE * len(Pass::Forward).max(len(Pass::InputGradient))
}

/// Packs the filters' frequencies: panel after panel, in a panel frequency after frequency.
pub(super) fn pack<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    pass: Pass,
    weight: &[f32],
    packed: &mut [E::Factor],
) {
    by_tile!(E, pack_tiles(isa, conv, pass, weight, packed));
}

fn pack_tiles<E: Element, const TILE: usize, const OUT: usize>(
    isa: Isa,
    conv: &Conv2d,
    pass: Pass,
    weight: &[f32],
    packed: &mut [E::Factor],
) where
    Taps: Along<3, TILE>,
{
    let (rows, columns) = matrix(conv, pass);
    let (width, depth) = (panel_width(isa, columns), depth_of::<E>(rows));
    // A panel's width may reach beyond the last row; what comes of it is never looked at.
    with_scratch(weight.len() + width, |ordered: &mut [f32]| {
        // Nine rows of `columns` values for each row of the matrix; turned around for the way back.
        let turn = |tap: usize| if pass == Pass::Forward { tap } else { 8 - tap };
        let weights = &mut ordered[..weight.len()];
        match pass {
            Pass::Forward => transpose(weight, (columns, 9 * rows), weights),
            Pass::InputGradient => channels_last(weight, columns, 9, weights),
        }
        let panel_len = TILE * TILE * depth * width;
        let n_panels = columns.div_ceil(width);
        let panels = packed[..n_panels * panel_len].par_chunks_exact_mut(panel_len);
        panels.enumerate().for_each(|(block, panel)| {
            for d in 0..depth {
                let taps = [0, 1].map(|value| {
                    let r = d * E::Factor::VALUES + value;
                    let tap = |tap| (r * 9 + turn(tap)) * columns + block * width;
                    std::array::from_fn(tap)
                });
                let out = &mut panel[d * width..];
                transform::filter::<E::Factor, TILE>(isa, ordered, taps, out, depth * width, width);
            }
        });
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
    by_tile!(E, forward_tiles(isa, conv, packed, x, epilogue, y));
}

fn forward_tiles<E: Element, const TILE: usize, const OUT: usize>(
    isa: Isa,
    conv: &Conv2d,
    packed: &[E::Factor],
    x: &[E],
    epilogue: Epilogue<'_>,
    y: &mut [E],
) where
    Pixels: Along<TILE, TILE>,
    Frequencies: Along<TILE, OUT>,
{
    let plan = Plan::new(conv, (TILE, OUT), FORWARD_VALUES, 0);
    let (c, k) = (conv.in_channels, conv.out_channels);
    let (depth, width) = (depth_of::<E>(c), panel_width(isa, k));
    // A row of products has whole panels, so that every tile of them is stored as it is.
    let row = k.next_multiple_of(width);
    let (v_stride, m_stride) =
        (super::row_stride(plan.tiles * c), super::row_stride(plan.tiles * row));
    let images = y.par_chunks_mut(plan.images * conv.out_len());
    images.zip(x.par_chunks(plan.images * conv.in_len())).for_each(|(y, x)| {
        let n_tiles = y.len() / conv.out_len() * plan.grid.n_tiles();
        let starts: [usize; MAX_TILES] = std::array::from_fn(|tile| tile * depth);
        let targets: [usize; MAX_TILES] = std::array::from_fn(|tile| tile * row);
        with_scratch(TILE * TILE * v_stride, |v: &mut [E]| {
            with_scratch(TILE * TILE * m_stride, |m: &mut [f32]| {
                for first in (0..n_tiles).step_by(plan.tiles) {
                    let tiles = first..(first + plan.tiles).min(n_tiles);
                    let [starts, targets] =
                        [&starts, &targets].map(|at| Places::new(&at[..tiles.len()]));
                    transform::input::<E, TILE>(isa, &plan.grid, x, tiles.clone(), v, v_stride);
                    for f in 0..TILE * TILE {
                        let a = factors(&v[f * v_stride..]);
                        let filters = Panels {
                            values: &packed[f * depth * width..],
                            stride: TILE * TILE * depth * width,
                            depth,
                            columns: row,
                            order: Order::Rows,
                        };
                        let rows =
                            [Rows { starts, runs: Runs::whole(depth), targets, fetch: false }];
                        let m = &mut m[f * m_stride..];
                        products_of_rows(isa, (a, &rows), filters, Epilogue::default(), (m, 0));
                    }
                    transform::output::<E, TILE, OUT>(
                        isa,
                        &plan.grid,
                        m,
                        (row, m_stride),
                        tiles,
                        epilogue,
                        y,
                    );
                }
            });
        });
    });
}

/// The sums over all images, as tiles of `(9·C, K)`.
pub(super) fn weight_gradient<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    x: &[E],
    dy: &[E],
    sums: &mut [f32],
) {
    by_tile!(E, weight_gradient_tiles(isa, conv, x, dy, sums));
}

fn weight_gradient_tiles<E: Element, const TILE: usize, const OUT: usize>(
    isa: Isa,
    conv: &Conv2d,
    x: &[E],
    dy: &[E],
    sums: &mut [f32],
) where
    Pixels: Along<TILE, TILE>,
    ResultGradients: Along<OUT, TILE>,
    FrequencyGradients: Along<TILE, 3>,
{
    let (c, k) = (conv.in_channels, conv.out_channels);
    // With fewer the sums, `C·K`, would move more memory than the tiles, `C + K` each.
    let plan = Plan::new(conv, (TILE, OUT), GRADIENT_VALUES, c * k / (c + k) / 2);
    let n_tiles = x.len() / conv.in_len() * plan.grid.n_tiles();
    let tiles_at_a_time = plan.tiles.min(n_tiles);
    let most = depth_of::<E>(tiles_at_a_time);
    // Tiles a power of two of bytes apart would share a few sets of the nearest cache.
    let pitch = super::row_stride(c);
    let v_stride = super::row_stride(most * pitch);
    let starts: [usize; MAX_TILES] = std::array::from_fn(|tile| tile * pitch);
    let channels: Vec<usize> = (0..c).collect();
    let offsets = Places::new(&channels);
    let m_stride = super::row_stride(panels_len(isa, most, k));
    let frequency = sums_len(isa, c, k);
    with_scratch(TILE * TILE * (v_stride + m_stride), |scratch: &mut [E::Factor]| {
        with_scratch(TILE * TILE * frequency, |products: &mut [f32]| {
            let (v, m) = scratch.split_at_mut(TILE * TILE * v_stride);
            if n_tiles == 0 {
                products.fill(0.0);
            }
            for first in (0..n_tiles).step_by(tiles_at_a_time.max(1)) {
                let tiles = first..(first + tiles_at_a_time).min(n_tiles);
                let depth = depth_of::<E>(tiles.len());
                let grid = &plan.grid;
                let strides = (v_stride, pitch);
                transform::input_factors::<E, TILE>(isa, grid, x, tiles.clone(), v, strides);
                transform::output_gradient::<E, TILE, OUT>(isa, grid, dy, tiles, m, m_stride);
                let starts = Places::new(&starts[..depth]);
                for (f, products) in products.chunks_exact_mut(frequency).enumerate() {
                    let m = Right::Panels(&m[f * m_stride..][..panels_len(isa, depth, k)]);
                    let v = Columns {
                        a: &v[f * v_stride..],
                        starts,
                        offsets,
                        spans: None,
                        ahead: Ahead::default(),
                    };
                    products_of_columns(isa, v, m, k, first > 0, products);
                }
            }
            let width = panel_width(isa, k);
            for channel in 0..c {
                for column in (0..k).step_by(width) {
                    let from = sums_at(isa, channel, column, k);
                    let to: [usize; 9] =
                        std::array::from_fn(|tap| sums_at(isa, tap * c + channel, column, k));
                    let from = &products[from..];
                    transform::filter_gradient::<TILE>(isa, from, frequency, sums, to, width);
                }
            }
        });
    });
}
