//! The product of a matrix whose rows lie anywhere with one in panels.

#![expect(unsafe_code, reason = "tiles read and write through pointers; see the SAFETY comments")]
#![expect(clippy::needless_range_loop, reason = "tiles are written down by their indices")]

use std::ops::Range;

use super::Places;
use super::ahead::fetch_run;
use super::panels::{PANEL, lanes, pairs_fit, panel_width, vector_at};
use crate::element::Element;
use crate::factor::Factor;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

mod dots;
mod store;

use dots::rows_by_columns;
use store::{MAX_LANES, store};

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
    /// Whether the first panel fetches the first run of the next tile's rows: where no tile before has read them.
    /// Columns in their own order fetch in their own way.
    pub(crate) fetch: bool,
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
    pub(crate) order: Order,
}

impl<'a, F> Panels<'a, F> {
    /// Of a whole matrix, as it is packed in that order.
    pub(crate) fn new(
        isa: Isa,
        values: &'a [F],
        (depth, columns): (usize, usize),
        order: Order,
    ) -> Self {
        Self { values, stride: depth * order.width(isa, columns), depth, columns, order }
    }
}

/// Columns that are multiplied one by one at most: they would fill a quarter of a vector across them, or half of a
/// shorter one.
pub(crate) const FEW_COLUMNS: usize = 4;

/// How the factors of a right matrix lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Row by row of each panel.
    Rows,
    /// The same, but the last panel has its rows two by two: what `pair_rows` makes of them. All runs have an
    /// even number of factors then.
    Pairs,
    /// Column by column, [`FEW_COLUMNS`] at most. The distance between panels is that between columns.
    Columns,
}

impl Order {
    fn width(self, isa: Isa, columns: usize) -> usize {
        if self == Self::Columns { 1 } else { panel_width(isa, columns) }
    }
}

