//! The transforms of both sides of the weights' gradient, tiles side by side in factors.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]
#![expect(
    clippy::needless_range_loop,
    reason = "squares are written down by their indices, which keeps them in registers"
)]

use std::ops::Range;

use super::axis::{Along, Pixels, ResultGradients, both_ways};
use super::{Grid, Place, by_vectors, frequencies_at, pixels_of};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{depth_of, panel_width};
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// The frequencies of the pixels of `tiles`, tiles side by side in factors:
/// `v[f·stride + t·pitch + c]`, `t` counting factors of tiles.
pub(in crate::conv::winograd) fn input_factors<E: Element, const TILE: usize>(
    isa: Isa,
    grid: &Grid,
    x: &[E],
    tiles: Range<usize>,
    v: &mut [E::Factor],
    (stride, pitch): (usize, usize),
) where
    Pixels: Along<TILE, TILE>,
{
    let channels = grid.conv.in_channels;
    assert!(channels.is_multiple_of(8), "winograd: channels not in eights");
    assert!(channels <= pitch && depth_of::<E>(tiles.len()) * pitch <= stride);
    assert!(v.len() >= TILE * TILE * stride);
    assert!(tiles.end.div_ceil(grid.n_tiles()) * grid.conv.in_len() <= x.len());
    // SAFETY: as in `input`.
    unsafe { input_tiles_as_factors::<E, TILE>(isa, grid, x, tiles, v, stride, pitch) };
}

per_isa! {
    unsafe fn input_tiles_as_factors<E: Element; const TILE: usize>(
        grid: &Grid, x: &[E], tiles: Range<usize>, v: &mut [E::Factor], stride: usize,
        pitch: usize,
    ) where [Pixels: Along<TILE, TILE>] = input_tiles_as_factors_body
}

/// # Safety
/// See [`input_factors`].
#[inline(always)]
unsafe fn input_tiles_as_factors_body<S: Simd, E: Element, const TILE: usize, const M: usize>(
    s: S,
    grid: &Grid,
    x: &[E],
    tiles: Range<usize>,
    v: &mut [E::Factor],
    stride: usize,
    pitch: usize,
) where
    Pixels: Along<TILE, TILE>,
{
    let (channels, end) = (grid.conv.in_channels, tiles.end);
    for (t, tile) in tiles.step_by(E::Factor::VALUES).enumerate() {
        let first = pixels_of::<TILE>(grid, tile);
        let joined = E::Factor::VALUES > 1 && tile + 1 < end;
        let second = if joined { pixels_of::<TILE>(grid, tile + 1) } else { [[None; TILE]; TILE] };
        let v = &mut v[t * pitch..];
        by_vectors!(s, channels, input_factors_at::<E, TILE>(x, [&first, &second], v, stride));
    }
}

/// # Safety
/// As for [`super::input_at`], of two tiles.
#[inline(always)]
unsafe fn input_factors_at<S: Simd, E: Element, const TILE: usize>(
    s: S,
    channel: usize,
    x: &[E],
    [first, second]: [&[[Option<usize>; TILE]; TILE]; 2],
    v: &mut [E::Factor],
    stride: usize,
) where
    Pixels: Along<TILE, TILE>,
{
    // SAFETY: the caller's.
    let (first, second) = unsafe {
        (
            frequencies_at::<S, E, TILE>(s, x, first, channel),
            frequencies_at::<S, E, TILE>(s, x, second, channel),
        )
    };
    for i in 0..TILE {
        for j in 0..TILE {
            let factors = E::Factor::join(s, [first[i][j], second[i][j]]);
            let at = (i * TILE + j) * stride + channel;
            // SAFETY: the caller's; a factor is as large and as aligned as an f32.
            unsafe { s.store(v.as_mut_ptr().add(at).cast(), factors) };
        }
    }
}

/// The frequencies of the gradient of the results of `tiles`: `m[f·stride..]` is the matrix
/// `(tiles, K)` in panels, tiles side by side in factors.
pub(in crate::conv::winograd) fn output_gradient<E: Element, const TILE: usize, const OUT: usize>(
    isa: Isa,
    grid: &Grid,
    dy: &[E],
    tiles: Range<usize>,
    m: &mut [E::Factor],
    stride: usize,
) where
    ResultGradients: Along<OUT, TILE>,
{
    let channels = grid.conv.out_channels;
    assert!(channels.is_multiple_of(8), "winograd: channels not in eights");
    let columns = channels.next_multiple_of(panel_width(isa, channels));
    let depth = depth_of::<E>(tiles.len());
    assert!(depth * columns <= stride && m.len() >= TILE * TILE * stride);
    assert!(tiles.end.div_ceil(grid.n_tiles()) * grid.conv.out_len() <= dy.len());
    // SAFETY: as in `input`, with `dy` in the place of `x`.
    unsafe { output_gradient_tiles::<E, TILE, OUT>(isa, grid, dy, tiles, m, stride) };
}

