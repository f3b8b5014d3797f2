//! The two matrix products that every convolution here comes down to, a tile in registers at a
//! time.
//!
//! Both multiply by a matrix packed in *panels*: blocks of [`panel_width`] columns, each block
//! contiguous from its first row to its last, the last one filled up with zeros.
//!
//! What is multiplied are [`Factor`]s: values of f32, or pairs of bf16. Depths count factors.

#![expect(unsafe_code, reason = "tiles read and write through pointers; see the SAFETY comments")]
#![expect(clippy::needless_range_loop, reason = "tiles are written down by their indices")]

use std::ops::Range;

use crate::element::Element;
use crate::factor::Factor;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

mod panels;
mod places;

use panels::lanes;
pub(crate) use panels::{depth_of, join_rows, pack_panels, panel_width, panels_len};
pub(crate) use places::{PlaceTable, Places};

/// Rows of a panel are worked on in multiples of this, which every instruction set's tile divides.
pub(crate) const ROW_STEP: usize = 24;

/// Rows of the tile of [`products_of_columns`].
pub(crate) fn tile_rows(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Avx2 => 6,
        Isa::Avx512 | Isa::Avx512Bf16 => 8,
    }
}

/// What is done to a product on its way to memory, in this order: add what is there, add the
/// bias, ReLU.
#[derive(Debug, Clone, Copy, Default)]
pub struct Epilogue<'a> {
    /// Added to what the output holds instead of replacing it.
    pub accumulate: bool,
    /// Added to every pixel, `(K)`.
    pub bias: Option<&'a [f32]>,
    /// `max(·, 0)` at the end; a NaN stays NaN.
    pub relu: bool,
}

/// The left matrix of a product, and where each of its rows goes. A row is made of runs of factors,
/// all at the same distances from its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a, F> {
    /// The factors.
    pub(crate) a: &'a [F],
    /// Where each row starts in `a`.
    pub(crate) starts: Places<'a>,
    /// Number of runs, the distance from one to the next, and their length.
    pub(crate) runs: (usize, usize, usize),
    /// Start of each row's product in the output, one per row.
    pub(crate) targets: Places<'a>,
}

/// The right matrix of a product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panels<'a, F> {
    /// From the first factor of the first panel to the last of the last.
    pub(crate) values: &'a [F],
    /// Distance from the start of a panel to that of the next.
    pub(crate) stride: usize,
    /// Rows of a panel.
    pub(crate) depth: usize,
    /// Columns of the matrix.
    pub(crate) columns: usize,
}

/// `out[targets[r] + c] = Σₖ row_r[k] · b[k][c]` for each row `r` and each column `c`, with the
/// epilogue.
pub(crate) fn products_of_rows<F: Factor, O: Element>(
    isa: Isa,
    rows: Rows<'_, F>,
    b: Panels<'_, F>,
    epilogue: Epilogue<'_>,
    out: &mut [O],
) {
    let Rows { a, starts, runs: (n_runs, run_stride, run_len), targets } = rows;
    let n_panels = b.columns.div_ceil(panel_width(isa, b.columns));
    if starts.len() == 0 || n_panels == 0 {
        return;
    }
    assert_eq!(starts.len(), targets.len(), "product: one target a row");
    assert_eq!(n_runs * run_len, b.depth, "product: rows and panels of different depth");
    let last_run = starts.bound() + n_runs.saturating_sub(1) * run_stride;
    assert!(last_run + run_len <= a.len(), "product: too few values on the left");
    let end = (n_panels - 1) * b.stride + b.depth * panel_width(isa, b.columns);
    assert!(end <= b.values.len(), "product: too few values on the right");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == b.columns), "product: one bias a column");
    assert!(targets.bound() + b.columns <= out.len(), "product: a row ends outside the output");
    // SAFETY: by the assertions every row's runs lie in `a`, every panel has `depth` rows and every
    // target `columns` values of `out`.
    unsafe {
        if b.columns <= lanes(isa) {
            rows_by_panels::<F, O, 1>(isa, rows, b, epilogue, out);
        } else {
            rows_by_panels::<F, O, 2>(isa, rows, b, epilogue, out);
        }
    }
}

