//! The transforms of pixels and results, a vector of channels at a time.
//!
//! `TILE` are the pixels of a tile along an axis, and its frequencies; `OUT` its results.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]
#![expect(
    clippy::needless_range_loop,
    reason = "squares are written down by their indices, which keeps them in registers"
)]

use std::ops::Range;

use crate::conv::{Conv2d, Epilogue};
use crate::element::Element;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

mod axis;
mod filters;
mod gradients;

use axis::both_ways;
pub(super) use axis::{Along, Frequencies, FrequencyGradients, Pixels, ResultGradients, Taps};
pub(super) use filters::{filter, filter_gradient};
pub(super) use gradients::{input_factors, output_gradient};

/// `body::<S, …>(s, channel, …)` for all of `0..channels`, a vector at a time; the eight that may
/// be left over with [`Simd::Eight`].
macro_rules! by_vectors {
    ($s:ident, $channels:expr, $body:ident::<$($of:ident),*>($($arg:expr),* $(,)?)) => {{
        let whole = $channels / S::LANES * S::LANES;
        for channel in (0..whole).step_by(S::LANES) {
            // SAFETY: the caller's; a vector of channels is left.
            unsafe { $body::<S, $($of),*>($s, channel, $($arg),*) };
        }
        if whole < $channels {
            // SAFETY: the caller's; eight channels are left.
            unsafe { $body::<S::Eight, $($of),*>($s.eight(), whole, $($arg),*) };
        }
    }};
}
use by_vectors;

/// The tiles of the images of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    conv: Conv2d,
    /// Rows and columns of the results of a tile.
    out: usize,
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
    pub(super) fn of(conv: &Conv2d, out: usize) -> Self {
        let (rows, columns) = (conv.out_height().div_ceil(out), conv.out_width().div_ceil(out));
        Self { conv: *conv, out, rows, columns }
    }

    /// Tiles of one image.
    pub(super) fn n_tiles(&self) -> usize {
        self.rows * self.columns
    }

    #[inline(always)]
    fn place(&self, tile: usize) -> Place {
        let (image, at) = (tile / self.n_tiles(), tile % self.n_tiles());
        let (row, column) = (at / self.columns * self.out, at % self.columns * self.out);
        Place { image, row, column }
    }
}

/// The frequencies of the pixels of `tiles`, channels side by side: `v[f·stride + t·C + c]`, `t`
/// from the first tile.
pub(super) fn input<E: Element, const TILE: usize>(
    isa: Isa,
    grid: &Grid,
    x: &[E],
    tiles: Range<usize>,
    v: &mut [E],
    stride: usize,
) where
    Pixels: Along<TILE, TILE>,
{
    let channels = grid.conv.in_channels;
    assert!(channels.is_multiple_of(8), "winograd: channels not in eights");
    assert!(tiles.len() * channels <= stride && v.len() >= TILE * TILE * stride);
    assert!(tiles.end.div_ceil(grid.n_tiles()) * grid.conv.in_len() <= x.len());
    // SAFETY: every vector read lies in a pixel of an image that `x` holds; every vector written
    // in a frequency's row, by the assertions.
    unsafe { input_tiles::<E, TILE>(isa, grid, x, tiles, v, stride) };
}

per_isa! {
    unsafe fn input_tiles<E: Element; const TILE: usize>(
        grid: &Grid, x: &[E], tiles: Range<usize>, v: &mut [E], stride: usize,
    ) where [Pixels: Along<TILE, TILE>] = input_tiles_body
}

/// # Safety
/// See [`input`].
#[inline(always)]
unsafe fn input_tiles_body<S: Simd, E: Element, const TILE: usize, const M: usize>(
    s: S,
    grid: &Grid,
    x: &[E],
    tiles: Range<usize>,
    v: &mut [E],
    stride: usize,
) where
    Pixels: Along<TILE, TILE>,
{
    let channels = grid.conv.in_channels;
    for (t, tile) in tiles.enumerate() {
        let pixels = pixels_of::<TILE>(grid, tile);
        let v = &mut v[t * channels..];
        by_vectors!(s, channels, input_at::<E, TILE>(x, &pixels, v, stride));
    }
}

/// # Safety
/// A vector of channels from `channel` in each of the pixels, and in each frequency's row of `v`.
#[inline(always)]
unsafe fn input_at<S: Simd, E: Element, const TILE: usize>(
    s: S,
    channel: usize,
    x: &[E],
    pixels: &[[Option<usize>; TILE]; TILE],
    v: &mut [E],
    stride: usize,
) where
    Pixels: Along<TILE, TILE>,
{
    // SAFETY: the caller's.
    let square = unsafe { frequencies_at::<S, E, TILE>(s, x, pixels, channel) };
    for i in 0..TILE {
        for j in 0..TILE {
            let at = (i * TILE + j) * stride + channel;
            // SAFETY: the caller's.
            unsafe { E::store(s, v.as_mut_ptr().add(at), square[i][j]) };
        }
    }
}

/// Where the channels of each pixel of a tile begin; `None` for those outside of the image.
#[inline(always)]
fn pixels_of<const TILE: usize>(grid: &Grid, tile: usize) -> [[Option<usize>; TILE]; TILE] {
    let conv = &grid.conv;
    let Place { image, row, column } = grid.place(tile);
    let mut pixels = [[None; TILE]; TILE];
    for (i, pixels) in pixels.iter_mut().enumerate() {
        for (j, pixel) in pixels.iter_mut().enumerate() {
            let (y, x) =
                ((row + i).wrapping_sub(conv.padding), (column + j).wrapping_sub(conv.padding));
            if y < conv.height && x < conv.width {
                *pixel = Some(image * conv.in_len() + (y * conv.width + x) * conv.in_channels);
            }
        }
    }
    pixels
}

