//! The product of a transposed matrix, whose rows lie anywhere, with one in panels: sums over many
//! pixels.

#![expect(unsafe_code, reason = "tiles read and write through pointers; see the SAFETY comments")]
#![expect(clippy::needless_range_loop, reason = "tiles are written down by their indices")]

use std::ops::Range;

use super::panels::{join_rows, lanes, panel_width, panels_len, vector_at};
use super::{Ahead, Places};
use crate::factor::Factor;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

mod thin;

use thin::is_thin;

/// Rows of a tile of both products. Those of [`products_of_columns`], its sums and [`Spans`] are for it; thin
/// products, and products of rows with narrow or very wide matrices, have tiles of their own.
pub(crate) fn tile_rows(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Avx2 => 6,
        Isa::Avx512 | Isa::Avx512Bf16 => 8,
    }
}

/// Values of the sums of [`products_of_columns`].
pub(crate) fn sums_len(isa: Isa, rows: usize, columns: usize) -> usize {
    rows.next_multiple_of(tile_rows(isa)) * columns.next_multiple_of(panel_width(isa, columns))
}

/// Where [`products_of_columns`] keeps the sum of row `row` and the columns from a multiple of
/// [`panel_width`]: the start of that many values.
pub(crate) fn sums_at(isa: Isa, row: usize, column: usize, columns: usize) -> usize {
    let (m, width) = (tile_rows(isa), panel_width(isa, columns));
    let blocks = columns.div_ceil(width);
    ((row / m * blocks + column / width) * m + row % m) * width
}

/// The left matrix of [`products_of_columns`], which it is transposed in: the factors of each row
/// lie at the same distances from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Columns<'a, F> {
    /// The factors.
    pub(crate) a: &'a [F],
    /// Where each row starts in `a`.
    pub(crate) starts: Places<'a>,
    /// Where its factors lie from there, one for each row of the sums.
    pub(crate) offsets: Places<'a>,
    /// The rows that are summed, where others have only zeros for some rows of the sums.
    pub(crate) spans: Option<Spans<'a>>,
    /// What is multiplied next.
    pub(crate) ahead: Ahead,
}

/// The rows of a left matrix that each tile of the sums is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spans<'a> {
    /// Lists of rows, one after the other.
    pub(crate) lists: &'a [Vec<Range<usize>>],
    /// The list of each tile: of [`tile_rows`] rows of the sums.
    pub(crate) of_tile: &'a [usize],
}

/// Columns of a tile, where all rows are summed.
pub(crate) fn tile_columns(isa: Isa, rows: usize, columns: usize) -> usize {
    if is_thin(isa, rows, columns) { columns } else { panel_width(isa, columns) }
}