per_isa! {
    unsafe fn rows_by_panels<F: Factor, O: Element; const V: usize>(
        rows: Rows<'_, F>, b: Panels<'_, F>, epilogue: Epilogue<'_>, out: &mut [O],
    ) = rows_by_panels_body
}

/// # Safety
/// See [`products_of_rows`].
#[inline(always)]
unsafe fn rows_by_panels_body<S: Simd, F: Factor, O: Element, const V: usize, const M: usize>(
    simd: S,
    rows: Rows<'_, F>,
    b: Panels<'_, F>,
    epilogue: Epilogue<'_>,
    out: &mut [O],
) {
    let width = V * S::LANES;
    let (a, n_rows, out) = (rows.a.as_ptr(), rows.targets.len(), out.as_mut_ptr());
    let (starts, targets) = (rows.starts.at(), rows.targets.at());
    for block in 0..b.columns.div_ceil(width) {
        let start = block * width;
        let n = width.min(b.columns - start);
        // SAFETY: the start of a panel.
        let panel = unsafe { b.values.as_ptr().add(block * b.stride) };
        let bias = epilogue.bias.map(|bias| &bias[start..start + n]);
        for first in (0..n_rows).step_by(M) {
            let n_tile = M.min(n_rows - first);
            // A tile at the end repeats its last row, and does not store it again.
            let mut at = [a; M];
            for (m, at) in at.iter_mut().enumerate() {
                // SAFETY: a row of `a`.
                *at = unsafe { a.add(starts[first + m.min(n_tile - 1)]) };
            }
            // SAFETY: the runs of `M` rows, `depth` rows of a panel.
            let tile = unsafe { tile_of_rows::<S, F, V, M>(simd, at, rows.runs, panel) };
            if n_tile == M && n == width {
                // All indices known, so that the tile goes from its registers to memory.
                for m in 0..M {
                    // SAFETY: the columns of a whole panel of a row of the output.
                    unsafe {
                        let to = out.add(targets[first + m] + start);
                        store(simd, tile[m], to, width, bias, epilogue);
                    }
                }
                continue;
            }
            for (m, &values) in tile.iter().enumerate().take(n_tile) {
                // SAFETY: columns `start..start + n` of a row of the output.
                unsafe {
                    let to = out.add(targets[first + m] + start);
                    store(simd, values, to, n, bias, epilogue);
                }
            }
        }
    }
}

/// # Safety
/// `a`: the starts of rows whose runs are there; `b`: as many rows of a panel.
#[inline(always)]
unsafe fn tile_of_rows<S: Simd, F: Factor, const V: usize, const M: usize>(
    simd: S,
    mut a: [*const F; M],
    (n_runs, run_stride, run_len): (usize, usize, usize),
    mut b: *const F,
) -> [[S::V; V]; M] {
    let zeros = [[simd.splat(0.0); V]; M];
    if n_runs * run_len <= STRETCH {
        // Without a second set of sums, which would not fit into the registers.
        let mut tile = zeros;
        for _ in 0..n_runs {
            // SAFETY: the next rows of the panel, the next run of each row.
            unsafe {
                tile = sum_stretch::<S, F, V, M>(simd, a, 0..run_len, b, tile);
                b = b.add(run_len * V * S::LANES);
            }
            for a in &mut a {
                // Behind the last run it is not looked at.
                *a = a.wrapping_add(run_stride);
            }
        }
        return tile;
    }
    let (mut total, mut tile, mut n) = (zeros, zeros, 0);
    for run in 0..n_runs {
        for start in (0..run_len).step_by(STRETCH) {
            let end = run_len.min(start + STRETCH);
            // SAFETY: the next rows of the panel, values `start..end` of each row's run.
            unsafe {
                tile = sum_stretch::<S, F, V, M>(simd, a, start..end, b, tile);
                b = b.add((end - start) * V * S::LANES);
            }
            n += end - start;
            let is_last = run + 1 == n_runs && end == run_len;
            if n >= STRETCH && !is_last {
                for m in 0..M {
                    for v in 0..V {
                        total[m][v] = simd.add(total[m][v], tile[m][v]);
                    }
                }
                (tile, n) = (zeros, 0);
            }
        }
        for a in &mut a {
            // The next run's start; behind the last run it is not looked at.
            *a = a.wrapping_add(run_stride);
        }
    }
    if n_runs * run_len > n {
        for m in 0..M {
            for v in 0..V {
                tile[m][v] = simd.add(total[m][v], tile[m][v]);
            }
        }
    }
    tile
}

