//! The two matrix products that every convolution here comes down to, a tile in registers at a
//! time.
//!
//! Both multiply by a matrix packed in *panels*: blocks of [`panel_width`] columns, each block
//! contiguous from its first row to its last, the last one filled up with zeros.

#![expect(unsafe_code, reason = "tiles read and write through pointers; see the SAFETY comments")]
#![expect(clippy::needless_range_loop, reason = "tiles are written down by their indices")]

use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// Vectors side by side in a tile.
const VECTORS: usize = 2;

/// Rows of a panel are worked on in multiples of this, which every instruction set's tile divides.
pub(crate) const ROW_STEP: usize = 24;

/// Columns of one panel.
pub(crate) fn panel_width(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Avx2 => 16,
        Isa::Avx512 => 32,
    }
}

/// Rows of the tile of [`products_of_columns`].
pub(crate) fn tile_rows(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Avx2 => 6,
        Isa::Avx512 => 8,
    }
}

/// Values of a `rows × columns` matrix packed in panels.
pub(crate) fn panels_len(isa: Isa, rows: usize, columns: usize) -> usize {
    columns.next_multiple_of(panel_width(isa)) * rows
}

/// Packs a matrix of `columns` columns in panels; `row(r)` is its row `r`.
pub(crate) fn pack_panels<'a>(
    isa: Isa,
    columns: usize,
    row: impl Fn(usize) -> &'a [f32],
    panels: &mut [f32],
) {
    let width = panel_width(isa);
    let rows = panels.len() / columns.next_multiple_of(width).max(1);
    if panels.is_empty() {
        return;
    }
    for (block, panel) in panels.chunks_exact_mut(rows * width).enumerate() {
        let start = block * width;
        let n = width.min(columns - start);
        for (r, packed) in panel.chunks_exact_mut(width).enumerate() {
            packed[..n].copy_from_slice(&row(r)[start..][..n]);
            packed[n..].fill(0.0);
        }
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

/// The left matrix of a product, and where each of its rows goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// The values, row by row.
    pub(crate) a: &'a [f32],
    /// Distance from row to row in `a`.
    pub(crate) stride: usize,
    /// Start of each row's product in the output, one per row.
    pub(crate) targets: &'a [usize],
}

/// The right matrix of a product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Panels<'a> {
    /// From the first value of the first panel to the last of the last.
    pub(crate) values: &'a [f32],
    /// Distance from the start of a panel to that of the next.
    pub(crate) stride: usize,
    /// Rows of a panel.
    pub(crate) depth: usize,
    /// Columns of the matrix.
    pub(crate) columns: usize,
}

/// `out[targets[r] + c] = Σₖ a[r·stride + k] · b[k][c]` for each row `r` and each column `c`,
/// with the epilogue.
pub(crate) fn products_of_rows(
    isa: Isa,
    rows: Rows<'_>,
    b: Panels<'_>,
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) {
    let Rows { a, stride, targets } = rows;
    let (Some(last_row), Some(last_panel)) =
        (targets.len().checked_sub(1), b.columns.div_ceil(panel_width(isa)).checked_sub(1))
    else {
        return;
    };
    assert!(last_row * stride + b.depth <= a.len(), "product: too few values on the left");
    let end = last_panel * b.stride + b.depth * panel_width(isa);
    assert!(end <= b.values.len(), "product: too few values on the right");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == b.columns), "product: one bias a column");
    let furthest = targets.iter().max().map_or(0, |target| target + b.columns);
    assert!(furthest <= out.len(), "product: a row ends outside the output");
    // SAFETY: by the assertions every row of `a` has `depth` values, every panel `depth` rows and
    // every target `columns` values of `out`.
    unsafe { rows_by_panels(isa, rows, b, epilogue, out) };
}

per_isa! {
    unsafe fn rows_by_panels(
        rows: Rows<'_>, b: Panels<'_>, epilogue: Epilogue<'_>, out: &mut [f32],
    ) = rows_by_panels_body
}