/// The right matrix of [`products_of_columns`].
#[derive(Debug)]
pub(crate) enum Right<'a, F: Factor> {
    /// In panels.
    Panels(&'a [F]),
    /// Row after row; of whole panels.
    Rows(&'a [F]),
    /// Row after row what the values of two matrices make, the first alone where there is no second; of whole
    /// panels, for which there is room.
    Joined(&'a [F::Value], Option<&'a [F::Value]>, &'a mut [F]),
}

/// The factors of a right matrix.
#[derive(Clone, Copy)]
struct Factors<F: Factor> {
    start: *const F,
    /// From a panel to the next, and from a row to the next.
    panel_stride: usize,
    row_stride: usize,
    /// Of what they have to be made yet, and where they go.
    unmade: Option<([*const F::Value; 2], *mut F)>,
}

/// `sums[r][c] += Σₚ rowₚ[r] · b[p][c]`: the left matrix transposed. `b`: as many rows as the left
/// matrix, and `columns` columns; `sums`: tile after tile, see [`sums_at`]. With `add` false the sums are
/// replaced.
pub(crate) fn products_of_columns<F: Factor>(
    isa: Isa,
    a: Columns<'_, F>,
    b: Right<'_, F>,
    columns: usize,
    add: bool,
    sums: &mut [f32],
) {
    let Columns { a: factors, starts, offsets, spans, .. } = a;
    assert_eq!(sums.len(), sums_len(isa, offsets.len(), columns), "product: the sums do not fit");
    let thin = is_thin(isa, offsets.len(), columns) && spans.is_none();
    let (width, n_values) = (panel_width(isa, columns), panels_len(isa, starts.len(), columns));
    let rows_at = |start| Factors { start, panel_stride: width, row_stride: columns, unmade: None };
    let (b, len) = match b {
        Right::Panels(b) => {
            let panel_stride = starts.len() * width;
            (Factors { panel_stride, row_stride: width, ..rows_at(b.as_ptr()) }, b.len())
        }
        Right::Rows(b) => (rows_at(b.as_ptr()), b.len()),
        Right::Joined(first, Some(second), room) if thin => {
            let enough = [first, second].iter().all(|values| values.len() >= room.len());
            assert!(enough, "product: values to be joined do not fit");
            let to = room.as_mut_ptr();
            let unmade = Some(([first.as_ptr(), second.as_ptr()], to));
            (Factors { unmade, ..rows_at(to) }, room.len())
        }
        Right::Joined(first, second, room) => {
            join_rows(isa, first, second, room);
            (rows_at(room.as_ptr()), room.len())
        }
    };
    assert_eq!(len, n_values, "product: the right matrix does not fit");
    if sums.is_empty() {
        return;
    }
    if starts.len() > 0 {
        let furthest = starts.bound() + offsets.bound();
        assert!(furthest < factors.len(), "product: too few values on the left");
    }
    if let Some(Spans { lists, of_tile }) = spans {
        let there = |span: &Range<usize>| span.start <= span.end && span.end <= starts.len();
        assert!(lists.iter().flatten().all(there), "product: rows that are not there");
        assert_eq!(
            of_tile.len(),
            offsets.len().div_ceil(tile_rows(isa)),
            "product: lists of tiles"
        );
    }
    // SAFETY: by the assertions every tile finds its values.
    unsafe {
        if thin {
            thin::columns_by_rows::<F>(isa, a, b, add, sums);
        } else if columns <= lanes(isa) {
            columns_by_panels::<F, 1>(isa, a, b, columns, add, sums);
        } else {
            columns_by_panels::<F, 2>(isa, a, b, columns, add, sums);
        }
    }
}

per_isa! {
    unsafe fn columns_by_panels<F: Factor; const V: usize>(
        a: Columns<'_, F>, b: Factors<F>, columns: usize, add: bool, sums: &mut [f32],
    ) = columns_by_panels_body
}

/// # Safety
/// See [`products_of_columns`].
#[inline(always)]
unsafe fn columns_by_panels_body<S: Simd, F: Factor, const V: usize, const M: usize>(
    simd: S,
    a: Columns<'_, F>,
    b: Factors<F>,
    columns: usize,
    add: bool,
    sums: &mut [f32],
) {
    let (width, depth) = (V * S::LANES, a.starts.len());
    let (rows, blocks) = (a.offsets.len(), columns.div_ceil(width));
    let tiles = rows.div_ceil(M);
    let shares = a.ahead.shares(blocks * tiles, depth);
    let (starts, places) = (a.starts.at(), a.offsets.at());
    let whole = 0..depth;
    let all = std::slice::from_ref(&whole);
    for block in 0..blocks {
        for tile in 0..tiles {
            // Rows beyond the last repeat it; their sums are not looked at.
            let mut offsets = [0; M];
            for m in 0..M {
                offsets[m] = places[(tile * M + m).min(rows - 1)];
            }
            let spans = a.spans.map_or(all, |spans| &spans.lists[spans.of_tile[tile]]);
            let side_by_side = offsets.iter().enumerate().all(|(m, at)| *at == offsets[0] + m);
            // SAFETY: every row's factors lie in `a`; `depth` rows of a panel; a tile of the sums.
            unsafe {
                let b = Factors { start: b.start.add(block * b.panel_stride), ..b };
                let sums = sums.as_mut_ptr().add((tile * blocks + block) * M * width);
                let a = (a.a.as_ptr(), starts, spans);
                let ahead = shares.start(block * tiles + tile);
                // Where nothing is left to fetch, what is there: an address without memory would be looked
                // up in every step. Most tiles with nothing to fetch are side by side.
                let fetched = (ahead.unwrap_or(b.start.addr()), shares.step);
                let put = |m: usize, v: usize, value| {
                    let to = sums.add(m * width + v * S::LANES);
                    simd.store(to, if add { simd.add(value, simd.load(to)) } else { value });
                };
                if side_by_side && ahead.is_none() {
                    tile_of_columns::<S, F, V, M, true, false, false>(
                        simd, a, offsets, b, fetched, put,
                    );
                } else if side_by_side {
                    tile_of_columns::<S, F, V, M, true, true, false>(
                        simd, a, offsets, b, fetched, put,
                    );
                } else if rows - tile * M <= FEW {
                    const { assert!(FEW <= M) };
                    let offsets = std::array::from_fn(|m| offsets[m]);
                    tile_of_columns::<S, F, V, FEW, false, true, false>(
                        simd, a, offsets, b, fetched, put,
                    );
                } else {
                    tile_of_columns::<S, F, V, M, false, true, false>(
                        simd, a, offsets, b, fetched, put,
                    );
                }
            }
        }
    }
}

/// A last tile of at most so many rows is one of so many; those behind are not written.
const FEW: usize = 4;

/// `FETCH`: whether `ahead` and what follows it are fetched; `JOIN`: whether the right matrix is made on the way.
/// With `V` 4 a tile has two panels. `put(m, v, sum)` takes its sums.
///
/// # Safety
/// `a`: from each start the factors at `offsets`, which run on one by one where `NEAR`; `b`: as
/// many rows of its panels as starts, of which `spans` are some, with `JOIN` all, not made yet.
#[inline(always)]
unsafe fn tile_of_columns<
    S: Simd,
    F: Factor,
    const V: usize,
    const M: usize,
    const NEAR: bool,
    const FETCH: bool,
    const JOIN: bool,
>(
    simd: S,
    (a, starts, spans): (*const F, &[usize], &[Range<usize>]),
    offsets: [usize; M],
    b: Factors<F>,
    (mut ahead, step): (usize, usize),
    put: impl Fn(usize, usize, S::V),
) {
    let mut tile = [[simd.splat(0.0); V]; M];
    for span in spans {
        // One pointer a step and no index: the offsets alone take half of the general registers.
        let mut at = b.start.wrapping_add(span.start * b.row_stride);
        let mut unmade = b.unmade;
        // SAFETY: the starts of the rows of a span.
        for start in unsafe { starts.get_unchecked(span.clone()) } {
            if FETCH {
                simd.fetch(ahead);
                ahead = ahead.wrapping_add(step);
            }
            // SAFETY: a row of both.
            unsafe {
                let a = a.add(start + if NEAR { offsets[0] } else { 0 });
                let mut row = [simd.splat(0.0); V];
                if let (true, Some((values, to))) = (JOIN, &mut unmade) {
                    for two in 0..V / 2 {
                        let values = values.map(|values| values.add(two * 2 * S::LANES));
                        let made = F::join_rows(simd, values);
                        for v in 0..2 {
                            row[2 * two + v] = made[v];
                            simd.store(to.add((2 * two + v) * S::LANES).cast(), made[v]);
                        }
                    }
                    *values = values.map(|values| values.wrapping_add(b.row_stride));
                    *to = to.wrapping_add(b.row_stride);
                } else {
                    for v in 0..V {
                        let from = at.add(vector_at::<V>(v, S::LANES, b.panel_stride));
                        row[v] = simd.load(from.cast());
                    }
                    // Behind the last row it is not looked at.
                    at = at.wrapping_add(b.row_stride);
                }
                for m in 0..M {
                    let a = simd.splat(*a.add(if NEAR { m } else { offsets[m] }).cast());
                    for v in 0..V {
                        tile[m][v] = F::mul_add(simd, a, row[v], tile[m][v]);
                    }
                }
            }
        }
    }
    for m in 0..M {
        for v in 0..V {
            put(m, v, tile[m][v]);
        }
    }
}