/// `tile` and the products of the values `range` of each row with as many rows of a panel.
///
/// # Safety
/// The values and the rows are there.
#[inline(always)]
unsafe fn sum_stretch<S: Simd, F: Factor, const V: usize, const M: usize>(
    simd: S,
    a: [*const F; M],
    range: Range<usize>,
    mut b: *const F,
    mut tile: [[S::V; V]; M],
) -> [[S::V; V]; M] {
    for k in range {
        // SAFETY: the next row of the panel, value `k` of each row.
        unsafe {
            let mut row = [simd.splat(0.0); V];
            for v in 0..V {
                row[v] = simd.load(b.add(v * S::LANES).cast());
            }
            for m in 0..M {
                let a = simd.splat(*a[m].add(k).cast());
                for v in 0..V {
                    tile[m][v] = F::mul_add(simd, a, row[v], tile[m][v]);
                }
            }
            b = b.add(V * S::LANES);
        }
    }
    tile
}

/// Products that are summed one after the other before the sum joins those of other stretches: a
/// sum of thousands would otherwise lose a digit to rounding.
const STRETCH: usize = 128;

/// Writes the first `n` columns of one row of a tile.
///
/// # Safety
/// `to`: `n` values, writable; `n ≤ V·LANES`.
#[inline(always)]
unsafe fn store<S: Simd, O: Element, const V: usize>(
    simd: S,
    values: [S::V; V],
    to: *mut O,
    n: usize,
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
) {
    if n == V * S::LANES {
        for (v, mut value) in values.into_iter().enumerate() {
            // SAFETY: a whole vector of the row, and of the bias, which is `n` long.
            unsafe {
                let to = to.add(v * S::LANES);
                if epilogue.accumulate {
                    value = simd.add(value, O::load(simd, to));
                }
                if let Some(bias) = bias {
                    value = simd.add(value, simd.load(bias.as_ptr().add(v * S::LANES)));
                }
                if epilogue.relu {
                    value = simd.relu(value);
                }
                O::store(simd, to, value);
            }
        }
        return;
    }
    let mut row = [0.0; 64];
    for (v, value) in values.into_iter().enumerate() {
        // SAFETY: `row` has room for two vectors of any instruction set.
        unsafe { simd.store(row.as_mut_ptr().add(v * S::LANES), value) };
    }
    // SAFETY: `n` values, by the caller.
    let to = unsafe { std::slice::from_raw_parts_mut(to, n) };
    for (i, (to, mut value)) in to.iter_mut().zip(row).enumerate() {
        if epilogue.accumulate {
            value += to.to_f32();
        }
        if let Some(bias) = bias {
            value += bias[i];
        }
        *to = O::from_f32(if epilogue.relu && value <= 0.0 { 0.0 } else { value });
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
}

/// `sums[r][c] += Σₚ rowₚ[r] · b[p][c]`: the left matrix transposed. `b`: as many rows as the left
/// matrix, and `columns` columns, in panels; `sums`: tile after tile, see [`sums_at`]. With `add`
/// false the sums are replaced.
pub(crate) fn products_of_columns<F: Factor>(
    isa: Isa,
    a: Columns<'_, F>,
    b: &[F],
    columns: usize,
    add: bool,
    sums: &mut [f32],
) {
    let Columns { a: factors, starts, offsets } = a;
    assert_eq!(sums.len(), sums_len(isa, offsets.len(), columns), "product: the sums do not fit");
    assert_eq!(b.len(), panels_len(isa, starts.len(), columns), "product: the panels do not fit");
    if sums.is_empty() {
        return;
    }
    if starts.len() > 0 {
        let furthest = starts.bound() + offsets.bound();
        assert!(furthest < factors.len(), "product: too few values on the left");
    }
    // SAFETY: by the assertions every tile finds its values.
    unsafe {
        if columns <= lanes(isa) {
            columns_by_panels::<F, 1>(isa, a, b, columns, add, sums);
        } else {
            columns_by_panels::<F, 2>(isa, a, b, columns, add, sums);
        }
    }
}

per_isa! {
    unsafe fn columns_by_panels<F: Factor; const V: usize>(
        a: Columns<'_, F>, b: &[F], columns: usize, add: bool, sums: &mut [f32],
    ) = columns_by_panels_body
}

/// # Safety
/// See [`products_of_columns`].
#[inline(always)]
unsafe fn columns_by_panels_body<S: Simd, F: Factor, const V: usize, const M: usize>(
    simd: S,
    a: Columns<'_, F>,
    b: &[F],
    columns: usize,
    add: bool,
    sums: &mut [f32],
) {
    let (width, depth) = (V * S::LANES, a.starts.len());
    let (rows, blocks) = (a.offsets.len(), columns.div_ceil(width));
    let (starts, places) = (a.starts.at(), a.offsets.at());
    for block in 0..blocks {
        for tile in 0..rows.div_ceil(M) {
            // Rows beyond the last repeat it; their sums are not looked at.
            let mut offsets = [0; M];
            for m in 0..M {
                offsets[m] = places[(tile * M + m).min(rows - 1)];
            }
            let side_by_side = offsets.iter().enumerate().all(|(m, at)| *at == offsets[0] + m);
            // SAFETY: every row's factors lie in `a`; `depth` rows of a panel; a tile of the sums.
            unsafe {
                let b = b.as_ptr().add(block * depth * width);
                let sums = sums.as_mut_ptr().add((tile * blocks + block) * M * width);
                let a = (a.a.as_ptr(), starts);
                if side_by_side {
                    tile_of_columns::<S, F, V, M, true>(simd, a, offsets, b, add, sums);
                } else {
                    tile_of_columns::<S, F, V, M, false>(simd, a, offsets, b, add, sums);
                }
            }
        }
    }
}

/// # Safety
/// `a`: from each start the factors at `offsets`, which run on one by one where `NEAR`; `b`: as
/// many rows of a panel as starts; `sums`: `M` rows of a panel.
#[inline(always)]
unsafe fn tile_of_columns<S: Simd, F: Factor, const V: usize, const M: usize, const NEAR: bool>(
    simd: S,
    (a, starts): (*const F, &[usize]),
    offsets: [usize; M],
    b: *const F,
    add: bool,
    sums: *mut f32,
) {
    let width = V * S::LANES;
    let mut tile = [[simd.splat(0.0); V]; M];
    for (p, &start) in starts.iter().enumerate() {
        // SAFETY: row `p` of both.
        unsafe {
            let (a, b) = (a.add(start + if NEAR { offsets[0] } else { 0 }), b.add(p * width));
            let mut row = [simd.splat(0.0); V];
            for v in 0..V {
                row[v] = simd.load(b.add(v * S::LANES).cast());
            }
            for m in 0..M {
                let a = simd.splat(*a.add(if NEAR { m } else { offsets[m] }).cast());
                for v in 0..V {
                    tile[m][v] = F::mul_add(simd, a, row[v], tile[m][v]);
                }
            }
        }
    }
    for (m, row) in tile.into_iter().enumerate() {
        for (v, mut value) in row.into_iter().enumerate() {
            // SAFETY: a vector of the tile's sums.
            unsafe {
                let to = sums.add(m * width + v * S::LANES);
                if add {
                    value = simd.add(value, simd.load(to));
                }
                simd.store(to, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
