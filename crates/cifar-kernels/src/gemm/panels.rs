//! Matrices packed in panels of factors, or column by column.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]

use crate::buffer::factors;
use crate::element::Element;
use crate::factor::Factor;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// Values of a vector.
pub(super) fn lanes(isa: Isa) -> usize {
    match isa {
        Isa::Portable | Isa::Avx2 => 8,
        Isa::Avx512 | Isa::Avx512Bf16 => 16,
    }
}

/// Vectors of a row of a panel, unless one is enough for all columns.
pub(super) const PANEL: usize = 2;

/// Columns of one panel of a matrix of `columns`: two vectors, or one where that is enough.
pub(crate) fn panel_width(isa: Isa, columns: usize) -> usize {
    if columns <= lanes(isa) { lanes(isa) } else { PANEL * lanes(isa) }
}

/// Where vector `v` of a row lies in a tile of `V` vectors: in the second of two panels, `stride` apart, if it has
/// that many.
#[inline(always)]
pub(super) fn vector_at<const V: usize>(v: usize, lanes: usize, stride: usize) -> usize {
    if V == 2 * PANEL { v / PANEL * stride + v % PANEL * lanes } else { v * lanes }
}

/// Whether the last panel of a matrix of so many columns is two vectors, of which one and a half suffice:
/// two rows then fit into three. Three sums for each row of a tile need the 32 registers of
/// AVX-512.
pub(crate) fn pairs_fit(isa: Isa, columns: usize) -> bool {
    let lanes = lanes(isa);
    let last = columns % panel_width(isa, columns);
    lanes == 16 && last > lanes && last <= lanes + lanes / 2
}

/// Puts the rows of the last panel together two by two, the columns of both by turns, in three vectors; they
/// move up, so that nothing lies between them.
pub(crate) fn pair_rows<F: Factor>(isa: Isa, (depth, columns): (usize, usize), panels: &mut [F]) {
    assert!(pairs_fit(isa, columns) && depth.is_multiple_of(2), "panels: rows without a pair");
    assert_eq!(panels.len(), panels_len(isa, depth, columns), "panels: the matrix does not fit");
    let (width, len) = (panel_width(isa, columns), 3 * lanes(isa));
    let first = panels.len() - depth * width;
    let panel = &mut panels[first..];
    for at in 0..depth / 2 {
        let rows = &panel[at * 2 * width..][..2 * width];
        let mut pairs = [F::default(); 3 * 16];
        for (column, pair) in pairs.as_chunks_mut().0.iter_mut().enumerate().take(columns % width) {
            *pair = [rows[column], rows[width + column]];
        }
        panel[at * len..][..len].copy_from_slice(&pairs[..len]);
    }
}

/// Factors that `n` values make up, the last one filled up with zeros.
pub(crate) fn depth_of<E: Element>(n: usize) -> usize {
    n.div_ceil(E::Factor::VALUES)
}

/// Factors of a matrix of `rows × columns` factors packed in panels.
pub(crate) fn panels_len(isa: Isa, rows: usize, columns: usize) -> usize {
    columns.next_multiple_of(panel_width(isa, columns)) * rows
}

/// Packs a matrix of `depth × columns` factors in panels; `row(r)` is its row `r` of values. A factor's
/// first values are there; the others are 0 where there is no such row.
pub(crate) fn pack_panels<'a, E: Element>(
    isa: Isa,
    (depth, columns): (usize, usize),
    row: impl Fn(usize) -> Option<&'a [E]>,
    panels: &mut [E::Factor],
) {
    let width = panel_width(isa, columns);
    assert_eq!(panels.len(), panels_len(isa, depth, columns), "panels: the matrix does not fit");
    if panels.is_empty() {
        return;
    }
    if !columns.is_multiple_of(width) {
        panels.fill(E::Factor::default());
    }
    // Row by row, as they lie in memory.
    for d in 0..depth {
        let (first, second) = rows_of_factor::<E>(d, &row);
        for (block, start) in (0..columns).step_by(width).enumerate() {
            let part = start..columns.min(start + width);
            let packed = &mut panels[(block * depth + d) * width..][..part.len()];
            join_rows(isa, &first[part.clone()], second.map(|second| &second[part]), packed);
        }
    }
}

/// The rows of values that row `d` of factors is made of.
fn rows_of_factor<'a, E: Element>(
    d: usize,
    row: impl Fn(usize) -> Option<&'a [E]>,
) -> (&'a [E], Option<&'a [E]>) {
    let r = d * E::Factor::VALUES;
    let first = row(r).expect("panels: a factor without its first values");
    (first, if E::Factor::VALUES > 1 { row(r + 1) } else { None })
}

/// Packs the same matrix column by column: the factors of each lie one behind the other.
pub(crate) fn pack_columns<'a, E: Element>(
    (depth, columns): (usize, usize),
    row: impl Fn(usize) -> Option<&'a [E]>,
    packed: &mut [E::Factor],
) {
    assert_eq!(packed.len(), depth * columns, "columns: the matrix does not fit");
    for d in 0..depth {
        let (first, second) = rows_of_factor::<E>(d, &row);
        for c in 0..columns {
            let second = second.map_or_else(E::default, |second| second[c]);
            packed[c * depth + d] = E::join(first[c], second);
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
        let first = &factors(first)[..out.len()];
        // A copy of known length is no call.
        return match out.len() {
            16 => out[..16].copy_from_slice(&first[..16]),
            32 => out[..32].copy_from_slice(&first[..32]),
            _ => out.copy_from_slice(first),
        };
    }
    assert!(first.len() >= out.len(), "factors: too few values");
    assert!(second.is_none_or(|second| second.len() >= out.len()), "factors: too few values");
    // SAFETY: the loop is safe.
    unsafe { join_values::<E>(isa, first, second, out) };
}

per_isa! {
    unsafe fn join_values<E: Element>(
        first: &[E], second: Option<&[E]>, out: &mut [E::Factor],
    ) = join_values_body
}

/// A loop that the compiler makes vectors of.
///
/// # Safety
/// None is needed.
#[inline(always)]
unsafe fn join_values_body<S: Simd, E: Element, const M: usize>(
    _: S,
    first: &[E],
    second: Option<&[E]>,
    out: &mut [E::Factor],
) {
    match second {
        Some(second) => {
            for (out, (&first, &second)) in out.iter_mut().zip(first.iter().zip(second)) {
                *out = E::join(first, second);
            }
        }
        None => {
            for (out, &first) in out.iter_mut().zip(first) {
                *out = E::join(first, E::default());
            }
        }
    }
}
