use proptest::prelude::*;

use super::*;

fn integers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7 + seed * 13) % 9) as f32 - 4.0).collect()
}

proptest! {
    /// Small integers, whose sums are exact in any order.
    #[test]
    fn rows_times_panels(rows in 0usize..20, depth in 0usize..12, columns in 1usize..70) {
        let (a, b) = (integers(rows * (depth + 3) + 3, 1), integers(depth * columns, 2));
        let targets: Vec<usize> = (0..rows).map(|row| (rows - 1 - row) * columns).collect();
        for isa in Isa::available() {
            let mut panels = vec![9.0; panels_len(isa, depth, columns)];
            pack_panels(isa, columns, |row| &b[row * columns..][..columns], &mut panels);
            let mut out = vec![9.0; rows * columns];
            let left = Rows { a: &a, stride: depth + 3, targets: &targets };
            let right =
                Panels { values: &panels, stride: depth * panel_width(isa), depth, columns };
            products_of_rows(isa, left, right, Epilogue::default(), &mut out);
            for row in 0..rows {
                for column in 0..columns {
                    let product = |k| a[row * (depth + 3) + k] * b[k * columns + column];
                    let want: f32 = (0..depth).map(product).sum();
                    prop_assert_eq!(out[targets[row] + column], want, "{} {} {}", isa, row, column);
                }
            }
        }
    }

    #[test]
    fn columns_times_panels(rows in 1usize..20, depth in 0usize..12, columns in 1usize..70) {
        let stride = rows + 9;
        let (a, b) = (integers(depth * stride, 1), integers(depth * columns, 2));
        for isa in Isa::available() {
            let mut panels = vec![9.0; panels_len(isa, depth, columns)];
            pack_panels(isa, columns, |row| &b[row * columns..][..columns], &mut panels);
            let mut sums = vec![9.0; sums_len(isa, rows, columns)];
            for add in [false, true] {
                let left = (&a[..], stride, rows);
                products_of_columns(isa, left, &panels, columns, depth, add, &mut sums);
            }
            for row in 0..rows {
                for column in 0..columns {
                    let product = |p| 2.0 * a[p * stride + row] * b[p * columns + column];
                    let want: f32 = (0..depth).map(product).sum();
                    let width = panel_width(isa);
                    let at = sums_at(isa, row, column / width * width, columns) + column % width;
                    prop_assert_eq!(sums[at], want, "{} {} {}", isa, row, column);
                }
            }
        }
    }
}
