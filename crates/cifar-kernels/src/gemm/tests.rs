use proptest::prelude::*;

use super::*;
use crate::buffer::factors;
use crate::element::{Element, bf16};
use crate::factor::Factor;
use crate::isa::Isa;
use crate::test_values::narrow;

fn integers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7 + seed * 13) % 9) as f32 - 4.0).collect()
}

/// `rows` rows of `depth` values, the last factor of each filled up with zeros.
fn row_factors<E: Element>(rows: usize, depth: usize) -> (Vec<f32>, Vec<E>, usize) {
    let stride = depth.next_multiple_of(E::Factor::VALUES);
    let mut a = integers(rows * stride, 1);
    a.chunks_exact_mut(stride.max(1)).for_each(|row| row[depth..].fill(0.0));
    let stored = narrow(&a);
    (a, stored, stride)
}

fn rows_times_panels<E: Element>(rows: usize, depth: usize, columns: usize) {
    let (a, stored, stride) = row_factors::<E>(rows, depth);
    let b = integers(depth * columns, 2);
    let b_stored = narrow::<E>(&b);
    let targets: Vec<usize> = (0..rows).map(|row| 3 + (rows - 1 - row) * columns).collect();
    let check = |isa: Isa, packed: &[E::Factor], order: Order| {
        let n_factors = depth_of::<E>(depth);
        let starts: Vec<usize> = (0..rows).map(|row| row * stride / E::Factor::VALUES).collect();
        // In two runs where the depth allows it.
        let half = n_factors / 2;
        let runs = match n_factors.is_multiple_of(2) {
            true => Runs { n: 2, len: half, distance: half, first: 0, panel_distance: half },
            false => Runs::whole(n_factors),
        };
        // The first row by itself.
        let cut = rows.min(1);
        let (starts, targets) = (Places::new(&starts), Places::new(&targets));
        let left = [0..cut, cut..rows].map(|part| Rows {
            starts: starts.part(part.clone()),
            runs,
            targets: targets.part(part),
            fetch: rows.is_multiple_of(2),
        });
        let right = Panels::new(isa, packed, (n_factors, columns), order);
        let bias = integers(columns, 3);
        for steps in 0..8 {
            let [accumulate, add, relu] = [1, 2, 4].map(|step| steps & step != 0);
            let epilogue = Epilogue { accumulate, bias: add.then_some(&bias), relu };
            let mut out = vec![9.0; rows * columns];
            products_of_rows(isa, (factors(&stored), &left), right, epilogue, (&mut out, 3));
            for row in 0..rows {
                for column in 0..columns {
                    let product = |k| a[row * stride + k] * b[k * columns + column];
                    let sum: f32 = (0..depth).map(product).sum();
                    let sum = sum
                        + if accumulate { 9.0 } else { 0.0 }
                        + if add { bias[column] } else { 0.0 };
                    let want = if relu { sum.max(0.0) } else { sum };
                    assert_eq!(
                        out[(rows - 1 - row) * columns + column],
                        want,
                        "{isa} {order:?} {row} {column}"
                    );
                }
            }
        }
    };
    for isa in Isa::available() {
        let n_factors = depth_of::<E>(depth);
        let row = |row: usize| b_stored.get(row * columns..(row + 1) * columns);
        let mut panels = vec![E::Factor::default(); panels_len(isa, n_factors, columns)];
        pack_panels(isa, (n_factors, columns), row, &mut panels);
        // By twos where the depth, and that of each run, allows it.
        let order = match n_factors.is_multiple_of(4) && pairs_fit(isa, columns) {
            true => Order::Pairs,
            false => Order::Rows,
        };
        if order == Order::Pairs {
            pair_rows(isa, (n_factors, columns), &mut panels);
        }
        check(isa, &panels, order);
        if columns <= FEW_COLUMNS {
            let mut packed = vec![E::Factor::default(); n_factors * columns];
            pack_columns((n_factors, columns), row, &mut packed);
            check(isa, &packed, Order::Columns);
        }
    }
}

