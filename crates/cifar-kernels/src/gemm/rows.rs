//! The product of a matrix whose rows lie anywhere with one in panels.

#![expect(unsafe_code, reason = "tiles read and write through pointers; see the SAFETY comments")]
#![expect(clippy::needless_range_loop, reason = "tiles are written down by their indices")]

use std::ops::Range;

use super::Places;
use super::panels::{lanes, panel_width};
use crate::element::Element;
use crate::factor::Factor;
use crate::isa::Isa;
use crate::simd::{Lane, Simd, per_isa};

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

/// Rows of the left matrix that are made of the same runs, and where each of them goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rows<'a> {
    /// Where each row starts among the factors on the left.
    pub(crate) starts: Places<'a>,
    pub(crate) runs: Runs,
    /// Start of each row's product in the output, one per row.
    pub(crate) targets: Places<'a>,
}

/// The runs of factors that rows are made of, and the rows of a panel that these meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Runs {
    pub(crate) n: usize,
    /// Factors of one.
    pub(crate) len: usize,
    /// Factors from the start of one to that of the next; the first is where the row starts.
    pub(crate) distance: usize,
    /// The row of a panel that the first factor of the first run meets.
    pub(crate) first: usize,
    /// Rows of a panel from the first of one run to that of the next.
    pub(crate) panel_distance: usize,
}

impl Runs {
    /// A single one, as long as a panel.
    pub(crate) fn whole(depth: usize) -> Self {
        Self { n: 1, len: depth, ..Self::default() }
    }

