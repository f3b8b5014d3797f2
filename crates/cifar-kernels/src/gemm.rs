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

use crate::buffer::factors;
use crate::element::Element;
use crate::factor::Factor;
use crate::isa::Isa;
use crate::simd::{Lane, Simd, per_isa};

/// Vectors side by side in a tile.
pub(crate) const VECTORS: usize = 2;

/// Rows of a panel are worked on in multiples of this, which every instruction set's tile divides.
pub(crate) const ROW_STEP: usize = 24;

/// Columns of one panel.
pub(crate) fn panel_width(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Avx2 => 16,
        Isa::Avx512 | Isa::Avx512Bf16 => 32,
    }
}

/// Rows of the tile of [`products_of_columns`].
pub(crate) fn tile_rows(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Avx2 => 6,
        Isa::Avx512 | Isa::Avx512Bf16 => 8,
    }
}

/// Factors that `n` values make up, the last one filled up with zeros.
pub(crate) fn depth_of<E: Element>(n: usize) -> usize {
    n.div_ceil(E::Factor::VALUES)
}

/// Factors of a matrix of `rows × columns` factors packed in panels.
pub(crate) fn panels_len(isa: Isa, rows: usize, columns: usize) -> usize {
    columns.next_multiple_of(panel_width(isa)) * rows
}

/// Packs a matrix of `rows × columns` values in panels; `row(r)` is its row `r`.
pub(crate) fn pack_panels<'a, E: Element>(
    isa: Isa,
    (rows, columns): (usize, usize),
    row: impl Fn(usize) -> &'a [E],
    panels: &mut [E::Factor],
) {
    let (width, depth) = (panel_width(isa), depth_of::<E>(rows));
    assert_eq!(panels.len(), panels_len(isa, depth, columns), "panels: the matrix does not fit");
    if panels.is_empty() {
        return;
    }
    for (block, panel) in panels.chunks_exact_mut(depth * width).enumerate() {
        let start = block * width;
        let n = width.min(columns - start);
        for (d, packed) in panel.chunks_exact_mut(width).enumerate() {
            let r = d * E::Factor::VALUES;
            let paired = E::Factor::VALUES > 1 && r + 1 < rows;
            let second = paired.then(|| &row(r + 1)[start..start + n]);
            let (packed, beyond) = packed.split_at_mut(n);
            join_rows(isa, &row(r)[start..start + n], second, packed);
            beyond.fill(E::Factor::default());
        }
    }
}

/// The factors of two rows of values; of the first alone for f32, with zeros where there is no
/// second.
pub(crate) fn join_rows<E: Element>(
    isa: Isa,
    first: &[E],
    second: Option<&[E]>,
    out: &mut [E::Factor],
) {
    if E::Factor::VALUES == 1 {
        return out.copy_from_slice(&factors(first)[..out.len()]);
    }
    assert!(first.len() >= out.len(), "factors: too few values");
    assert!(second.is_none_or(|second| second.len() >= out.len()), "factors: too few values");
    // SAFETY: by the assertions there are as many values as factors.
    unsafe { join_values::<E>(isa, first, second, out) };
}

per_isa! {
    unsafe fn join_values<E: Element>(
        first: &[E], second: Option<&[E]>, out: &mut [E::Factor],
    ) = join_values_body
}

/// # Safety
/// See [`join_rows`].
#[inline(always)]
unsafe fn join_values_body<S: Simd, E: Element, const M: usize>(
    simd: S,
    first: &[E],
    second: Option<&[E]>,
    out: &mut [E::Factor],
) {
    let mut at = 0;
    while at + S::LANES <= out.len() {
        // SAFETY: a vector of all three is left.
        unsafe { join_at(simd, at, first, second, out) };
        at += S::LANES;
    }
    while at < out.len() {
        // SAFETY: a value of all three is left.
        unsafe { join_at(Lane, at, first, second, out) };
        at += 1;
    }
}

