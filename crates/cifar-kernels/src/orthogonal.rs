//! Matrices brought near orthogonal ones.

use rayon::prelude::*;

use crate::buffer::with_scratch;
use crate::gemm::{
    Ahead, Columns, Epilogue, Order, Panels, Places, Right, Rows, Runs, pack_panels, panel_width,
    panels_len, products_of_columns, products_of_rows, sums_at, sums_len,
};
use crate::isa::Isa;
use crate::layout::transpose;
use crate::optimizer::sum_of_squares;

/// Coefficients `a`, `b`, `c` of the iteration `X <- a X + (b A + c A²) X` with `A = X Xᵀ`: they
/// drive singular values from 0..1 to about 1 in few steps rather than exactly to 1 (Jordan et al.
/// 2024, <https://kellerjordan.github.io/posts/muon/>).
pub const COEFFICIENTS: [f32; 3] = [3.4445, -4.7750, 2.0315];

/// Added to the norm that the matrix is divided by first.
pub const EPS: f32 = 1e-7;

/// Rows that one task works on: a multiple of every instruction set's tile.
const TASK_ROWS: usize = 48;

/// Rows whose products are summed before the sums go to memory.
const DEPTH: usize = 256;

/// Brings the singular values of a matrix of `rows × columns` near 1, by `steps` Newton–Schulz
/// iterations on the matrix divided by its Frobenius norm. Zeros stay zeros.
///
/// # Panics
/// If the matrix is not `rows · columns` long.
pub fn orthogonalize(matrix: &mut [f32], (rows, columns): (usize, usize), steps: u32) {
    assert_eq!(matrix.len(), rows * columns, "orthogonalize: not a matrix of that shape");
    let scale = 1.0 / (sum_of_squares(matrix).sqrt() as f32 + EPS);
    matrix.iter_mut().for_each(|value| *value *= scale);
    // A tall matrix is its own left factor, as it lies, in both products of an iteration.
    with_scratch(2 * matrix.len(), |scratch: &mut [f32]| {
        let (mut tall, mut next) = scratch.split_at_mut(matrix.len());
        let shape = (rows.max(columns), rows.min(columns));
        if rows > columns {
            tall.copy_from_slice(matrix);
        } else {
            transpose(matrix, (rows, columns), tall);
        }
        for _ in 0..steps {
            iterate(tall, shape, next);
            (tall, next) = (next, tall);
        }
        if rows > columns {
            matrix.copy_from_slice(tall);
        } else {
            transpose(tall, shape, matrix);
        }
    });
}

/// `next = T (a + b A + c A²)` with `A = Tᵀ T`, which is the iteration on the transpose of `T`.
fn iterate(tall: &[f32], (rows, columns): (usize, usize), next: &mut [f32]) {
    let isa = Isa::current();
    with_scratch(2 * columns * columns, |scratch: &mut [f32]| {
        let (gram, factor) = scratch.split_at_mut(columns * columns);
        gram_matrix(isa, tall, (rows, columns), gram);
        multiply(isa, gram, gram, columns, factor);
        let [a, b, c] = COEFFICIENTS;
        factor.iter_mut().zip(&*gram).for_each(|(f, g)| *f = b * g + c * *f);
        factor.iter_mut().step_by(columns + 1).for_each(|diagonal| *diagonal += a);
        multiply(isa, tall, factor, columns, next);
    });
}

/// `Tᵀ T`, `columns × columns`, of the matrix `T` of `rows × columns`.
fn gram_matrix(isa: Isa, tall: &[f32], (rows, columns): (usize, usize), gram: &mut [f32]) {
    with_scratch(panels_len(isa, rows, columns), |panels: &mut [f32]| {
        let parts = panels.par_chunks_mut(panels_len(isa, DEPTH, columns));
        parts.zip(tall.par_chunks(DEPTH * columns)).for_each(|(panels, tall)| {
            let row = |row: usize| tall.get(row * columns..(row + 1) * columns);
            pack_panels(isa, (tall.len() / columns, columns), row, panels);
        });
        let tasks = gram.par_chunks_mut(TASK_ROWS * columns).enumerate();
        tasks.for_each(|(task, gram)| {
            right_of_diagonal(isa, tall, columns, panels, task * TASK_ROWS, gram);
        });
    });
    // What lies left of the diagonal lies right of it too.
    for row in 0..columns {
        for column in 0..row {
            gram[row * columns + column] = gram[column * columns + row];
        }
    }
}