fn columns_times_panels<E: Element>(rows: usize, depth: usize, columns: usize) {
    let stride = rows + 9;
    let (a, b) = (integers(depth * stride, 1), integers(depth * columns, 2));
    let (a_stored, b_stored) = (narrow::<E>(&a), narrow::<E>(&b));
    for isa in Isa::available() {
        let n_factors = depth_of::<E>(depth);
        let mut panels = vec![E::Factor::default(); panels_len(isa, n_factors, columns)];
        let row = |row: usize| b_stored.get(row * columns..(row + 1) * columns);
        pack_panels(isa, (n_factors, columns), row, &mut panels);
        let mut left = vec![E::Factor::default(); n_factors * stride];
        for (d, left) in left.chunks_exact_mut(stride).enumerate() {
            let row = |p: usize| a_stored.get(p * stride..(p + 1) * stride);
            let first = d * E::Factor::VALUES;
            let second = if E::Factor::VALUES > 1 { row(first + 1) } else { None };
            join_rows(isa, row(first).unwrap(), second, left);
        }
        let mut sums = vec![9.0; sums_len(isa, rows, columns)];
        // In two runs, two factors apart, where the number of rows allows it.
        let apart = if rows.is_multiple_of(2) { 2 } else { 0 };
        let offsets: Vec<usize> =
            (0..rows).map(|row| row + if row < rows / 2 { 0 } else { apart }).collect();
        let starts: Vec<usize> = (0..n_factors).map(|p| p * stride).collect();
        let (starts, offsets) = (Places::new(&starts), Places::new(&offsets));
        for add in [false, true] {
            let left = Columns { a: &left, starts, offsets, spans: None, ahead: Ahead::default() };
            let right = Right::Panels(&panels);
            products_of_columns(isa, left, right, columns, add, &mut sums);
        }
        for row in 0..rows {
            for column in 0..columns {
                let at = row + if row < rows / 2 { 0 } else { apart };
                let product = |p| 2.0 * a[p * stride + at] * b[p * columns + column];
                let want: f32 = (0..depth).map(product).sum();
                let width = panel_width(isa, columns);
                let at = sums_at(isa, row, column / width * width, columns) + column % width;
                assert_eq!(sums[at], want, "{isa} {row} {column}");
            }
        }
    }
}

/// Two matrices of whole panels joined row by row, and kept.
fn columns_times_joined<E: Element>(rows: usize, depth: usize, panels: usize) {
    for isa in Isa::available() {
        let columns = panels * panel_width(isa, 1000);
        let n_values = E::Factor::VALUES;
        let a = integers(n_values * depth * rows, 1);
        let b = [2, 3].map(|seed| integers(depth * columns, seed));
        let (a_stored, b_stored) = (narrow::<E>(&a), b.each_ref().map(|b| narrow::<E>(b)));
        let mut left = vec![E::Factor::default(); depth * rows];
        join_rows(isa, &a_stored[..left.len()], a_stored.get(left.len()..), &mut left);
        let mut kept = vec![E::Factor::default(); depth * columns];
        let mut sums = vec![9.0; sums_len(isa, rows, columns)];
        let starts: Vec<usize> = (0..depth).map(|p| p * rows).collect();
        let offsets: Vec<usize> = (0..rows).collect();
        let (starts, offsets) = (Places::new(&starts), Places::new(&offsets));
        let left = Columns { a: &left, starts, offsets, spans: None, ahead: Ahead::default() };
        let right = Right::Joined(&b_stored[0], Some(&b_stored[1]), &mut kept);
        products_of_columns(isa, left, right, columns, false, &mut sums);
        products_of_columns(isa, left, Right::Rows(&kept), columns, true, &mut sums);
        let width = panel_width(isa, columns);
        for row in 0..rows {
            for column in 0..columns {
                let product = |p: usize, value: usize| {
                    2.0 * a[(value * depth + p) * rows + row] * b[value][p * columns + column]
                };
                let of_row = |p| (0..n_values).map(|value| product(p, value)).sum::<f32>();
                let want: f32 = (0..depth).map(of_row).sum();
                let at = sums_at(isa, row, column / width * width, columns) + column % width;
                assert_eq!(sums[at], want, "{isa} {row} {column}");
            }
        }
    }
}

proptest! {
    // Small integers, whose products and sums are exact in any order, also as bf16.

    #[test]
    fn products_of_rows_are_exact(
        rows in 0usize..20, depth in 0usize..12, columns in 1usize..140,
    ) {
        rows_times_panels::<f32>(rows, depth, columns);
        rows_times_panels::<bf16>(rows, depth, columns);
    }

    #[test]
    fn products_of_rows_with_few_columns_are_exact(
        rows in 0usize..20, depth in 0usize..140, columns in 1usize..=FEW_COLUMNS,
    ) {
        rows_times_panels::<f32>(rows, depth, columns);
        rows_times_panels::<bf16>(rows, depth, columns);
    }

    #[test]
    fn products_of_columns_are_exact(
        rows in 1usize..40, depth in 0usize..12, columns in 1usize..140,
    ) {
        // Four vectors of AVX-512 may be a tile by themselves.
        for columns in [columns, 64] {
            columns_times_panels::<f32>(rows, depth, columns);
            columns_times_panels::<bf16>(rows, depth, columns);
        }
    }

    #[test]
    fn products_of_columns_with_joined_rows_are_exact(
        rows in 1usize..40, depth in 0usize..12, panels in 1usize..4,
    ) {
        columns_times_joined::<f32>(rows, depth, panels);
        columns_times_joined::<bf16>(rows, depth, panels);
    }
}
