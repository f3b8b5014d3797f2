//! Rows times a matrix of few columns, each of which is multiplied as the rows are: a vector of values
//! at a time. Its lanes are summed at the end.

#![expect(unsafe_code, reason = "tiles read and write through pointers; see the SAFETY comments")]
#![expect(clippy::needless_range_loop, reason = "tiles are written down by their indices")]

use std::ops::Range;

use super::store::{MAX_LANES, store_vector};
use super::{Epilogue, Panels, Rows, Runs, STRETCH, starts_of, sum_of_tiles};
use crate::element::Element;
use crate::factor::Factor;
use crate::simd::{Simd, per_isa};

per_isa! {
    /// # Safety
    /// See [`products_of_rows`](super::products_of_rows). `C` columns, one by one.
    pub(super) unsafe fn rows_by_columns<F: Factor, O: Element; const C: usize>(
        a: &[F], rows: &[Rows<'_>], b: Panels<'_, F>, epilogue: Epilogue<'_>,
        out: (&mut [O], usize),
    ) = rows_by_columns_body
}

/// # Safety
/// See [`rows_by_columns`].
#[inline(always)]
unsafe fn rows_by_columns_body<S: Simd, F: Factor, O: Element, const C: usize, const M: usize>(
    simd: S,
    a: &[F],
    rows: &[Rows<'_>],
    b: Panels<'_, F>,
    epilogue: Epilogue<'_>,
    (out, first): (&mut [O], usize),
) {
    // No target is before `first`.
    let (a, out) = (a.as_ptr(), out.as_mut_ptr().wrapping_sub(first));
    let long = b.depth > STRETCH * S::LANES;
    let b = (b.values.as_ptr(), b.stride);
    // As many rows as leave room in 32 or 16 registers for a vector of each column and one of a row.
    // SAFETY: the caller's.
    unsafe {
        match (S::LANES, C, long) {
            // Twice as many sums: fewer rows.
            (_, _, true) => tiles::<S, F, O, C, 2, true>(simd, a, rows, b, epilogue, out),
            (16, 4, _) => tiles::<S, F, O, C, 6, false>(simd, a, rows, b, epilogue, out),
            (16, _, _) => tiles::<S, F, O, C, 8, false>(simd, a, rows, b, epilogue, out),
            (_, 4, _) => tiles::<S, F, O, C, 2, false>(simd, a, rows, b, epilogue, out),
            (_, _, _) => tiles::<S, F, O, C, 4, false>(simd, a, rows, b, epilogue, out),
        }
    }
}

/// # Safety
/// See [`rows_by_columns`]. From `out`, which may lie before the output, every target is in it.
#[inline(always)]
unsafe fn tiles<
    S: Simd,
    F: Factor,
    O: Element,
    const C: usize,
    const M: usize,
    const LONG: bool,
>(
    simd: S,
    a: *const F,
    rows: &[Rows<'_>],
    b: (*const F, usize),
    epilogue: Epilogue<'_>,
    out: *mut O,
) {
    // The bias as a tile's sums lie.
    let mut room = [0.0; 2 * MAX_LANES];
    let bias = epilogue.bias.map(|bias| {
        room.iter_mut().enumerate().for_each(|(at, to)| *to = bias[at % C]);
        &room[..]
    });
    let epilogue = Epilogue { bias, ..epilogue };
    for rows in rows {
        let (starts, targets) = (rows.starts.at(), rows.targets.at());
        for (starts, targets) in starts.chunks(M).zip(targets.chunks(M)) {
            // SAFETY: rows of `a`, whose runs are there, as are the values of each column that they meet; and
            // `C` values from each target.
            unsafe {
                let tile = tile::<S, F, C, M, LONG>(simd, starts_of(a, starts), rows.runs, b);
                store_sums::<S, O, C, M>(simd, tile, out, targets, epilogue);
            }
        }
    }
}

/// Bytes from where the last run of a tile's first row begins to what is fetched during the tile, a vector for each
/// that is multiplied: as much as the windows of neighbours, 3x3 large, bring that is new.
const WINDOWS_AHEAD: usize = 16 << 10;

/// The products of `M` rows and `C` columns, each still to be summed over its lanes. `LONG`: whether there may be more
/// than [`STRETCH`] in a lane.
///
/// # Safety
/// `a`: the starts of rows whose runs are there; `b`: the start of the first column, and the distance to the next, of
/// which the values that runs meet are there.
#[inline(always)]
unsafe fn tile<S: Simd, F: Factor, const C: usize, const M: usize, const LONG: bool>(
    simd: S,
    mut a: [*const F; M],
    runs: Runs,
    (b, stride): (*const F, usize),
) -> [[S::V; C]; M] {
    let zeros = [[simd.splat(0.0); C]; M];
    let (mut total, mut tile, mut n) = (zeros, zeros, 0);
    let mut b = b.wrapping_add(runs.first);
    let last = runs.n.saturating_sub(1) * runs.distance;
    let mut ahead = a[0].wrapping_add(last).addr().wrapping_add(WINDOWS_AHEAD);
    for _ in 0..runs.n {
        let mut k = 0;
        // SAFETY: a vector of each row's run and of what it meets of each column, or the values left of them.
        unsafe {
            while k + S::LANES <= runs.len {
                tile =
                    add_products::<S, F, C, M, true>(simd, a, (b, stride), k..k + S::LANES, tile);
                k += S::LANES;
                if LONG {
                    n += 1;
                    if n == STRETCH {
                        total = sum_of_tiles::<S, C, M>(simd, total, tile);
                        (tile, n) = (zeros, 0);
                    }
                }
                simd.fetch(ahead);
                ahead = ahead.wrapping_add(S::LANES * size_of::<F>());
            }
            if k < runs.len {
                tile = add_products::<S, F, C, M, false>(simd, a, (b, stride), k..runs.len, tile);
            }
        }
        // Behind the last run neither is looked at.
        b = b.wrapping_add(runs.panel_distance);
        for a in &mut a {
            *a = a.wrapping_add(runs.distance);
        }
    }
    if LONG { sum_of_tiles::<S, C, M>(simd, total, tile) } else { tile }
}

/// `tile` and the products of the values `range` of each row and column, a `WHOLE` vector or fewer.
///
/// # Safety
/// These values are there; a vector of them if `WHOLE`, else fewer.
#[inline(always)]
unsafe fn add_products<S: Simd, F: Factor, const C: usize, const M: usize, const WHOLE: bool>(
    simd: S,
    a: [*const F; M],
    (b, stride): (*const F, usize),
    range: Range<usize>,
    mut tile: [[S::V; C]; M],
) -> [[S::V; C]; M] {
    let mut columns = [simd.splat(0.0); C];
    // SAFETY: the caller's.
    unsafe {
        for c in 0..C {
            columns[c] = load::<S, F, WHOLE>(simd, b.add(c * stride + range.start), range.len());
        }
        for m in 0..M {
            let row = load::<S, F, WHOLE>(simd, a[m].add(range.start), range.len());
            for c in 0..C {
                tile[m][c] = F::mul_add(simd, row, columns[c], tile[m][c]);
            }
        }
    }
    tile
}

/// The first `n` values, zeros behind them; all of a `WHOLE` vector.
///
/// # Safety
/// They are there; as many as a vector has if `WHOLE`, else fewer.
#[inline(always)]
unsafe fn load<S: Simd, F: Factor, const WHOLE: bool>(simd: S, from: *const F, n: usize) -> S::V {
    // SAFETY: the caller's.
    unsafe { if WHOLE { simd.load(from.cast()) } else { simd.load_first(from.cast(), n) } }
}

/// Sums the lanes of a tile and writes them to `targets` from `out`. A tile has more rows than targets where
/// these end.
///
/// # Safety
/// `C` values from each target, writable; the bias of each sum of a tile.
#[inline(always)]
unsafe fn store_sums<S: Simd, O: Element, const C: usize, const M: usize>(
    simd: S,
    tile: [[S::V; C]; M],
    out: *mut O,
    targets: &[usize],
    epilogue: Epilogue<'_>,
) {
    const { assert!(M * C <= 2 * MAX_LANES && S::LANES <= MAX_LANES) };
    // Row by row, as they go to memory.
    let mut sums = [O::default(); 2 * MAX_LANES];
    // SAFETY: `C` values of each row that there is; whole vectors of what has room for a whole tile.
    unsafe {
        if epilogue.accumulate {
            for (m, target) in targets.iter().enumerate() {
                let there = out.wrapping_add(*target);
                sums.as_mut_ptr().add(m * C).copy_from_nonoverlapping(there, C);
            }
        }
        for at in (0..M * C).step_by(S::LANES) {
            let mut vectors = [simd.splat(0.0); MAX_LANES];
            for lane in 0..S::LANES.min(M * C - at) {
                vectors[lane] = tile[(at + lane) / C][(at + lane) % C];
            }
            let vector = simd.sums_of_lanes(&vectors);
            store_vector(simd, vector, at, sums.as_mut_ptr(), epilogue);
        }
        for (m, target) in targets.iter().enumerate() {
            let to = out.wrapping_add(*target);
            to.copy_from_nonoverlapping(sums.as_ptr().add(m * C), C);
        }
    }
}
