//! The transforms of F(4×4, 3×3), a vector of channels at a time.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]

use std::ops::Range;

use crate::conv::{Conv2d, Epilogue};
use crate::gemm::panel_width;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// Rows and columns of the results of a tile.
pub(super) const OUT_TILE: usize = 4;

/// Rows and columns of the pixels of a tile, and frequencies along an axis.
const TILE: usize = 6;

/// Frequencies of a tile.
pub(super) const N_FREQUENCIES: usize = TILE * TILE;

/// The tiles of the images of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    conv: Conv2d,
    rows: usize,
    columns: usize,
}

/// Where a tile lies: its image, and the first row and column of its results.
struct Place {
    image: usize,
    row: usize,
    column: usize,
}

impl Grid {
    pub(super) fn of(conv: &Conv2d) -> Self {
        let (rows, columns) = (conv.out_height(), conv.out_width());
        Self { conv: *conv, rows: rows.div_ceil(OUT_TILE), columns: columns.div_ceil(OUT_TILE) }
    }

    /// Tiles of one image.
    pub(super) fn n_tiles(&self) -> usize {
        self.rows * self.columns
    }

    #[inline(always)]
    fn place(&self, tile: usize) -> Place {
        let (image, at) = (tile / self.n_tiles(), tile % self.n_tiles());
        let (row, column) = (at / self.columns * OUT_TILE, at % self.columns * OUT_TILE);
        Place { image, row, column }
    }
}

/// What is done along one axis, `FROM` vectors to `TO`. A type and not a closure: a closure is
/// not inlined for certain, and then compiled without the instructions.
trait Along<const FROM: usize, const TO: usize> {
    fn axis<S: Simd>(s: S, from: [S::V; FROM]) -> [S::V; TO];
}

/// `Bᵀ d`: pixels to frequencies.
struct Pixels;

impl Along<TILE, TILE> for Pixels {
    #[inline(always)]
    fn axis<S: Simd>(s: S, d: [S::V; TILE]) -> [S::V; TILE] {
        let [d0, d1, d2, d3, d4, d5] = d;
        let (two, four, five) = (s.splat(2.0), s.splat(4.0), s.splat(-5.0));
        let minus_four = s.splat(-4.0);
        let even = s.mul_add(minus_four, d2, d4);
        let odd = s.mul_add(minus_four, d1, d3);
        let (outer, inner) = (s.sub(d4, d2), s.mul(two, s.sub(d3, d1)));
        [
            s.mul_add(four, d0, s.mul_add(five, d2, d4)),
            s.add(even, odd),
            s.sub(even, odd),
            s.add(outer, inner),
            s.sub(outer, inner),
            s.mul_add(four, d1, s.mul_add(five, d3, d5)),
        ]
    }
}

/// `Aᵀ m`: frequencies to results.
struct Frequencies;

impl Along<TILE, OUT_TILE> for Frequencies {
    #[inline(always)]
    fn axis<S: Simd>(s: S, m: [S::V; TILE]) -> [S::V; OUT_TILE] {
        let [m0, m1, m2, m3, m4, m5] = m;
        let (sum, difference) = (s.add(m1, m2), s.sub(m1, m2));
        let (sum2, difference2) = (s.add(m3, m4), s.sub(m3, m4));
        [
            s.add(s.add(m0, sum), sum2),
            s.mul_add(s.splat(2.0), difference2, difference),
            s.mul_add(s.splat(4.0), sum2, sum),
            s.add(s.mul_add(s.splat(8.0), difference2, difference), m5),
        ]
    }
}

/// `A y`: the gradient of results to that of frequencies, the transpose of [`Frequencies`].
struct ResultGradients;

impl Along<OUT_TILE, TILE> for ResultGradients {
    #[inline(always)]
    fn axis<S: Simd>(s: S, y: [S::V; OUT_TILE]) -> [S::V; TILE] {
        let [y0, y1, y2, y3] = y;
        let (even, odd) = (s.add(y0, y2), s.add(y1, y3));
        let four = s.splat(4.0);
        let even2 = s.mul_add(four, y2, y0);
        let odd2 = s.mul(s.splat(2.0), s.mul_add(four, y3, y1));
        [y0, s.add(even, odd), s.sub(even, odd), s.add(even2, odd2), s.sub(even2, odd2), y3]
    }
}

/// `G g`: taps to frequencies.
struct Taps;