/// `out[targets[r] - first + c] = Σₖ row_r[k] · b[k][c]` for each row `r` of all `rows` among `a` and each
/// column `c`, with the epilogue. Each panel meets all rows before the next panel does; columns in their own order
/// meet each row together.
pub(crate) fn products_of_rows<F: Factor, O: Element>(
    isa: Isa,
    (a, rows): (&[F], &[Rows<'_>]),
    b: Panels<'_, F>,
    epilogue: Epilogue<'_>,
    (out, first): (&mut [O], usize),
) {
    let width = b.order.width(isa, b.columns);
    let n_panels = b.columns.div_ceil(width);
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
    let fit = b.order != Order::Columns || b.columns <= FEW_COLUMNS;
    assert!(fit, "product: too many columns one by one");
    if b.order == Order::Pairs {
        let even = |at: usize| at.is_multiple_of(2);
        let runs_are = |r: &Runs| even(r.len) && even(r.first) && even(r.panel_distance);
        assert!(pairs_fit(isa, b.columns), "product: columns that do not come in pairs of rows");
        assert!(even(b.depth) && rows.iter().all(|r| runs_are(&r.runs)), "product: odd runs");
    }
    let end = (n_panels - 1) * b.stride + b.depth * width;
    assert!(end <= b.values.len(), "product: too few values on the right");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == b.columns), "product: one bias a column");
    let out = (out, first);
    // SAFETY: by the assertions every row's runs lie in `a`, every panel has `depth` rows, of which the
    // runs meet those that are there, and every target `columns` values of `out`; as many columns are named.
    unsafe {
        match (b.order, b.columns) {
            (Order::Columns, 1) => rows_by_columns::<F, O, 1>(isa, a, rows, b, epilogue, out),
            (Order::Columns, 2) => rows_by_columns::<F, O, 2>(isa, a, rows, b, epilogue, out),
            (Order::Columns, 3) => rows_by_columns::<F, O, 3>(isa, a, rows, b, epilogue, out),
            (Order::Columns, 4) => rows_by_columns::<F, O, 4>(isa, a, rows, b, epilogue, out),
            (Order::Columns, n) => unreachable!("product: {n} columns one by one"),
            (_, n) if n <= lanes(isa) => rows_by_panels::<F, O, 1>(isa, a, rows, b, epilogue, out),
            (_, _) => rows_by_panels::<F, O, 2>(isa, a, rows, b, epilogue, out),
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
    // No target is before `first`.
    let (a, out) = (a.as_ptr(), out.0.as_mut_ptr().wrapping_sub(out.1));
    let width = V * S::LANES;
    let mut start = 0;
    while start < b.columns {
        let rest = b.columns - start;
        // The first two follow from the third; known here, they leave other vectors without these tiles.
        let pairs = V == 2 && S::LANES == 16 && b.order == Order::Pairs && rest < width;
        let wide = V == 2 && S::LANES == 16 && b.depth <= SHORT && rest >= 2 * width;
        let n = rest.min(if wide { 2 * width } else { width });
        // Of whole panels, the half vector twice where two rows share one.
        let mut room = [0.0; 4 * MAX_LANES];
        let bias = epilogue.bias.map(|bias| {
            room[..n].copy_from_slice(&bias[start..start + n]);
            if pairs {
                room.copy_within(S::LANES..n, n);
            }
            &room[..]
        });
        let epilogue = Epilogue { bias, ..epilogue };
        let out = (out.wrapping_add(start), n);
        let left = (a, rows, start == 0);
        // Asked once and not for each tile, which would have to be in memory where the answers meet.
        // SAFETY: the caller's; the start of a panel, and of the next one where a tile has two.
        unsafe {
            let panel = (b.values.as_ptr().add(start / width * b.stride), b.stride);
            match (b.depth > STRETCH, pairs) {
                (false, false) if wide => {
                    tiles_of_rows::<S, F, O, 4, 4, false, false>(simd, left, panel, epilogue, out)
                }
                (false, false) => {
                    tiles_of_rows::<S, F, O, V, M, false, false>(simd, left, panel, epilogue, out)
                }
                (true, false) => {
                    tiles_of_rows::<S, F, O, V, M, true, false>(simd, left, panel, epilogue, out)
                }
                (false, true) => {
                    tiles_of_rows::<S, F, O, V, M, false, true>(simd, left, panel, epilogue, out)
                }
                (true, true) => {
                    tiles_of_rows::<S, F, O, V, M, true, true>(simd, left, panel, epilogue, out)
                }
            }
        }
        start += n;
    }
}

/// The tiles of one panel, or with `V` 4 of two that lie `next` apart: the first `n` columns from `out`.
/// `LONG`: whether rows may be longer than [`STRETCH`]; `PAIRS`: whether the panel has its rows two by two. `first`:
/// whether it is the first panel.
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
    const PAIRS: bool,
>(
    simd: S,
    (a, rows, first): (*const F, &[Rows<'_>], bool),
    panel: (*const F, usize),
    epilogue: Epilogue<'_>,
    (out, n): (*mut O, usize),
) {
    for rows in rows {
        let (all, targets) = (rows.starts.at(), rows.targets.at());
        for (n_tile, (starts, targets)) in all.chunks(M).zip(targets.chunks(M)).enumerate() {
            if rows.fetch && first {
                for &start in all.iter().skip((n_tile + 1) * M).take(M) {
                    fetch_run(simd, a.wrapping_add(start), rows.runs.len);
                }
            }
            // Only these write so much in so few steps: half as many bytes, in bf16, keep up without.
            if V > PANEL && size_of::<O>() == size_of::<f32>() {
                for &target in targets {
                    let to = out.wrapping_add(target).wrapping_byte_add(RESULTS_AHEAD);
                    fetch_run(simd, to, V * S::LANES);
                }
            }
            // SAFETY: rows of `a` and their runs, and the rows of a panel that these meet.
            let tile = unsafe {
                let at = starts_of::<F, M>(a, starts);
                if PAIRS {
                    let of_pairs =
                        tile_of_rows::<S, F, 3, M, LONG, true>(simd, at, rows.runs, panel);
                    shared(simd, of_pairs)
                } else {
                    tile_of_rows::<S, F, V, M, LONG, false>(simd, at, rows.runs, panel)
                }
            };
            // SAFETY: `n` columns of these rows of the output.
            unsafe { store::<S, O, V, M, PAIRS>(simd, tile, (out, n), targets, epilogue) };
        }
    }
}

/// Where the rows of a tile start. One at the end, with fewer starts, repeats its last row and does not store it
/// again.
///
/// # Safety
/// So far into `a`.
#[inline(always)]
unsafe fn starts_of<F, const M: usize>(a: *const F, starts: &[usize]) -> [*const F; M] {
    let starts: [usize; M] = match starts.try_into() {
        Ok(starts) => starts,
        Err(_) => std::array::from_fn(|m| starts[m.min(starts.len() - 1)]),
    };
    let mut at = [a; M];
    for m in 0..M {
        // SAFETY: the caller's.
        at[m] = unsafe { a.add(starts[m]) };
    }
    at
}

/// # Safety
/// `a`: the starts of rows whose runs are there; `b`: the rows of a panel that they meet, with `V` 4 also of that
/// `next` behind. With `PAIRS` both are even.
#[inline(always)]
unsafe fn tile_of_rows<
    S: Simd,
    F: Factor,
    const V: usize,
    const M: usize,
    const LONG: bool,
    const PAIRS: bool,
>(
    simd: S,
    mut a: [*const F; M],
    runs: Runs,
    (b, next): (*const F, usize),
) -> [[S::V; V]; M] {
    let zeros = [[simd.splat(0.0); V]; M];
    let (mut total, mut tile, mut n) = (zeros, zeros, 0);
    // A lane of pairs has half of the products.
    let stretch = if PAIRS { 2 * STRETCH } else { STRETCH };
    let width = if PAIRS { S::LANES * 3 / 2 } else { V.min(PANEL) * S::LANES };
    let mut b = b.wrapping_add(runs.first * width);
    for _ in 0..runs.n {
        if LONG {
            for start in (0..runs.len).step_by(stretch) {
                let range = start..runs.len.min(start + stretch);
                if n >= stretch {
                    total = sum_of_tiles::<S, V, M>(simd, total, tile);
                    (tile, n) = (zeros, 0);
                }
                n += range.len();
                // SAFETY: values `range` of each row's run, and the rows of the panel that they meet.
                unsafe {
                    let b = b.add(start * width);
                    tile = sum_stretch::<S, F, V, M, PAIRS>(simd, a, range, (b, next), tile);
                }
            }
        } else {
            // Without a second set of sums, which would not fit into the registers.
            // SAFETY: each row's run, and the rows of the panel that it meets.
            unsafe {
                tile = sum_stretch::<S, F, V, M, PAIRS>(simd, a, 0..runs.len, (b, next), tile)
            };
        }
        // Behind the last run neither is looked at.
        b = b.wrapping_add(runs.panel_distance * width);
        for a in &mut a {
            *a = a.wrapping_add(runs.distance);
        }
    }
    if LONG && runs.n * runs.len > n {
        tile = sum_of_tiles::<S, V, M>(simd, total, tile);
    }
    tile
}

#[inline(always)]
fn sum_of_tiles<S: Simd, const V: usize, const M: usize>(
    simd: S,
    a: [[S::V; V]; M],
    mut b: [[S::V; V]; M],
) -> [[S::V; V]; M] {
    for m in 0..M {
        for v in 0..V {
            b[m][v] = simd.add(a[m][v], b[m][v]);
        }
    }
    b
}

/// `tile` and the products of the values `range` of each row with as many rows of a panel. `PAIRS`: of two
/// values at a time, whose lanes are side by side.
///
/// # Safety
/// The values and the rows are there; with `PAIRS` an even number.
#[inline(always)]
unsafe fn sum_stretch<S: Simd, F: Factor, const V: usize, const M: usize, const PAIRS: bool>(
    simd: S,
    a: [*const F; M],
    range: Range<usize>,
    (mut b, next): (*const F, usize),
    mut tile: [[S::V; V]; M],
) -> [[S::V; V]; M] {
    let (step, row_len) = if PAIRS { (2, 3 * S::LANES) } else { (1, V.min(PANEL) * S::LANES) };
    let mut k = range.start;
    while k < range.end {
        // SAFETY: the next row of the panel, value `k` of each row; or two of both.
        unsafe {
            let mut row = [simd.splat(0.0); V];
            for v in 0..V {
                row[v] = simd.load(b.add(vector_at::<V>(v, S::LANES, next)).cast());
            }
            for m in 0..M {
                let a = a[m].add(k).cast();
                let a = if PAIRS { simd.splat_two(a) } else { simd.splat(*a) };
                for v in 0..V {
                    tile[m][v] = F::mul_add(simd, a, row[v], tile[m][v]);
                }
            }
            b = b.add(row_len);
        }
        k += step;
    }
    tile
}

/// The sums of a tile whose lanes are for two rows of a panel each. The second vector of each odd row holds
/// the last half vector of the row before it, then its own.
#[inline(always)]
fn shared<S: Simd, const V: usize, const M: usize>(
    simd: S,
    tile: [[S::V; 3]; M],
) -> [[S::V; V]; M] {
    let mut sums = [[simd.splat(0.0); V]; M];
    for m in 0..M {
        sums[m][0] = simd.sums_of_two(tile[m][0], tile[m][1]);
        if m % 2 == 1 {
            sums[m][1] = simd.sums_of_two(tile[m - 1][2], tile[m][2]);
        }
    }
    sums
}

/// Rows of panels up to which a tile has two of them: most of what moves are the results then, which are
/// written four vectors at a time. Long panels would leave the nearest cache by twos.
const SHORT: usize = 32;

/// Bytes from what a tile of two panels writes in f32 to what is fetched meanwhile, so that a later tile finds its
/// lines near by: they are written faster than memory gives them.
const RESULTS_AHEAD: usize = 8 << 10;

/// Products that are summed one after the other before the sum joins those of other stretches: a
/// sum of thousands would otherwise lose a digit to rounding.
const STRETCH: usize = 128;
