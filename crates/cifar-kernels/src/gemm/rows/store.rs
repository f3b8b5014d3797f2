//! From a tile in registers to rows of the output.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]
#![expect(clippy::needless_range_loop, reason = "tiles are written down by their indices")]

use std::mem::MaybeUninit;

use super::Epilogue;
use crate::element::Element;
use crate::simd::{Lane, Simd};

/// Values of a vector, and of a tile, at most: 8 rows of two vectors, or 4 of four.
pub(super) const MAX_LANES: usize = 16;
const MAX_TILE: usize = 8 * 2 * MAX_LANES;

/// Writes the first `n` columns of a tile's rows to `targets` from `out`. A tile has more rows than
/// targets where these end. `PAIRS`: the second vector of each odd row holds the last half vector of the
/// row before it, then its own.
///
/// # Safety
/// So many columns from each target, writable; the bias of a whole panel, with `PAIRS` the half vector twice.
#[inline(always)]
pub(super) unsafe fn store<
    S: Simd,
    O: Element,
    const V: usize,
    const M: usize,
    const PAIRS: bool,
>(
    simd: S,
    tile: [[S::V; V]; M],
    (out, n): (*mut O, usize),
    targets: &[usize],
    epilogue: Epilogue<'_>,
) {
    let width = V * S::LANES;
    // Whole vectors, and perhaps half of one.
    let from_registers = n == width || n == S::LANES * 3 / 2 && !epilogue.accumulate;
    let whole: Result<&[usize; M], _> = targets.try_into();
    if let (Ok(targets), true) = (whole, from_registers) {
        // SAFETY: the caller's.
        return unsafe {
            store_whole::<S, O, V, M, PAIRS>(simd, tile, (out, n), targets, epilogue)
        };
    }
    // Only these are asked for by a number that is not known before: a tile that is has to be in memory
    // from the start. What is not written is not read, and zeros would be written in every call.
    const { assert!(M * V * S::LANES <= MAX_TILE && S::LANES <= MAX_LANES) };
    let mut room = MaybeUninit::<[f32; MAX_TILE]>::uninit();
    let values = room.as_mut_ptr().cast::<f32>();
    // From the last row to the first: where two share a vector, what it has too many is written over.
    for m in (0..M).rev() {
        for v in (0..V).rev() {
            let at = m * width + v * S::LANES;
            let put = |at: usize| {
                // SAFETY: a vector of a whole tile, or of two rows.
                unsafe { simd.store(values.add(at), tile[m][v]) };
            };
            if !PAIRS || v == 0 {
                put(at);
            } else if m % 2 == 1 {
                put(at - S::LANES / 2);
                put(at - width);
            }
        }
    }
    for (m, &target) in targets.iter().enumerate() {
        // SAFETY: `n` columns of a row of the output, and of one of the tile.
        unsafe { store_row(simd, values.add(m * width), out.wrapping_add(target), n, epilogue) };
    }
}

/// Writes a tile, its rows to `targets` from `out`: of `n` columns each, of whole vectors or of one and a
/// half, to which nothing is added that is there. Each step of the epilogue is done to all of it, without
/// a question in between, so that it goes from its registers to memory.
///
/// # Safety
/// As for [`store`].
#[inline(always)]
unsafe fn store_whole<S: Simd, O: Element, const V: usize, const M: usize, const PAIRS: bool>(
    simd: S,
    mut tile: [[S::V; V]; M],
    (out, n): (*mut O, usize),
    targets: &[usize; M],
    epilogue: Epilogue<'_>,
) {
    let at = |m: usize, v: usize| out.wrapping_add(targets[m] + v * S::LANES);
    // SAFETY: the caller's.
    unsafe {
        if epilogue.accumulate {
            for m in 0..M {
                for v in 0..V {
                    tile[m][v] = simd.add(tile[m][v], O::load(simd, at(m, v)));
                }
            }
        }
        if let Some(bias) = epilogue.bias {
            for v in 0..V {
                let bias = simd.load(bias.as_ptr().add(v * S::LANES));
                for m in 0..M {
                    tile[m][v] = simd.add(tile[m][v], bias);
                }
            }
        }
        if epilogue.relu {
            for m in 0..M {
                for v in 0..V {
                    tile[m][v] = simd.relu(tile[m][v]);
                }
            }
        }
        if n == V * S::LANES {
            for m in 0..M {
                for v in (0..V).step_by(2) {
                    if v + 1 < V {
                        O::store_two(simd, at(m, v), [tile[m][v], tile[m][v + 1]]);
                    } else {
                        O::store(simd, at(m, v), tile[m][v]);
                    }
                }
            }
            return;
        }
        let half = S::LANES / 2;
        for m in 0..M {
            O::store(simd, at(m, 0), tile[m][0]);
            let mut second = [O::default(); MAX_LANES];
            if !PAIRS || m % 2 == 1 {
                O::store(simd, second.as_mut_ptr(), tile[m][V - 1]);
                let (first, other) = second.split_at(half);
                let copy = |m, from: &[O]| {
                    at(m, 1).copy_from_nonoverlapping(from.as_ptr(), half);
                };
                if PAIRS {
                    copy(m - 1, first);
                    copy(m, other);
                } else {
                    copy(m, first);
                }
            }
        }
    }
}

/// Writes the first `n` columns of one row of a tile, whose `values` are in memory: in vectors, in
/// eights, and the last ones singly.
///
/// # Safety
/// `to`: `n` values, writable; as many values and a bias.
#[inline(always)]
unsafe fn store_row<S: Simd, O: Element>(
    simd: S,
    values: *const f32,
    to: *mut O,
    n: usize,
    epilogue: Epilogue<'_>,
) {
    let mut at = 0;
    // SAFETY: the caller's; a vector of each is left.
    unsafe {
        while at + S::LANES <= n {
            store_vector(simd, simd.load(values.add(at)), at, to, epilogue);
            at += S::LANES;
        }
        while at + S::Eight::LANES <= n {
            let eight = simd.eight();
            store_vector(eight, eight.load(values.add(at)), at, to, epilogue);
            at += S::Eight::LANES;
        }
        while at < n {
            store_vector(Lane, *values.add(at), at, to, epilogue);
            at += 1;
        }
    }
}

/// Writes a vector of products from place `at` of an output.
///
/// # Safety
/// A vector from there of each: a writable output, and a bias.
#[inline(always)]
pub(super) unsafe fn store_vector<S: Simd, O: Element>(
    simd: S,
    mut value: S::V,
    at: usize,
    to: *mut O,
    epilogue: Epilogue<'_>,
) {
    // SAFETY: the caller's.
    unsafe {
        if epilogue.accumulate {
            value = simd.add(value, O::load(simd, to.add(at)));
        }
        if let Some(bias) = epilogue.bias {
            value = simd.add(value, simd.load(bias.as_ptr().add(at)));
        }
        if epilogue.relu {
            value = simd.relu(value);
        }
        O::store(simd, to.add(at), value);
    }
}