impl Along<3, TILE> for Taps {
    #[inline(always)]
    fn axis<S: Simd>(s: S, [g0, g1, g2]: [S::V; 3]) -> [S::V; TILE] {
        let (ends, outer) = (s.add(g0, g2), s.mul_add(s.splat(4.0), g2, g0));
        let (sixth, small) = (s.splat(-1.0 / 6.0), s.splat(1.0 / 24.0));
        let double = s.add(g1, g1);
        [
            s.mul(s.splat(0.25), g0),
            s.mul(sixth, s.add(ends, g1)),
            s.mul(sixth, s.sub(ends, g1)),
            s.mul(small, s.add(outer, double)),
            s.mul(small, s.sub(outer, double)),
            g2,
        ]
    }
}

/// `Gᵀ m`: the gradient of frequencies to that of taps, the transpose of [`Taps`].
struct FrequencyGradients;

impl Along<TILE, 3> for FrequencyGradients {
    #[inline(always)]
    fn axis<S: Simd>(s: S, [m0, m1, m2, m3, m4, m5]: [S::V; TILE]) -> [S::V; 3] {
        let (sixth, small) = (s.splat(-1.0 / 6.0), s.splat(1.0 / 24.0));
        let sum = s.mul(sixth, s.add(m1, m2));
        let sum2 = s.mul(small, s.add(m3, m4));
        let difference2 = s.mul(s.splat(1.0 / 12.0), s.sub(m3, m4));
        [
            s.mul_add(s.splat(0.25), m0, s.add(sum, sum2)),
            s.mul_add(sixth, s.sub(m1, m2), difference2),
            s.add(s.mul_add(s.splat(4.0), sum2, sum), m5),
        ]
    }
}

/// `T` along the columns of a square of vectors, then along its rows.
#[inline(always)]
fn both_ways<S: Simd, T: Along<FROM, TO>, const FROM: usize, const TO: usize>(
    s: S,
    square: [[S::V; FROM]; FROM],
) -> [[S::V; TO]; TO] {
    let zero = s.splat(0.0);
    let mut half = [[zero; FROM]; TO];
    for j in 0..FROM {
        let mut column = [zero; FROM];
        for i in 0..FROM {
            column[i] = square[i][j];
        }
        let column = T::axis(s, column);
        for i in 0..TO {
            half[i][j] = column[i];
        }
    }
    let mut whole = [[zero; TO]; TO];
    for i in 0..TO {
        whole[i] = T::axis(s, half[i]);
    }
    whole
}

/// The frequencies of the pixels of `tiles`: `v[f·stride + t·C + c]`, `t` from the first tile.
pub(super) fn input(
    isa: Isa,
    grid: &Grid,
    x: &[f32],
    tiles: Range<usize>,
    v: &mut [f32],
    stride: usize,
) {
    let channels = grid.conv.in_channels;
    assert!(channels.is_multiple_of(16), "winograd: channels not in sixteens");
    assert!(tiles.len() * channels <= stride && v.len() >= N_FREQUENCIES * stride);
    assert!(tiles.end.div_ceil(grid.n_tiles()) * grid.conv.in_len() <= x.len());
    // SAFETY: every vector read lies in a pixel of an image that `x` holds; every vector written
    // in a frequency's row, by the assertions.
    unsafe { input_tiles(isa, grid, x, tiles, v, stride) };
}

per_isa! {
    unsafe fn input_tiles(
        grid: &Grid, x: &[f32], tiles: Range<usize>, v: &mut [f32], stride: usize,
    ) = input_tiles_body
}

/// # Safety
/// See [`input`].
#[inline(always)]
unsafe fn input_tiles_body<S: Simd, const M: usize>(
    s: S,
    grid: &Grid,
    x: &[f32],
    tiles: Range<usize>,
    v: &mut [f32],
    stride: usize,
) {
    let conv = &grid.conv;
    let (height, width, channels) = (conv.height, conv.width, conv.in_channels);
    let zero = s.splat(0.0);
    for (t, tile) in tiles.enumerate() {
        let Place { image, row, column } = grid.place(tile);
        let mut pixels = [[None; TILE]; TILE];
        for (i, pixels) in pixels.iter_mut().enumerate() {
            for (j, pixel) in pixels.iter_mut().enumerate() {
                let (y, x) =
                    ((row + i).wrapping_sub(conv.padding), (column + j).wrapping_sub(conv.padding));
                if y < height && x < width {
                    *pixel = Some(image * conv.in_len() + (y * width + x) * channels);
                }
            }
        }
        for channel in (0..channels).step_by(S::LANES) {
            let mut square = [[zero; TILE]; TILE];
            for i in 0..TILE {
                for j in 0..TILE {
                    if let Some(at) = pixels[i][j] {
                        // SAFETY: a vector of the pixel's channels.
                        square[i][j] = unsafe { s.load(x.as_ptr().add(at + channel)) };
                    }
                }
            }
            let square = both_ways::<S, Pixels, TILE, TILE>(s, square);
            for (f, value) in square.into_iter().flatten().enumerate() {
                // SAFETY: a vector of the tile's channels in the row of frequency `f`.
                unsafe { s.store(v.as_mut_ptr().add(f * stride + t * channels + channel), value) };
            }
        }
    }
}

