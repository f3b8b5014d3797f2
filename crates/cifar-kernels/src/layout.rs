//! From planes, `(N, C, H, W)`, to pixels, `(N, H, W, C)`, and back.

use rayon::prelude::*;

use crate::element::Element;

/// Rows and columns that are exchanged at a time: both sides then stay in the nearest cache.
const BLOCK: usize = 16;

/// `(N, C, L)` to `(N, L, C)`, with `L = H·W` pixels of `C` channels, rounded to what is stored.
///
/// # Panics
/// If the lengths differ or are not whole images.
pub fn channels_last<A: Element, B: Element>(
    x: &[A],
    channels: usize,
    plane_len: usize,
    y: &mut [B],
) {
    exchange(x, (channels, plane_len), y);
}

/// `(N, L, C)` to `(N, C, L)`, the way back.
///
/// # Panics
/// If the lengths differ or are not whole images.
pub fn channels_first<E: Element>(x: &[E], channels: usize, plane_len: usize, y: &mut [E]) {
    exchange(x, (plane_len, channels), y);
}

/// The transpose of each matrix of `rows × columns`.
fn exchange<A: Element, B: Element>(x: &[A], (rows, columns): (usize, usize), y: &mut [B]) {
    assert_eq!(x.len(), y.len(), "layout: lengths differ");
    let len = rows * columns;
    assert!(len > 0 && x.len().is_multiple_of(len), "layout: not whole images");
    y.par_chunks_exact_mut(len).zip(x.par_chunks_exact(len)).for_each(|(y, x)| {
        if rows == 1 || columns == 1 {
            return y.iter_mut().zip(x).for_each(|(y, &x)| *y = B::from_f32(x.to_f32()));
        }
        if rows == 3 {
            // Pictures.
            let (red, rest) = x.split_at(columns);
            let planes = red.iter().zip(rest[..columns].iter().zip(&rest[columns..]));
            for (pixel, (&r, (&g, &b))) in y.chunks_exact_mut(3).zip(planes) {
                pixel.copy_from_slice(&[r, g, b].map(|value| B::from_f32(value.to_f32())));
            }
            return;
        }
        for (left, y) in (0..columns).step_by(BLOCK).zip(y.chunks_mut(BLOCK * rows)) {
            exchange_columns(x, (rows, columns), left, y);
        }
    });
}

/// The transpose of one matrix of `rows × columns`, rounded to what is stored; shared among threads.
pub(crate) fn transpose<A: Element, B: Element>(
    x: &[A],
    (rows, columns): (usize, usize),
    y: &mut [B],
) {
    assert!(x.len() == rows * columns && y.len() == x.len(), "transpose: lengths differ");
    let parts = y.par_chunks_mut((BLOCK * rows).max(1)).enumerate();
    parts.for_each(|(at, y)| exchange_columns(x, (rows, columns), at * BLOCK, y));
}

/// The columns of a matrix from `left` on, one after the other: as many as `y` has room for.
fn exchange_columns<A: Element, B: Element>(
    x: &[A],
    (rows, columns): (usize, usize),
    left: usize,
    y: &mut [B],
) {
    for top in (0..rows).step_by(BLOCK) {
        for (column, y) in (left..).zip(y.chunks_exact_mut(rows)) {
            for (row, to) in (top..).zip(&mut y[top..rows.min(top + BLOCK)]) {
                *to = B::from_f32(x[row * columns + column].to_f32());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_and_back(n in 1usize..4, channels in 1usize..40, plane_len in 1usize..40) {
            let x: Vec<f32> = (0..n * channels * plane_len).map(|i| i as f32).collect();
            let (mut y, mut back) = (vec![0.0; x.len()], vec![0.0; x.len()]);
            channels_last(&x, channels, plane_len, &mut y);
            for (at, &value) in y.iter().enumerate() {
                let (image, pixel, channel) =
                    (at / channels / plane_len, at / channels % plane_len, at % channels);
                prop_assert_eq!(value, x[(image * channels + channel) * plane_len + pixel]);
            }
            channels_first(&y, channels, plane_len, &mut back);
            prop_assert_eq!(back, x);
        }
    }
}