    /// Factors on the left from the start of a row, and rows of a panel, that are met at most.
    fn ends(&self) -> (usize, usize) {
        let end = |first, distance| first + self.n.saturating_sub(1) * distance + self.len;
        (end(0, self.distance), end(self.first, self.panel_distance))
    }
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

/// `out[targets[r] - first + c] = Σₖ row_r[k] · b[k][c]` for each row `r` of all `rows` among `a` and each
/// column `c`, with the epilogue. Each panel meets all rows before the next panel does.
pub(crate) fn products_of_rows<F: Factor, O: Element>(
    isa: Isa,
    (a, rows): (&[F], &[Rows<'_>]),
    b: Panels<'_, F>,
    epilogue: Epilogue<'_>,
    (out, first): (&mut [O], usize),
) {
    let n_panels = b.columns.div_ceil(panel_width(isa, b.columns));
    if n_panels == 0 {
        return;
    }
    for rows in rows.iter().filter(|rows| rows.starts.len() > 0) {
        let (end, panel_end) = rows.runs.ends();
        assert_eq!(rows.starts.len(), rows.targets.len(), "product: one target a row");
        assert!(rows.starts.bound() + end <= a.len(), "product: too few values on the left");
        assert!(panel_end <= b.depth, "product: rows longer than a panel");
        assert!(rows.targets.least() >= first, "product: before the output");
        assert!(
            rows.targets.bound() - first + b.columns <= out.len(),
            "product: behind the output"
        );
    }
    let end = (n_panels - 1) * b.stride + b.depth * panel_width(isa, b.columns);
    assert!(end <= b.values.len(), "product: too few values on the right");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == b.columns), "product: one bias a column");
    // SAFETY: by the assertions every row's runs lie in `a`, every panel has `depth` rows, of which the
    // runs meet those that are there, and every target `columns` values of `out`.
    unsafe {
        if b.columns <= lanes(isa) {
            rows_by_panels::<F, O, 1>(isa, a, rows, b, epilogue, (out, first));
        } else {
            rows_by_panels::<F, O, 2>(isa, a, rows, b, epilogue, (out, first));
        }
    }
}

per_isa! {
    unsafe fn rows_by_panels<F: Factor, O: Element; const V: usize>(
        a: &[F], rows: &[Rows<'_>], b: Panels<'_, F>, epilogue: Epilogue<'_>,
        out: (&mut [O], usize),
    ) = rows_by_panels_body
}

/// # Safety
/// See [`products_of_rows`].
#[inline(always)]
unsafe fn rows_by_panels_body<S: Simd, F: Factor, O: Element, const V: usize, const M: usize>(
    simd: S,
    a: &[F],
    rows: &[Rows<'_>],
    b: Panels<'_, F>,
    epilogue: Epilogue<'_>,
    out: (&mut [O], usize),
) {
    // Asked once and not for each tile, which would have to be in memory where the answers meet.
    // SAFETY: the caller's.
    unsafe {
        if b.depth <= STRETCH {
            tiles_of_rows::<S, F, O, V, M, false>(simd, a, rows, b, epilogue, out);
        } else {
            tiles_of_rows::<S, F, O, V, M, true>(simd, a, rows, b, epilogue, out);
        }
    }
}

/// `LONG`: whether the rows are longer than [`STRETCH`].
///
/// # Safety
/// See [`products_of_rows`].
#[inline(always)]
unsafe fn tiles_of_rows<
    S: Simd,
    F: Factor,
    O: Element,
    const V: usize,
    const M: usize,
    const LONG: bool,
>(
    simd: S,
    a: &[F],
    rows: &[Rows<'_>],
    b: Panels<'_, F>,
    epilogue: Epilogue<'_>,
    (out, first): (&mut [O], usize),
) {
    let width = V * S::LANES;
    // No target is before `first`.
    let (a, out) = (a.as_ptr(), out.as_mut_ptr().wrapping_sub(first));
    for block in 0..b.columns.div_ceil(width) {
        let start = block * width;
        let n = width.min(b.columns - start);
        // SAFETY: the start of a panel.
        let panel = unsafe { b.values.as_ptr().add(block * b.stride) };
        let bias = epilogue.bias.map(|bias| &bias[start..start + n]);
        for rows in rows {
            let (starts, targets) = (rows.starts.at(), rows.targets.at());
            for (starts, targets) in starts.chunks(M).zip(targets.chunks(M)) {
                // A tile at the end repeats its last row, and does not store it again.
                let starts: [usize; M] = match starts.try_into() {
                    Ok(starts) => starts,
                    Err(_) => std::array::from_fn(|m| starts[m.min(starts.len() - 1)]),
                };
                let mut at = [a; M];
                for m in 0..M {
                    // SAFETY: a row of `a`.
                    at[m] = unsafe { a.add(starts[m]) };
                }
                // SAFETY: the runs of these rows, and the rows of a panel that they meet.
                let tile = unsafe { tile_of_rows::<S, F, V, M, LONG>(simd, at, rows.runs, panel) };
                let whole: Result<&[usize; M], _> = targets.try_into();
                if let (Ok(targets), true) = (whole, n == width) {
                    // SAFETY: the columns of a whole panel of `M` rows of the output.
                    unsafe {
                        store_tile(simd, tile, out.wrapping_add(start), targets, bias, epilogue)
                    };
                    continue;
                }
                // Only these are asked for by a number that is not known before: a tile that is has to
                // be in memory from the start.
                const { assert!(M * V * S::LANES <= MAX_TILE) };
                let mut values = [0.0; MAX_TILE];
                for m in 0..M {
                    for v in 0..V {
                        let at = m * width + v * S::LANES;
                        // SAFETY: a vector of a whole tile.
                        unsafe { simd.store(values.as_mut_ptr().add(at), tile[m][v]) };
                    }
                }
                for (values, &target) in values.chunks_exact(width).zip(targets) {
                    // SAFETY: columns `start..start + n` of a row of the output.
                    unsafe {
                        let to = out.wrapping_add(target + start);
                        store_row(simd, values, to, n, bias, epilogue);
                    }
                }
            }
        }
    }
}

/// # Safety
/// `a`: the starts of rows whose runs are there; `b`: the rows of a panel that they meet.
#[inline(always)]
unsafe fn tile_of_rows<S: Simd, F: Factor, const V: usize, const M: usize, const LONG: bool>(
    simd: S,
    mut a: [*const F; M],
    runs: Runs,
    b: *const F,
) -> [[S::V; V]; M] {
    let zeros = [[simd.splat(0.0); V]; M];
    let (mut total, mut tile, mut n) = (zeros, zeros, 0);
    let width = V * S::LANES;
    let mut b = b.wrapping_add(runs.first * width);
    for _ in 0..runs.n {
        if LONG {
            for start in (0..runs.len).step_by(STRETCH) {
                let range = start..runs.len.min(start + STRETCH);
                if n >= STRETCH {
                    for m in 0..M {
                        for v in 0..V {
                            total[m][v] = simd.add(total[m][v], tile[m][v]);
                        }
                    }
                    (tile, n) = (zeros, 0);
                }
                n += range.len();
                // SAFETY: values `range` of each row's run, and the rows of the panel that they meet.
                unsafe {
                    let b = b.add(start * width);
                    tile = sum_stretch::<S, F, V, M>(simd, a, range, b, tile);
                }
            }
        } else {
            // Without a second set of sums, which would not fit into the registers.
            // SAFETY: each row's run, and the rows of the panel that it meets.
            unsafe { tile = sum_stretch::<S, F, V, M>(simd, a, 0..runs.len, b, tile) };
        }
        // Behind the last run neither is looked at.
        b = b.wrapping_add(runs.panel_distance * width);
        for a in &mut a {
            *a = a.wrapping_add(runs.distance);
        }
    }
    if LONG && runs.n * runs.len > n {
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

/// Values of a tile at most: 8 rows of two vectors of 16.
const MAX_TILE: usize = 256;

/// Products that are summed one after the other before the sum joins those of other stretches: a
/// sum of thousands would otherwise lose a digit to rounding.
const STRETCH: usize = 128;

/// Writes a whole tile, its rows to `targets` from `out`. Each step of the epilogue is done to all of
/// it, without a question in between, so that it goes from its registers to memory.
///
/// # Safety
/// A row of a panel from each target, writable, and of the bias.
#[inline(always)]
unsafe fn store_tile<S: Simd, O: Element, const V: usize, const M: usize>(
    simd: S,
    mut tile: [[S::V; V]; M],
    out: *mut O,
    targets: &[usize; M],
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
) {
    // SAFETY: the caller's.
    unsafe {
        if epilogue.accumulate {
            for m in 0..M {
                for v in 0..V {
                    let there = O::load(simd, out.wrapping_add(targets[m] + v * S::LANES));
                    tile[m][v] = simd.add(tile[m][v], there);
                }
            }
        }
        if let Some(bias) = bias {
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
        for m in 0..M {
            for v in 0..V {
                O::store(simd, out.wrapping_add(targets[m] + v * S::LANES), tile[m][v]);
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
    values: &[f32],
    to: *mut O,
    n: usize,
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
) {
    let mut at = 0;
    // SAFETY: the caller's; a vector of each is left.
    unsafe {
        while at + S::LANES <= n {
            store_vector(simd, at, values, to, bias, epilogue);
            at += S::LANES;
        }
        while at + S::Eight::LANES <= n {
            store_vector(simd.eight(), at, values, to, bias, epilogue);
            at += S::Eight::LANES;
        }
        while at < n {
            store_vector(Lane, at, values, to, bias, epilogue);
            at += 1;
        }
    }
}

/// # Safety
/// A vector from `at` of each: values, a writable output, and a bias.
#[inline(always)]
unsafe fn store_vector<S: Simd, O: Element>(
    simd: S,
    at: usize,
    values: &[f32],
    to: *mut O,
    bias: Option<&[f32]>,
    epilogue: Epilogue<'_>,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut value = simd.load(values.as_ptr().add(at));
        if epilogue.accumulate {
            value = simd.add(value, O::load(simd, to.add(at)));
        }
        if let Some(bias) = bias {
            value = simd.add(value, simd.load(bias.as_ptr().add(at)));
        }
        if epilogue.relu {
            value = simd.relu(value);
        }
        O::store(simd, to.add(at), value);
    }
}