/// The results of `tiles` from their frequencies, `m[f·stride + t·K + k]`, into `y`.
pub(super) fn output(
    isa: Isa,
    grid: &Grid,
    m: &[f32],
    stride: usize,
    tiles: Range<usize>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let channels = grid.conv.out_channels;
    assert!(channels.is_multiple_of(16), "winograd: channels not in sixteens");
    assert!(tiles.len() * channels <= stride && m.len() >= N_FREQUENCIES * stride);
    assert!(tiles.end.div_ceil(grid.n_tiles()) * grid.conv.out_len() <= y.len());
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == channels), "one bias a channel");
    // SAFETY: as in `input`, with `y` in the place of `x`.
    unsafe { output_tiles(isa, grid, m, stride, tiles, epilogue, y) };
}

per_isa! {
    unsafe fn output_tiles(
        grid: &Grid, m: &[f32], stride: usize, tiles: Range<usize>, epilogue: Epilogue<'_>,
        y: &mut [f32],
    ) = output_tiles_body
}

/// # Safety
/// See [`output`].
#[inline(always)]
unsafe fn output_tiles_body<S: Simd, const M: usize>(
    s: S,
    grid: &Grid,
    m: &[f32],
    stride: usize,
    tiles: Range<usize>,
    epilogue: Epilogue<'_>,
    y: &mut [f32],
) {
    let conv = &grid.conv;
    let (height, width, channels) = (conv.out_height(), conv.out_width(), conv.out_channels);
    let zero = s.splat(0.0);
    for (t, tile) in tiles.enumerate() {
        let Place { image, row, column } = grid.place(tile);
        let start = image * conv.out_len() + (row * width + column) * channels;
        for channel in (0..channels).step_by(S::LANES) {
            let mut square = [[zero; TILE]; TILE];
            for (f, value) in square.as_flattened_mut().iter_mut().enumerate() {
                // SAFETY: a vector of the tile's channels in the row of frequency `f`.
                *value = unsafe { s.load(m.as_ptr().add(f * stride + t * channels + channel)) };
            }
            // SAFETY: `bias` has as many values as there are channels.
            let bias = epilogue.bias.map(|b| unsafe { s.load(b.as_ptr().add(channel)) });
            let square = both_ways::<S, Frequencies, TILE, OUT_TILE>(s, square);
            for (i, row_of) in square.into_iter().enumerate().take(height - row) {
                for (j, mut value) in row_of.into_iter().enumerate().take(width - column) {
                    // SAFETY: a vector of the channels of pixel `(row + i, column + j)`.
                    unsafe {
                        let to = y.as_mut_ptr().add(start + (i * width + j) * channels + channel);
                        if epilogue.accumulate {
                            value = s.add(value, s.load(to));
                        }
                        if let Some(bias) = bias {
                            value = s.add(value, bias);
                        }
                        if epilogue.relu {
                            value = s.relu(value);
                        }
                        s.store(to, value);
                    }
                }
            }
        }
    }
}

/// The frequencies of the gradient of the results of `tiles`: `m[f·stride..]` is the matrix
/// `(tiles, K)` in panels.
pub(super) fn output_gradient(
    isa: Isa,
    grid: &Grid,
    dy: &[f32],
    tiles: Range<usize>,
    m: &mut [f32],
    stride: usize,
) {
    let channels = grid.conv.out_channels;
    assert!(channels.is_multiple_of(16), "winograd: channels not in sixteens");
    let columns = channels.next_multiple_of(panel_width(isa));
    assert!(tiles.len() * columns <= stride && m.len() >= N_FREQUENCIES * stride);
    assert!(tiles.end.div_ceil(grid.n_tiles()) * grid.conv.out_len() <= dy.len());
    // SAFETY: as in `input`, with `dy` in the place of `x`.
    unsafe { output_gradient_tiles(isa, grid, dy, tiles, m, stride, panel_width(isa)) };
}

per_isa! {
    unsafe fn output_gradient_tiles(
        grid: &Grid, dy: &[f32], tiles: Range<usize>, m: &mut [f32], stride: usize, panel: usize,
    ) = output_gradient_tiles_body
}

