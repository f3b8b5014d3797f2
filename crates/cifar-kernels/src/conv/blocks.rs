//! Reordering of blocks, between the images' order and the one matrix products want.

use rayon::prelude::*;

/// Swaps the outer two axes: `src`, `(a, b, len)`, to `dst`, `(b, a, len)`.
///
/// # Panics
/// If a slice does not hold `a·b·len` values.
pub fn swap_outer(src: &[f32], (a, b): (usize, usize), len: usize, dst: &mut [f32]) {
    swap(src, (a, b), len, dst, |from, to| to.copy_from_slice(from));
}

/// [`swap_outer`] with each block of `len` turned back to front: what turns filters
/// `(K, C, kh·kw)` into those of the transposed convolution, `(C, K, kh·kw)`, and back.
///
/// # Panics
/// If a slice does not hold `a·b·len` values.
pub fn swap_outer_reversed(src: &[f32], (a, b): (usize, usize), len: usize, dst: &mut [f32]) {
    swap(src, (a, b), len, dst, |from, to| {
        for (to, &from) in to.iter_mut().zip(from.iter().rev()) {
            *to = from;
        }
    });
}

fn swap(
    src: &[f32],
    (a, b): (usize, usize),
    len: usize,
    dst: &mut [f32],
    copy: impl Fn(&[f32], &mut [f32]) + Sync,
) {
    assert_eq!(src.len(), a * b * len, "swap_outer: the source does not fit");
    assert_eq!(dst.len(), src.len(), "swap_outer: the destination does not fit");
    if src.is_empty() {
        return;
    }
    dst.par_chunks_exact_mut(a * len).enumerate().for_each(|(j, dst)| {
        for (i, to) in dst.chunks_exact_mut(len).enumerate() {
            copy(&src[(i * b + j) * len..][..len], to);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_axes_are_swapped_and_blocks_kept_or_reversed() {
        let src: Vec<f32> = (0..12).map(|v| v as f32).collect(); // (2, 3, 2)
        let mut dst = [0.0; 12];
        swap_outer(&src, (2, 3), 2, &mut dst);
        assert_eq!(dst, [0., 1., 6., 7., 2., 3., 8., 9., 4., 5., 10., 11.]);
        swap_outer_reversed(&src, (2, 3), 2, &mut dst);
        assert_eq!(dst, [1., 0., 7., 6., 3., 2., 9., 8., 5., 4., 11., 10.]);
    }
}