/// # Safety
/// A vector of channels from `channel` in each of the pixels.
#[inline(always)]
unsafe fn frequencies_at<S: Simd, E: Element, const TILE: usize>(
    s: S,
    x: &[E],
    pixels: &[[Option<usize>; TILE]; TILE],
    channel: usize,
) -> [[S::V; TILE]; TILE]
where
    Pixels: Along<TILE, TILE>,
{
    let mut square = [[s.splat(0.0); TILE]; TILE];
    for i in 0..TILE {
        for j in 0..TILE {
            if let Some(at) = pixels[i][j] {
                // SAFETY: the caller's.
                square[i][j] = unsafe { E::load(s, x.as_ptr().add(at + channel)) };
            }
        }
    }
    both_ways::<S, Pixels, TILE, TILE>(s, square)
}

/// The results of `tiles` from their frequencies, `m[f·stride + t·row + k]`, into `y`.
pub(super) fn output<E: Element, const TILE: usize, const OUT: usize>(
    isa: Isa,
    grid: &Grid,
    m: &[f32],
    (row, stride): (usize, usize),
    tiles: Range<usize>,
    epilogue: Epilogue<'_>,
    y: &mut [E],
) where
    Frequencies: Along<TILE, OUT>,
{
    let channels = grid.conv.out_channels;
    assert!(channels.is_multiple_of(8), "winograd: channels not in eights");
    assert!(channels <= row && tiles.len() * row <= stride && m.len() >= TILE * TILE * stride);
    assert!(tiles.end.div_ceil(grid.n_tiles()) * grid.conv.out_len() <= y.len());
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == channels), "one bias a channel");
    // SAFETY: as in `input`, with `y` in the place of `x`.
    unsafe { output_tiles::<E, TILE, OUT>(isa, grid, m, (row, stride), tiles, epilogue, y) };
}

per_isa! {
    unsafe fn output_tiles<E: Element; const TILE: usize, const OUT: usize>(
        grid: &Grid, m: &[f32], strides: (usize, usize), tiles: Range<usize>,
        epilogue: Epilogue<'_>, y: &mut [E],
    ) where [Frequencies: Along<TILE, OUT>] = output_tiles_body
}

/// # Safety
/// See [`output`].
#[inline(always)]
unsafe fn output_tiles_body<
    S: Simd,
    E: Element,
    const TILE: usize,
    const OUT: usize,
    const M: usize,
>(
    s: S,
    grid: &Grid,
    m: &[f32],
    (row, stride): (usize, usize),
    tiles: Range<usize>,
    epilogue: Epilogue<'_>,
    y: &mut [E],
) where
    Frequencies: Along<TILE, OUT>,
{
    let channels = grid.conv.out_channels;
    for (t, tile) in tiles.enumerate() {
        let (m, place) = (&m[t * row..], grid.place(tile));
        by_vectors!(
            s,
            channels,
            output_at::<E, TILE, OUT>(&grid.conv, m, stride, &place, epilogue, y)
        );
    }
}

/// # Safety
/// A vector of channels from `channel` in each frequency's row of `m`, and in the results of the
/// tile at `place`, whose image `y` holds; a bias has as many values as there are channels.
#[expect(clippy::too_many_arguments, reason = "the state of the loop it is the body of")]
#[inline(always)]
unsafe fn output_at<S: Simd, E: Element, const TILE: usize, const OUT: usize>(
    s: S,
    channel: usize,
    conv: &Conv2d,
    m: &[f32],
    stride: usize,
    &Place { image, row, column }: &Place,
    epilogue: Epilogue<'_>,
    y: &mut [E],
) where
    Frequencies: Along<TILE, OUT>,
{
    let (height, width, channels) = (conv.out_height(), conv.out_width(), conv.out_channels);
    let start = image * conv.out_len() + (row * width + column) * channels + channel;
    let mut square = [[s.splat(0.0); TILE]; TILE];
    for i in 0..TILE {
        for j in 0..TILE {
            let at = (i * TILE + j) * stride + channel;
            // SAFETY: the caller's.
            square[i][j] = unsafe { s.load(m.as_ptr().add(at)) };
        }
    }
    // SAFETY: the caller's.
    let bias = epilogue.bias.map(|b| unsafe { s.load(b.as_ptr().add(channel)) });
    let square = both_ways::<S, Frequencies, TILE, OUT>(s, square);
    for i in 0..OUT {
        for j in 0..OUT {
            if i >= height - row || j >= width - column {
                continue;
            }
            let mut value = square[i][j];
            // SAFETY: the caller's: the channels of pixel `(row + i, column + j)`.
            unsafe {
                let to = y.as_mut_ptr().add(start + (i * width + j) * channels);
                if epilogue.accumulate {
                    value = s.add(value, E::load(s, to));
                }
                if let Some(bias) = bias {
                    value = s.add(value, bias);
                }
                if epilogue.relu {
                    value = s.relu(value);
                }
                E::store(s, to, value);
            }
        }
    }
}