/// # Safety
/// See [`products_of_rows`].
#[inline(always)]
unsafe fn rows_by_panels_body<S: Simd, const M: usize>(
    simd: S,
    rows: Rows<'_>,
    b: Panels<'_>,
    epilogue: Epilogue<'_>,
    out: &mut [f32],
) {
    let width = VECTORS * S::LANES;
    let (a, n_rows, out) = (rows.a.as_ptr(), rows.targets.len(), out.as_mut_ptr());
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
                *at = unsafe { a.add((first + m.min(n_tile - 1)) * rows.stride) };
            }
            // SAFETY: `M` rows of `depth` values, `depth` rows of a panel.
            let tile = unsafe { tile_of_rows::<S, M>(simd, at, b.depth, panel) };
            for (m, &values) in tile.iter().enumerate().take(n_tile) {
                // SAFETY: columns `start..start + n` of a row of the output.
                unsafe {
                    let to = out.add(rows.targets[first + m] + start);
                    store(simd, values, to, n, bias, epilogue);
                }
            }
        }
    }
}

/// # Safety
/// `a`: rows of `depth` values; `b`: `depth` rows of a panel.
#[inline(always)]
unsafe fn tile_of_rows<S: Simd, const M: usize>(
    simd: S,
    a: [*const f32; M],
    depth: usize,
    b: *const f32,
) -> [[S::V; VECTORS]; M] {
    let zeros = [[simd.splat(0.0); VECTORS]; M];
    let mut total = zeros;
    for start in (0..depth).step_by(STRETCH) {
        let mut tile = zeros;
        for k in start..depth.min(start + STRETCH) {
            // SAFETY: row `k` of the panel, value `k` of each row.
            unsafe {
                let row = b.add(k * VECTORS * S::LANES);
                let b = [simd.load(row), simd.load(row.add(S::LANES))];
                for m in 0..M {
                    let a = simd.splat(*a[m].add(k));
                    tile[m][0] = simd.mul_add(a, b[0], tile[m][0]);
                    tile[m][1] = simd.mul_add(a, b[1], tile[m][1]);
                }
            }
        }
        for m in 0..M {
            for v in 0..VECTORS {
                total[m][v] = simd.add(total[m][v], tile[m][v]);
            }
        }
    }
    total
}

/// Products that are summed one after the other before the sum joins those of other stretches: a
/// sum of thousands would otherwise lose a digit to rounding.
const STRETCH: usize = 128;

/// Writes the first `n` columns of one row of a tile.
///
/// # Safety
/// `to`: `n` values, writable; `n ≤ VECTORS·LANES`.
#[inline(always)]
unsafe fn store<S: Simd>(
    simd: S,
    values: [S::V; VECTORS],
    to: *mut f32,
    n: usize,
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
) {
    if n == VECTORS * S::LANES {
        for (v, mut value) in values.into_iter().enumerate() {
            // SAFETY: a whole vector of the row, and of the bias, which is `n` long.
            unsafe {
                let to = to.add(v * S::LANES);
                if epilogue.accumulate {
                    value = simd.add(value, simd.load(to));
                }
                if let Some(bias) = bias {
                    value = simd.add(value, simd.load(bias.as_ptr().add(v * S::LANES)));
                }
                if epilogue.relu {
                    value = simd.relu(value);
                }
                simd.store(to, value);
            }
        }
        return;
    }
    let mut row = [0.0; 64];
    // SAFETY: `row` has room for both vectors of any instruction set.
    unsafe {
        simd.store(row.as_mut_ptr(), values[0]);
        simd.store(row.as_mut_ptr().add(S::LANES), values[1]);
    }
    // SAFETY: `n` values, by the caller.
    let to = unsafe { std::slice::from_raw_parts_mut(to, n) };
    for (i, (to, mut value)) in to.iter_mut().zip(row).enumerate() {
        if epilogue.accumulate {
            value += *to;
        }
        if let Some(bias) = bias {
            value += bias[i];
        }
        *to = if epilogue.relu && value <= 0.0 { 0.0 } else { value };
    }
}