/// # Safety
/// See [`output_gradient`].
#[inline(always)]
unsafe fn output_gradient_tiles_body<S: Simd, const M: usize>(
    s: S,
    grid: &Grid,
    dy: &[f32],
    tiles: Range<usize>,
    m: &mut [f32],
    stride: usize,
    panel: usize,
) {
    let conv = &grid.conv;
    let (height, width, channels) = (conv.out_height(), conv.out_width(), conv.out_channels);
    let (zero, n_tiles) = (s.splat(0.0), tiles.len());
    for (t, tile) in tiles.enumerate() {
        let Place { image, row, column } = grid.place(tile);
        let start = image * conv.out_len() + (row * width + column) * channels;
        for channel in (0..channels).step_by(S::LANES) {
            let mut square = [[zero; OUT_TILE]; OUT_TILE];
            for (i, row_of) in square.iter_mut().enumerate().take(height - row) {
                for (j, value) in row_of.iter_mut().enumerate().take(width - column) {
                    // SAFETY: a vector of the channels of pixel `(row + i, column + j)`.
                    *value = unsafe {
                        s.load(dy.as_ptr().add(start + (i * width + j) * channels + channel))
                    };
                }
            }
            let square = both_ways::<S, ResultGradients, OUT_TILE, TILE>(s, square);
            let at = (channel / panel * n_tiles + t) * panel + channel % panel;
            for (f, value) in square.into_iter().flatten().enumerate() {
                // SAFETY: a vector of the tile's channels in a panel of frequency `f`.
                unsafe { s.store(m.as_mut_ptr().add(f * stride + at), value) };
            }
        }
    }
}

/// `G g Gᵀ` for a panel's width of filters: `taps[t]` is where tap `t`'s row begins in `weights`;
/// frequency `f` goes to `out[f·stride..]`.
pub(super) fn filter(isa: Isa, weights: &[f32], taps: [usize; 9], out: &mut [f32], stride: usize) {
    let width = panel_width(isa);
    assert!(taps.iter().all(|tap| tap + width <= weights.len()), "winograd: a tap outside");
    assert!((N_FREQUENCIES - 1) * stride + width <= out.len(), "winograd: a frequency outside");
    // SAFETY: by the assertions every panel's width read and written is there.
    unsafe { filter_panel(isa, weights, taps, out, stride, width) };
}

per_isa! {
    unsafe fn filter_panel(
        weights: &[f32], taps: [usize; 9], out: &mut [f32], stride: usize, width: usize,
    ) = filter_panel_body
}

/// # Safety
/// See [`filter`].
#[inline(always)]
unsafe fn filter_panel_body<S: Simd, const M: usize>(
    s: S,
    weights: &[f32],
    taps: [usize; 9],
    out: &mut [f32],
    stride: usize,
    width: usize,
) {
    for at in (0..width).step_by(S::LANES) {
        let mut square = [[s.splat(0.0); 3]; 3];
        for (tap, value) in square.as_flattened_mut().iter_mut().enumerate() {
            // SAFETY: a vector of a panel's width of the tap's row.
            *value = unsafe { s.load(weights.as_ptr().add(taps[tap] + at)) };
        }
        let square = both_ways::<S, Taps, 3, TILE>(s, square);
        for (f, value) in square.into_iter().flatten().enumerate() {
            // SAFETY: a vector of a panel's width of the frequency's row.
            unsafe { s.store(out.as_mut_ptr().add(f * stride + at), value) };
        }
    }
}

/// `Gᵀ m G` for a panel's width of filters: frequency `f` is read from `m[f·stride..]`, tap `t`
/// written to `out[to[t]..]`.
pub(super) fn filter_gradient(isa: Isa, m: &[f32], stride: usize, out: &mut [f32], to: [usize; 9]) {
    let width = panel_width(isa);
    assert!((N_FREQUENCIES - 1) * stride + width <= m.len(), "winograd: a frequency outside");
    assert!(to.iter().all(|to| to + width <= out.len()), "winograd: a tap outside");
    // SAFETY: by the assertions every panel's width read and written is there.
    unsafe { filter_gradient_panel(isa, m, stride, out, to, width) };
}

per_isa! {
    unsafe fn filter_gradient_panel(
        m: &[f32], stride: usize, out: &mut [f32], to: [usize; 9], width: usize,
    ) = filter_gradient_panel_body
}

/// # Safety
/// See [`filter_gradient`].
#[inline(always)]
unsafe fn filter_gradient_panel_body<S: Simd, const M: usize>(
    s: S,
    m: &[f32],
    stride: usize,
    out: &mut [f32],
    to: [usize; 9],
    width: usize,
) {
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