/// # Safety
/// A vector of all three from `at`.
#[inline(always)]
unsafe fn join_at<S: Simd, E: Element>(
    simd: S,
    at: usize,
    first: &[E],
    second: Option<&[E]>,
    out: &mut [E::Factor],
) {
    // SAFETY: the caller's; a factor is as large and as aligned as an f32.
    unsafe {
        let first = E::load(simd, first.as_ptr().add(at));
        let second = match second {
            Some(second) => E::load(simd, second.as_ptr().add(at)),
            None => simd.splat(0.0),
        };
        let factors = E::Factor::join(simd, [first, second]);
        simd.store(out.as_mut_ptr().add(at).cast(), factors);
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
pub(crate) struct Rows<'a, F> {
    /// The factors, row by row.
    pub(crate) a: &'a [F],
    /// Distance from row to row in `a`.
    pub(crate) stride: usize,
    /// Start of each row's product in the output, one per row.
    pub(crate) targets: &'a [usize],
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

/// `out[targets[r] + c] = Σₖ a[r·stride + k] · b[k][c]` for each row `r` and each column `c`,
/// with the epilogue.
pub(crate) fn products_of_rows<F: Factor, O: Element>(
    isa: Isa,
    rows: Rows<'_, F>,
    b: Panels<'_, F>,
    epilogue: Epilogue<'_>,
    out: &mut [O],
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
    unsafe fn rows_by_panels<F: Factor, O: Element>(
        rows: Rows<'_, F>, b: Panels<'_, F>, epilogue: Epilogue<'_>, out: &mut [O],
    ) = rows_by_panels_body
}

/// # Safety
/// See [`products_of_rows`].
#[inline(always)]
unsafe fn rows_by_panels_body<S: Simd, F: Factor, O: Element, const M: usize>(
    simd: S,
    rows: Rows<'_, F>,
    b: Panels<'_, F>,
    epilogue: Epilogue<'_>,
    out: &mut [O],
) {
    let width = VECTORS * S::LANES;
    let plain = !epilogue.accumulate && epilogue.bias.is_none() && !epilogue.relu;
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
            let tile = unsafe { tile_of_rows::<S, F, M>(simd, at, b.depth, panel) };
            if plain && n_tile == M && n == width {
                // All indices known, so that the tile goes from its registers to memory.
                for m in 0..M {
                    for v in 0..VECTORS {
                        // SAFETY: a vector of columns `start..start + n` of a row of the output.
                        unsafe {
                            let to = out.add(rows.targets[first + m] + start + v * S::LANES);
                            O::store(simd, to, tile[m][v]);
                        }
                    }
                }
                continue;
            }
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
/// `a`: rows of `depth` factors; `b`: `depth` rows of a panel.
#[inline(always)]
unsafe fn tile_of_rows<S: Simd, F: Factor, const M: usize>(
    simd: S,
    a: [*const F; M],
    depth: usize,
    b: *const F,
) -> [[S::V; VECTORS]; M] {
    // SAFETY: the caller's, for each stretch.
    unsafe {
        let mut total = stretch_of_rows::<S, F, M>(simd, a, 0..depth.min(STRETCH), b);
        for start in (STRETCH..depth).step_by(STRETCH) {
            let stretch = start..depth.min(start + STRETCH);
            let tile = stretch_of_rows::<S, F, M>(simd, a, stretch, b);
            for m in 0..M {
                for v in 0..VECTORS {
                    total[m][v] = simd.add(total[m][v], tile[m][v]);
                }
            }
        }
        total
    }
}

/// The sums over some of the depth.
///
/// # Safety
/// As for [`tile_of_rows`]; `depth`: a part of it.
#[inline(always)]
unsafe fn stretch_of_rows<S: Simd, F: Factor, const M: usize>(
    simd: S,
    a: [*const F; M],
    depth: Range<usize>,
    b: *const F,
) -> [[S::V; VECTORS]; M] {
    let mut tile = [[simd.splat(0.0); VECTORS]; M];
    for k in depth {
        // SAFETY: row `k` of the panel, value `k` of each row.
        unsafe {
            let row = b.add(k * VECTORS * S::LANES).cast();
            let b = [simd.load(row), simd.load(row.add(S::LANES))];
            for m in 0..M {
                let a = simd.splat(*a[m].add(k).cast());
                tile[m][0] = F::mul_add(simd, a, b[0], tile[m][0]);
                tile[m][1] = F::mul_add(simd, a, b[1], tile[m][1]);
            }
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
/// `to`: `n` values, writable; `n ≤ VECTORS·LANES`.
#[inline(always)]
unsafe fn store<S: Simd, O: Element>(
    simd: S,
    values: [S::V; VECTORS],
    to: *mut O,
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
    // SAFETY: `row` has room for both vectors of any instruction set.
    unsafe {
        simd.store(row.as_mut_ptr(), values[0]);
        simd.store(row.as_mut_ptr().add(S::LANES), values[1]);
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
pub(crate) fn products_of_columns<F: Factor>(
    isa: Isa,
    (a, stride, rows): (&[F], usize, usize),
    b: &[F],
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
    unsafe fn columns_by_panels<F: Factor>(
        a: &[F], stride: usize, rows: usize, b: &[F], columns: usize, depth: usize, add: bool,
        sums: &mut [f32],
    ) = columns_by_panels_body
}

/// # Safety
/// See [`products_of_columns`].
#[expect(clippy::too_many_arguments, reason = "two matrices and a third")]
#[inline(always)]
unsafe fn columns_by_panels_body<S: Simd, F: Factor, const M: usize>(
    simd: S,
    a: &[F],
    stride: usize,
    rows: usize,
    b: &[F],
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
                tile_of_columns::<S, F, M>(simd, a, stride, b, depth, add, sums.as_mut_ptr());
            }
        }
    }
}

/// # Safety
/// `a`: `depth` rows, `stride` apart, of `M` values; `b`: `depth` rows of a panel; `sums`: `M`
/// rows of a panel.
#[inline(always)]
unsafe fn tile_of_columns<S: Simd, F: Factor, const M: usize>(
    simd: S,
    a: *const F,
    stride: usize,
    b: *const F,
    depth: usize,
    add: bool,
    sums: *mut f32,
) {
    let width = VECTORS * S::LANES;
    let mut tile = [[simd.splat(0.0); VECTORS]; M];
    for p in 0..depth {
        // SAFETY: row `p` of both.
        unsafe {
            let (a, row) = (a.add(p * stride), b.add(p * width).cast());
            let b = [simd.load(row), simd.load(row.add(S::LANES))];
            for m in 0..M {
                let a = simd.splat(*a.add(m).cast());
                tile[m][0] = F::mul_add(simd, a, b[0], tile[m][0]);
                tile[m][1] = F::mul_add(simd, a, b[1], tile[m][1]);
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