/// Values of the sums of [`products_of_columns`].
pub(crate) fn sums_len(isa: Isa, rows: usize, columns: usize) -> usize {
    rows.next_multiple_of(tile_rows(isa)) * columns.next_multiple_of(panel_width(isa))
}

/// Where [`products_of_columns`] keeps the sum of row `row` and the columns from a multiple of
/// [`panel_width`]: the start of that many values.
pub(crate) fn sums_at(isa: Isa, row: usize, column: usize, columns: usize) -> usize {
    let (m, width) = (tile_rows(isa), panel_width(isa));
    let blocks = columns.div_ceil(width);
    ((row / m * blocks + column / width) * m + row % m) * width
}

/// `sums[r][c] += Σₚ a[p·stride + r] · b[p][c]`: the left matrix transposed. `a`: `depth` rows of
/// at least `rows` values, rounded up to [`tile_rows`]; `b`: `depth × columns` in panels; `sums`:
/// tile after tile, see [`sums_at`]. With `add` false the sums are replaced.
pub(crate) fn products_of_columns(
    isa: Isa,
    (a, stride, rows): (&[f32], usize, usize),
    b: &[f32],
    columns: usize,
    depth: usize,
    add: bool,
    sums: &mut [f32],
) {
    assert_eq!(sums.len(), sums_len(isa, rows, columns), "product: the sums do not fit");
    assert_eq!(b.len(), panels_len(isa, depth, columns), "product: the panels do not fit");
    if depth > 0 {
        let end = (depth - 1) * stride + rows.next_multiple_of(tile_rows(isa));
        assert!(end <= a.len(), "product: too few values on the left");
    }
    // SAFETY: by the assertions every tile finds its values.
    unsafe { columns_by_panels(isa, a, stride, rows, b, columns, depth, add, sums) };
}

per_isa! {
    unsafe fn columns_by_panels(
        a: &[f32], stride: usize, rows: usize, b: &[f32], columns: usize, depth: usize, add: bool,
        sums: &mut [f32],
    ) = columns_by_panels_body
}

/// # Safety
/// See [`products_of_columns`].
#[expect(clippy::too_many_arguments, reason = "two matrices and a third")]
#[inline(always)]
unsafe fn columns_by_panels_body<S: Simd, const M: usize>(
    simd: S,
    a: &[f32],
    stride: usize,
    rows: usize,
    b: &[f32],
    columns: usize,
    depth: usize,
    add: bool,
    sums: &mut [f32],
) {
    let width = VECTORS * S::LANES;
    let blocks = columns.div_ceil(width);
    for (row, tiles) in sums.chunks_exact_mut(M * blocks * width).enumerate().take(rows.div_ceil(M))
    {
        for (block, sums) in tiles.chunks_exact_mut(M * width).enumerate() {
            // SAFETY: `M` values of each row of `a` from `row·M`; `depth` rows of a panel; a tile.
            unsafe {
                let a = a.as_ptr().add(row * M);
                let b = b.as_ptr().add(block * depth * width);
                tile_of_columns::<S, M>(simd, a, stride, b, depth, add, sums.as_mut_ptr());
            }
        }
    }
}

/// # Safety
/// `a`: `depth` rows, `stride` apart, of `M` values; `b`: `depth` rows of a panel; `sums`: `M`
/// rows of a panel.
#[inline(always)]
unsafe fn tile_of_columns<S: Simd, const M: usize>(
    simd: S,
    a: *const f32,
    stride: usize,
    b: *const f32,
    depth: usize,
    add: bool,
    sums: *mut f32,
) {
    let width = VECTORS * S::LANES;
    let mut tile = [[simd.splat(0.0); VECTORS]; M];
    for p in 0..depth {
        // SAFETY: row `p` of both.
        unsafe {
            let (a, row) = (a.add(p * stride), b.add(p * width));
            let b = [simd.load(row), simd.load(row.add(S::LANES))];
            for m in 0..M {
                let a = simd.splat(*a.add(m));
                tile[m][0] = simd.mul_add(a, b[0], tile[m][0]);
                tile[m][1] = simd.mul_add(a, b[1], tile[m][1]);
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
