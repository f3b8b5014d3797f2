//! Products of columns with few rows of sums: the right matrix is most of what is read.

#![expect(unsafe_code, reason = "tiles read and write through pointers; see the SAFETY comments")]

use super::{Columns, Factors, sums_at, tile_of_columns};
use crate::factor::Factor;
use crate::gemm::panels::lanes;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// Rows of the sums at most.
const MAX_ROWS: usize = 32;

/// Rows of a tile at most, others have one less, so that few are of no use. With six, compilers keep sums in memory.
const ROWS: usize = 5;

/// Vectors of a tile: all columns.
const VECTORS: usize = 4;

/// Whether tiles have all columns, four vectors of AVX-512: the right matrix is read less often then, and in the
/// order in which its rows lie.
pub(super) fn is_thin(isa: Isa, rows: usize, columns: usize) -> bool {
    lanes(isa) == 16 && rows <= MAX_ROWS && columns == VECTORS * lanes(isa)
}

per_isa! {
    pub(super) unsafe fn columns_by_rows<F: Factor>(
        a: Columns<'_, F>, b: Factors<F>, add: bool, sums: &mut [f32],
    ) = columns_by_rows_body
}

/// # Safety
/// See [`products_of_columns`](super::products_of_columns); the matrices are thin.
#[inline(always)]
unsafe fn columns_by_rows_body<S: Simd, F: Factor, const M: usize>(
    simd: S,
    a: Columns<'_, F>,
    b: Factors<F>,
    add: bool,
    sums: &mut [f32],
) {
    // Other instruction sets are left without these tiles.
    assert_eq!(S::LANES, 16, "product: thin ones are for AVX-512");
    let (rows, depth) = (a.offsets.len(), a.starts.len());
    let (starts, places) = (a.starts.at(), a.offsets.at());
    let n_tiles = rows.div_ceil(ROWS);
    let n_whole = rows.saturating_sub((ROWS - 1) * n_tiles).max(1);
    let shares = a.ahead.shares(n_tiles, depth);
    let whole = 0..depth;
    let left = (a.a.as_ptr(), starts, std::slice::from_ref(&whole));
    let sums = sums.as_mut_ptr();
    let mut first = 0;
    for tile in 0..n_tiles {
        let fetched = (shares.start(tile).unwrap_or(b.start.addr()), shares.step);
        // Rows beyond the last repeat it; their sums are not stored.
        let offset = |m: usize| places[(first + m).min(rows - 1)];
        let put = |m: usize, v: usize, value| {
            let row = first + m;
            if row < rows {
                // As laid out for any instruction set of 16 lanes.
                let at = sums_at(Isa::Avx512, row, v / 2 * 2 * S::LANES, VECTORS * S::LANES);
                // SAFETY: a vector of a row of the sums.
                unsafe {
                    let to = sums.add(at + v % 2 * S::LANES);
                    simd.store(to, if add { simd.add(value, simd.load(to)) } else { value });
                }
            }
        };
        let n = if tile < n_whole { ROWS } else { ROWS - 1 };
        // SAFETY: every row's factors lie in `a`; `depth` rows of the right matrix, made by the first tile.
        unsafe {
            if n < ROWS {
                tile_of_columns::<S, F, VECTORS, { ROWS - 1 }, false, true, false>(
                    simd,
                    left,
                    std::array::from_fn(offset),
                    b,
                    fetched,
                    put,
                );
            } else if tile == 0 && b.unmade.is_some() {
                tile_of_columns::<S, F, VECTORS, ROWS, false, true, true>(
                    simd,
                    left,
                    std::array::from_fn(offset),
                    b,
                    fetched,
                    put,
                );
            } else {
                tile_of_columns::<S, F, VECTORS, ROWS, false, true, false>(
                    simd,
                    left,
                    std::array::from_fn(offset),
                    b,
                    fetched,
                    put,
                );
            }
        }
        first += n;
    }
}