/// The rows of `Tᵀ T` from `first` on, as many as `gram` has, from the diagonal on or before.
/// `panels`: `T`, packed by parts of [`DEPTH`] rows.
fn right_of_diagonal(
    isa: Isa,
    tall: &[f32],
    columns: usize,
    panels: &[f32],
    first: usize,
    gram: &mut [f32],
) {
    let (width, n_rows) = (panel_width(isa, columns), gram.len() / columns);
    // Whole panels are left out, as long as what remains is packed in panels of the same width.
    let fits = |panel: &usize| panel_width(isa, columns - panel * width) == width;
    let skipped = (0..=first / width).rev().find(fits).unwrap_or(0);
    let (left, n_columns) = (skipped * width, columns - skipped * width);
    let starts: [usize; DEPTH] = std::array::from_fn(|row| row * n_rows);
    let offsets: [usize; TASK_ROWS] = std::array::from_fn(|row| row);
    with_scratch(sums_len(isa, n_rows, n_columns), |sums: &mut [f32]| {
        with_scratch(DEPTH * n_rows, |own: &mut [f32]| {
            let parts = tall.chunks(DEPTH * columns);
            let parts = parts.zip(panels.chunks(panels_len(isa, DEPTH, columns)));
            for (at, (tall, panels)) in parts.enumerate() {
                // Side by side: rows of a power of two apart would share a few lines of the cache.
                let rows = own.chunks_exact_mut(n_rows).zip(tall.chunks_exact(columns));
                rows.for_each(|(own, row)| own.copy_from_slice(&row[first..][..n_rows]));
                let depth = tall.len() / columns;
                let starts = Places::new(&starts[..depth]);
                let offsets = Places::new(&offsets[..n_rows]);
                let a = Columns { a: &*own, starts, offsets, spans: None, ahead: Ahead::default() };
                let panels = Right::Panels(&panels[skipped * depth * width..]);
                products_of_columns(isa, a, panels, n_columns, at > 0, sums);
            }
        });
        for (row, gram) in gram.chunks_exact_mut(columns).enumerate() {
            for (at, part) in gram[left..].chunks_mut(width).enumerate() {
                let from = sums_at(isa, row, at * width, n_columns);
                part.copy_from_slice(&sums[from..][..part.len()]);
            }
        }
    });
}

/// `left · right`, where `right` is `columns × columns`.
fn multiply(isa: Isa, left: &[f32], right: &[f32], columns: usize, result: &mut [f32]) {
    with_scratch(panels_len(isa, columns, columns), |panels: &mut [f32]| {
        let row = |row: usize| right.get(row * columns..(row + 1) * columns);
        pack_panels(isa, (columns, columns), row, panels);
        let right = Panels::new(isa, panels, (columns, columns), Order::Rows);
        let tasks = result.par_chunks_mut(TASK_ROWS * columns);
        tasks.zip(left.par_chunks(TASK_ROWS * columns)).for_each(|(result, left)| {
            let mut starts = [0; TASK_ROWS];
            starts.iter_mut().enumerate().for_each(|(row, start)| *start = row * columns);
            let starts = Places::new(&starts[..left.len() / columns]);
            let rows = [Rows { starts, runs: Runs::whole(columns), targets: starts, fetch: false }];
            products_of_rows(isa, (left, &rows), right, Epilogue::default(), (result, 0));
        });
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_values::{noise, on_every_isa};

    /// The definition, in f64: `X <- a X + (b A + c A²) X` with `A = X Xᵀ`.
    fn reference(matrix: &[f32], (rows, columns): (usize, usize), steps: u32) -> Vec<f64> {
        let mut x: Vec<f64> = matrix.iter().map(|&value| value.into()).collect();
        let norm = x.iter().map(|v| v * v).sum::<f64>().sqrt() + f64::from(EPS);
        x.iter_mut().for_each(|value| *value /= norm);
        let [a, b, c] = COEFFICIENTS.map(f64::from);
        let product = |left: &[f64], right: &dyn Fn(usize, usize) -> f64, depth, width| {
            let at = |i: usize| {
                let (row, column) = (i / width, i % width);
                (0..depth).map(|k| left[row * depth + k] * right(k, column)).sum::<f64>()
            };
            (0..left.len() / depth * width).map(at).collect::<Vec<f64>>()
        };
        for _ in 0..steps {
            let gram = product(&x, &|k, column| x[column * columns + k], columns, rows);
            let square = product(&gram, &|k, column| gram[k * rows + column], rows, rows);
            let factor: Vec<f64> =
                gram.iter().zip(square).map(|(gram, square)| b * gram + c * square).collect();
            let change = product(&factor, &|k, column| x[k * columns + column], rows, columns);
            x.iter_mut().zip(change).for_each(|(x, change)| *x = a * *x + change);
        }
        x
    }

    fn check(shape: (usize, usize), steps: u32, seed: u64) {
        let matrix = noise(shape.0 * shape.1, seed);
        let want = reference(&matrix, shape, steps);
        on_every_isa(|isa| {
            let mut got = matrix.clone();
            orthogonalize(&mut got, shape, steps);
            let error: f64 = got.iter().zip(&want).map(|(&g, w)| (f64::from(g) - w).powi(2)).sum();
            let size: f64 = want.iter().map(|w| w * w).sum();
            assert!((error / size).sqrt() <= 1e-5, "{isa}, {shape:?}: {}", (error / size).sqrt());
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        #[test]
        fn equals_the_definition(
            rows in 1usize..70, columns in 1usize..70, steps in 0u32..5, seed in 0u64..1000,
        ) {
            check((rows, columns), steps, seed);
        }
    }

    #[test]
    fn equals_the_definition_where_the_work_is_shared_out() {
        check((100, 300), 3, 1);
        check((530, 49), 3, 2);
    }

    #[test]
    fn zeros_stay_zeros() {
        let mut zeros = vec![0.0; 12];
        orthogonalize(&mut zeros, (3, 4), 3);
        assert_eq!(zeros, [0.0; 12]);
    }

    #[test]
    fn a_nan_is_not_hidden() {
        let mut matrix = noise(6, 1);
        matrix[2] = f32::NAN;
        orthogonalize(&mut matrix, (2, 3), 3);
        assert!(matrix.iter().all(|value| value.is_nan()), "{matrix:?}");
    }
}