per_isa! {
    unsafe fn output_gradient_tiles<E: Element; const TILE: usize, const OUT: usize>(
        grid: &Grid, dy: &[E], tiles: Range<usize>, m: &mut [E::Factor], stride: usize,
    ) where [ResultGradients: Along<OUT, TILE>] = output_gradient_tiles_body
}

/// # Safety
/// See [`output_gradient`].
#[inline(always)]
unsafe fn output_gradient_tiles_body<
    S: Simd,
    E: Element,
    const TILE: usize,
    const OUT: usize,
    const M: usize,
>(
    s: S,
    grid: &Grid,
    dy: &[E],
    tiles: Range<usize>,
    m: &mut [E::Factor],
    stride: usize,
) where
    ResultGradients: Along<OUT, TILE>,
{
    let channels = grid.conv.out_channels;
    let panel = if channels <= S::LANES { S::LANES } else { 2 * S::LANES };
    let (depth, end) = (depth_of::<E>(tiles.len()), tiles.end);
    for (t, tile) in tiles.step_by(E::Factor::VALUES).enumerate() {
        let joined = E::Factor::VALUES > 1 && tile + 1 < end;
        let m = &mut m[t * panel..];
        by_vectors!(
            s,
            channels,
            output_gradient_at::<E, TILE, OUT>(grid, dy, tile, joined, m, (panel, depth), stride)
        );
    }
}

/// # Safety
/// A vector of channels from `channel` in the results of `tile`, and of the next where it is
/// `joined`, whose images `dy` holds; and in a row of a panel of each frequency, `m`.
#[expect(clippy::too_many_arguments, reason = "the state of the loop it is the body of")]
#[inline(always)]
unsafe fn output_gradient_at<S: Simd, E: Element, const TILE: usize, const OUT: usize>(
    s: S,
    channel: usize,
    grid: &Grid,
    dy: &[E],
    tile: usize,
    joined: bool,
    m: &mut [E::Factor],
    (panel, depth): (usize, usize),
    stride: usize,
) where
    ResultGradients: Along<OUT, TILE>,
{
    let mut second = [[s.splat(0.0); TILE]; TILE];
    // SAFETY: the caller's.
    let first = unsafe {
        if joined {
            second = gradients_at::<S, E, TILE, OUT>(s, grid, dy, tile + 1, channel);
        }
        gradients_at::<S, E, TILE, OUT>(s, grid, dy, tile, channel)
    };
    let at = channel / panel * depth * panel + channel % panel;
    for i in 0..TILE {
        for j in 0..TILE {
            let factors = E::Factor::join(s, [first[i][j], second[i][j]]);
            let at = (i * TILE + j) * stride + at;
            // SAFETY: the caller's; a factor is as large and as aligned as an f32.
            unsafe { s.store(m.as_mut_ptr().add(at).cast(), factors) };
        }
    }
}

/// # Safety
/// A vector of channels from `channel` in each result of `tile`.
#[inline(always)]
unsafe fn gradients_at<S: Simd, E: Element, const TILE: usize, const OUT: usize>(
    s: S,
    grid: &Grid,
    dy: &[E],
    tile: usize,
    channel: usize,
) -> [[S::V; TILE]; TILE]
where
    ResultGradients: Along<OUT, TILE>,
{
    let conv = &grid.conv;
    let (height, width, channels) = (conv.out_height(), conv.out_width(), conv.out_channels);
    let Place { image, row, column } = grid.place(tile);
    let start = image * conv.out_len() + (row * width + column) * channels;
    let mut square = [[s.splat(0.0); OUT]; OUT];
    for i in 0..OUT {
        for j in 0..OUT {
            if i < height - row && j < width - column {
                let at = start + (i * width + j) * channels + channel;
                // SAFETY: a vector of the channels of pixel `(row + i, column + j)`.
                square[i][j] = unsafe { E::load(s, dy.as_ptr().add(at)) };
            }
        }
    }
    both_ways::<S, ResultGradients, OUT, TILE>(s, square)
}
