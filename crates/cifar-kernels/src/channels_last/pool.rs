//! Max and average pooling.

#![expect(unsafe_code, reason = "code compiled for an instruction set; see the SAFETY comments")]

use std::ops::Range;

use rayon::prelude::*;

use crate::element::Element;
use crate::isa::Isa;
use crate::pool::PoolShape;
use crate::simd::{Simd, in_blocks, load, per_isa, store};

mod average;

pub use average::{avg_pool, avg_pool_backward, global_avg_pool, global_avg_pool_backward};

/// The largest value of each window, channel by channel, and which of the window's pixels it was;
/// with `relu`, 0 in the place of negative values.
///
/// `x`: `(N, H, W, C)`; `y`, `argmax`: `(N, OH, OW, C)`, overwritten; `argmax` counts the pixels of
/// a whole window in row-major order. The first of equal values counts; a NaN counts as larger
/// than any number, and a later NaN as larger than an earlier one, as in PyTorch.
///
/// # Panics
/// If the lengths do not fit `shape`, or its padding is more than half its kernel.
#[inline(never)]
pub fn max_pool<E: Element>(
    x: &[E],
    shape: &PoolShape,
    channels: usize,
    relu: bool,
    y: &mut [E],
    argmax: &mut [u32],
) {
    shape.check(x.len(), y.len(), channels);
    assert_eq!(y.len(), argmax.len(), "max_pool: one index per output");
    if y.is_empty() {
        return;
    }
    let isa = Isa::current();
    let (in_len, out_len) = (shape.plane_len() * channels, shape.out_len() * channels);
    let images = y.par_chunks_exact_mut(out_len).zip(argmax.par_chunks_exact_mut(out_len));
    images.zip(x.par_chunks_exact(in_len)).for_each(|((y, argmax), x)| {
        // SAFETY: an image and its windows.
        unsafe { max_pool_image(isa, x, shape, channels, relu, y, argmax) };
    });
}

per_isa! {
    unsafe fn max_pool_image<E: Element>(
        x: &[E], shape: &PoolShape, channels: usize, relu: bool, y: &mut [E], argmax: &mut [u32],
    ) = max_pool_image_body
}

/// # Safety
/// `x`: an image of `shape`; `y`, `argmax`: its windows.
#[inline(always)]
unsafe fn max_pool_image_body<S: Simd, E: Element, const M: usize>(
    s: S,
    x: &[E],
    shape: &PoolShape,
    channels: usize,
    relu: bool,
    y: &mut [E],
    argmax: &mut [u32],
) {
    if shape.is_two_by_two() {
        let row_len = shape.width * channels;
        shape.for_each_first_pixel(|at, pixel| {
            let (first, out) = (pixel * channels, at * channels);
            in_blocks!(
                s,
                channels,
                largest_of_four(x, first, row_len, channels, relu, out, y, argmax)
            );
        });
        return;
    }
    shape.for_each_window(|at, window| {
        let (width, out) = (shape.width, at * channels);
        in_blocks!(s, channels, largest(x, width, channels, &window, relu, out, y, argmax));
    });
}

/// One window of 2×2, the usual one, `B` vectors of channels from `channel`: with all loops written
/// out it takes a fraction of the time. `first`: where its first pixel begins in `x`, whose rows
/// have `row_len` values.
///
/// # Safety
/// As for [`largest`].
#[expect(clippy::too_many_arguments, reason = "three slices and where")]
#[inline(always)]
unsafe fn largest_of_four<S: Simd, E: Element, const B: usize>(
    s: S,
    channel: usize,
    x: &[E],
    first: usize,
    row_len: usize,
    channels: usize,
    relu: bool,
    out: usize,
    y: &mut [E],
    argmax: &mut [u32],
) {
    // SAFETY: the channels of a pixel, by the caller.
    let value = |tap: usize| unsafe {
        load::<S, _, B>(s, x, first + tap / 2 * row_len + tap % 2 * channels + channel)
    };
    let (mut best, mut at) = (value(0), [s.splat(f32::from_bits(0)); B]);
    for tap in 1..4 {
        let (v, number) = (value(tap), s.splat(f32::from_bits(tap as u32)));
        for b in 0..B {
            at[b] = s.if_above(v[b], best[b], number, at[b]);
            best[b] = s.if_above(v[b], best[b], v[b], best[b]);
        }
    }
    // SAFETY: the caller's.
    unsafe { put(s, best, at, relu, out + channel, y, argmax) };
}

/// One window, `B` vectors of channels from `channel`.
///
/// # Safety
/// The channels are there in every pixel of `x` that the window covers, and from `out` in `y` and
/// in `argmax`.
#[expect(clippy::too_many_arguments, reason = "three slices and where")]
#[inline(always)]
unsafe fn largest<S: Simd, E: Element, const B: usize>(
    s: S,
    channel: usize,
    x: &[E],
    width: usize,
    channels: usize,
    window: &Window,
    relu: bool,
    out: usize,
    y: &mut [E],
    argmax: &mut [u32],
) {
    // The number of a pixel travels as the bits of a value.
    let number = |tap: u32| s.splat(f32::from_bits(tap));
    let first = number(window.tap(window.rows.start, window.columns.start));
    let (mut best, mut at) = ([s.splat(f32::NEG_INFINITY); B], [first; B]);
    for row in window.rows.clone() {
        for column in window.columns.clone() {
            let tap = number(window.tap(row, column));
            // SAFETY: the channels of a pixel, by the caller.
            let v = unsafe { load::<S, _, B>(s, x, (row * width + column) * channels + channel) };
            for b in 0..B {
                at[b] = s.if_above(v[b], best[b], tap, at[b]);
                best[b] = s.if_above(v[b], best[b], v[b], best[b]);
            }
        }
    }
    // SAFETY: the caller's.
    unsafe { put(s, best, at, relu, out + channel, y, argmax) };
}

/// Writes what was found from `out` on.
///
/// # Safety
/// `B` vectors are there in `y` and in `argmax`.
#[inline(always)]
unsafe fn put<S: Simd, E: Element, const B: usize>(
    s: S,
    mut best: [S::V; B],
    at: [S::V; B],
    relu: bool,
    out: usize,
    y: &mut [E],
    argmax: &mut [u32],
) {
    if relu {
        for best in &mut best {
            *best = s.relu(*best);
        }
    }
    // SAFETY: the caller's; a u32 is as large and as aligned as an f32.
    unsafe {
        store::<S, _, B>(s, y, out, best);
        for (b, at) in at.into_iter().enumerate() {
            s.store(argmax.as_mut_ptr().add(out + b * S::LANES).cast(), at);
        }
    }
}

/// Gradient of [`max_pool`] without its ReLU: each window's gradient goes to the value it took.
///
/// `dy`, `argmax`: `(N, OH, OW, C)`; `dx`: `(N, H, W, C)`, overwritten.
///
/// # Panics
/// If the lengths do not fit `shape`.
#[inline(never)]
pub fn max_pool_backward<E: Element>(
    dy: &[E],
    argmax: &[u32],
    shape: &PoolShape,
    channels: usize,
    dx: &mut [E],
) {
    shape.check(dx.len(), dy.len(), channels);
    assert_eq!(dy.len(), argmax.len(), "max_pool_backward: one index per output");
    let isa = Isa::current();
    let (in_len, out_len) = (shape.plane_len() * channels, shape.out_len() * channels);
    dx.par_chunks_exact_mut(in_len).enumerate().for_each(|(image, dx)| {
        let part = image * out_len..(image + 1) * out_len;
        // SAFETY: an image and its windows.
        unsafe {
            max_pool_image_backward(isa, &dy[part.clone()], &argmax[part], shape, channels, dx);
        }
    });
}

per_isa! {
    unsafe fn max_pool_image_backward<E: Element>(
        dy: &[E], argmax: &[u32], shape: &PoolShape, channels: usize, dx: &mut [E],
    ) = max_pool_image_backward_body
}

/// # Safety
/// `dx`: an image of `shape`; `dy`, `argmax`: its windows.
#[inline(always)]
unsafe fn max_pool_image_backward_body<S: Simd, E: Element, const M: usize>(
    s: S,
    dy: &[E],
    argmax: &[u32],
    shape: &PoolShape,
    channels: usize,
    dx: &mut [E],
) {
    let apart = shape.kernel <= shape.stride;
    if !(apart && shape.covers_all()) {
        dx.fill(E::default());
    }
    if apart && shape.is_two_by_two() {
        let row_len = shape.width * channels;
        shape.for_each_first_pixel(|at, pixel| {
            let (first, out) = (pixel * channels, at * channels);
            in_blocks!(s, channels, put_in_four(dy, argmax, first, row_len, channels, out, dx));
        });
        return;
    }
    shape.for_each_window(|at, window| {
        let (width, out) = (shape.width, at * channels);
        in_blocks!(s, channels, spread(dy, argmax, width, channels, &window, apart, out, dx));
    });
}

/// The gradient of one window of 2×2 that no other reaches into; see [`largest_of_four`].
///
/// # Safety
/// As for [`spread`].
#[expect(clippy::too_many_arguments, reason = "three slices and where")]
#[inline(always)]
unsafe fn put_in_four<S: Simd, E: Element, const B: usize>(
    s: S,
    channel: usize,
    dy: &[E],
    argmax: &[u32],
    first: usize,
    row_len: usize,
    channels: usize,
    out: usize,
    dx: &mut [E],
) {
    // SAFETY: the channels of both, by the caller.
    let (dy, at) = unsafe { taken::<S, E, B>(s, dy, argmax, out + channel) };
    for tap in 0..4 {
        let number = s.splat(f32::from_bits(tap as u32));
        let mut v = dy;
        for b in 0..B {
            v[b] = s.where_same(at[b], number, dy[b]);
        }
        let pixel = first + tap / 2 * row_len + tap % 2 * channels + channel;
        // SAFETY: the channels of a pixel, by the caller.
        unsafe { store::<S, _, B>(s, dx, pixel, v) };
    }
}

/// The gradients of results from `out` on, and the numbers of the pixels that they go to.
///
/// # Safety
/// `B` vectors are there in `dy` and in `argmax`.
#[inline(always)]
unsafe fn taken<S: Simd, E: Element, const B: usize>(
    s: S,
    dy: &[E],
    argmax: &[u32],
    out: usize,
) -> ([S::V; B], [S::V; B]) {
    // SAFETY: the caller's.
    let dy = unsafe { load::<S, _, B>(s, dy, out) };
    let mut at = dy;
    for (b, at) in at.iter_mut().enumerate() {
        // SAFETY: as above; a u32 is as large and as aligned as an f32.
        *at = unsafe { s.load(argmax.as_ptr().add(out + b * S::LANES).cast()) };
    }
    (dy, at)
}

/// The gradient of one window, `B` vectors of channels from `channel`: put where no other window
/// reaches, else added.
///
/// # Safety
/// The channels are there from `out` in `dy` and in `argmax`, and in every pixel of `dx` that the
/// window covers.
#[expect(clippy::too_many_arguments, reason = "three slices and where")]
#[inline(always)]
unsafe fn spread<S: Simd, E: Element, const B: usize>(
    s: S,
    channel: usize,
    dy: &[E],
    argmax: &[u32],
    width: usize,
    channels: usize,
    window: &Window,
    apart: bool,
    out: usize,
    dx: &mut [E],
) {
    // SAFETY: the channels of both, by the caller.
    let (dy, at) = unsafe { taken::<S, E, B>(s, dy, argmax, out + channel) };
    for row in window.rows.clone() {
        for column in window.columns.clone() {
            let tap = s.splat(f32::from_bits(window.tap(row, column)));
            let pixel = (row * width + column) * channels + channel;
            let mut v = dy;
            for b in 0..B {
                v[b] = s.where_same(at[b], tap, dy[b]);
            }
            // SAFETY: the channels of a pixel, by the caller.
            unsafe {
                if !apart {
                    let before = load::<S, _, B>(s, dx, pixel);
                    for b in 0..B {
                        v[b] = s.add(before[b], v[b]);
                    }
                }
                store::<S, _, B>(s, dx, pixel, v);
            }
        }
    }
}

impl PoolShape {
    fn check(&self, x_len: usize, y_len: usize, channels: usize) {
        assert!(self.kernel > 0 && self.stride > 0, "pooling: a kernel or stride of 0");
        assert!(self.padding <= self.kernel / 2, "pooling: padding of more than half the kernel");
        let image_len = self.plane_len() * channels;
        assert!(image_len > 0 && x_len.is_multiple_of(image_len), "pooling: not whole images");
        let expected = x_len / image_len * self.out_len() * channels;
        assert_eq!(y_len, expected, "pooling: input and output do not fit");
    }

    /// Whether every pixel lies in a window.
    fn covers_all(&self) -> bool {
        let covered = |len: usize, n_windows: usize| {
            n_windows > 0 && (n_windows - 1) * self.stride + self.kernel >= len + self.padding
        };
        self.kernel >= self.stride
            && covered(self.height, self.out_height())
            && covered(self.width, self.out_width())
    }

    /// Whether every window has four pixels.
    fn is_two_by_two(&self) -> bool {
        (self.kernel, self.padding) == (2, 0)
    }

    /// Calls `f` with the number of each window, in row-major order, and that of its first pixel.
    /// There is no padding.
    #[inline(always)]
    fn for_each_first_pixel(&self, mut f: impl FnMut(usize, usize)) {
        let n_columns = self.out_width();
        for row in 0..self.out_height() {
            for column in 0..n_columns {
                f(row * n_columns + column, (row * self.width + column) * self.stride);
            }
        }
    }

    /// Calls `f` with each window of an image, and its number in row-major order.
    #[inline(always)]
    fn for_each_window(&self, mut f: impl FnMut(usize, Window)) {
        let covered = |at: usize, len: usize| {
            let start = (at * self.stride) as isize - self.padding as isize;
            let end = (start + self.kernel as isize).min(len as isize);
            (start, start.max(0) as usize..end.max(0) as usize)
        };
        let n_columns = self.out_width();
        for row in 0..self.out_height() {
            let (top, rows) = covered(row, self.height);
            for column in 0..n_columns {
                let (left, columns) = covered(column, self.width);
                let (rows, kernel) = (rows.clone(), self.kernel);
                f(row * n_columns + column, Window { top, left, rows, columns, kernel });
            }
        }
    }
}

/// What one window covers.
struct Window {
    /// Its first row and column, which may lie outside the image.
    top: isize,
    left: isize,
    /// Its rows and columns inside the image.
    rows: Range<usize>,
    columns: Range<usize>,
    kernel: usize,
}

impl Window {
    /// The pixel's number among those of the whole window.
    #[inline(always)]
    fn tap(&self, row: usize, column: usize) -> u32 {
        let (row, column) = (row as isize - self.top, column as isize - self.left);
        (row as usize * self.kernel + column as usize) as u32
    }

    /// The pixels inside the image, whose rows are `width` long.
    fn pixels(&self, width: usize) -> impl Iterator<Item = usize> {
        let columns = self.columns.clone();
        self.rows.clone().flat_map(move |row| columns.clone().map(move |c| row * width + c))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::element::bf16;
    use crate::layout::{channels_first, channels_last};
    use crate::pool as planes;

    proptest! {
        /// Against the twins on planes; small whole numbers, so that many are equal.
        #[test]
        fn pooling_equals_that_on_planes(
            n in 1usize..3, channels in 1usize..20, sides in (1usize..9, 1usize..9),
            kernel in 1usize..4, stride in 1usize..4, pad: bool, relu: bool,
        ) {
            let padding = if pad { kernel / 2 } else { 0 };
            let shape = PoolShape { height: sides.0, width: sides.1, kernel, stride, padding };
            prop_assume!(shape.out_len() > 0);
            let (plane, out) = (shape.plane_len(), shape.out_len());
            let x: Vec<f32> =
                (0..n * channels * plane).map(|i| (i * 7 % 5) as f32 - 2.0).collect();
            let dy: Vec<f32> = (0..n * channels * out).map(|i| (i % 9) as f32).collect();
            let back = |rows: &[f32], len| {
                let mut planes = vec![0.0; rows.len()];
                channels_first(rows, channels, len, &mut planes);
                planes
            };
            let (mut x_rows, mut dy_rows) = (x.clone(), dy.clone());
            channels_last(&x, channels, plane, &mut x_rows);
            channels_last(&dy, channels, out, &mut dy_rows);
            let (mut y, mut argmax, mut dx) = (dy.clone(), vec![0; dy.len()], x.clone());
            let (mut want_y, mut want_argmax, mut want_dx) = (dy.clone(), argmax.clone(), x.clone());
            max_pool(&x_rows, &shape, channels, relu, &mut y, &mut argmax);
            max_pool_backward(&dy_rows, &argmax, &shape, channels, &mut dx);
            planes::max_pool(&x, &shape, &mut want_y, &mut want_argmax);
            planes::max_pool_backward(&dy, &want_argmax, &shape, &mut want_dx);
            if relu {
                want_y.iter_mut().for_each(|y: &mut f32| *y = y.max(0.0));
            }
            prop_assert_eq!(back(&y, out), &want_y[..]);
            prop_assert_eq!(back(&dx, plane), &want_dx[..]);
            if padding == 0 {
                avg_pool(&x_rows, &shape, channels, &mut y);
                avg_pool_backward(&dy_rows, &shape, channels, &mut dx);
                planes::avg_pool(&x, &shape, &mut want_y);
                planes::avg_pool_backward(&dy, &shape, &mut want_dx);
                for (got, want) in back(&y, out).iter().zip(&want_y) {
                    prop_assert!((got - want).abs() <= 1e-6 * want.abs());
                }
                for (got, want) in back(&dx, plane).iter().zip(&want_dx) {
                    prop_assert!((got - want).abs() <= 1e-6 * want.abs());
                }
            }
        }
    }

    /// Small whole numbers, whose sums bf16 holds too.
    #[test]
    fn bf16_gives_the_same_where_it_can() {
        fn stored<E: Element>() -> [Vec<f32>; 5] {
            let shape = PoolShape { height: 6, width: 8, kernel: 2, stride: 2, padding: 0 };
            let (n, channels) = (3, 21);
            let values = |len: usize, step: usize| -> Vec<E> {
                (0..len).map(|i| E::from_f32((i * step % 8) as f32)).collect()
            };
            let x = values(n * channels * 48, 7);
            let dy = values(n * channels * 12, 3);
            let (mut y, mut argmax, mut dx) = (dy.clone(), vec![0; dy.len()], x.clone());
            let mut results = Vec::new();
            max_pool(&x, &shape, channels, false, &mut y, &mut argmax);
            results.push(y.clone());
            max_pool_backward(&dy, &argmax, &shape, channels, &mut dx);
            results.push(dx.clone());
            avg_pool(&x, &shape, channels, &mut y);
            results.push(y);
            avg_pool_backward(&dy, &shape, channels, &mut dx);
            results.push(dx.clone());
            global_avg_pool_backward(&dy, 4, channels, &mut dx[..4 * dy.len()]);
            results.push(dx);
            let wide = |values: Vec<E>| values.iter().map(|value| value.to_f32()).collect();
            let mut results = results.into_iter().map(wide);
            std::array::from_fn(|_| results.next().unwrap())
        }
        for isa in Isa::available() {
            isa.force(|| assert_eq!(stored::<bf16>(), stored::<f32>(), "{isa}"));
        }
    }

    #[test]
    fn a_nan_is_the_largest() {
        let shape = PoolShape { height: 1, width: 3, kernel: 1, stride: 1, padding: 0 };
        let x = [1.0, f32::NAN, f32::NEG_INFINITY];
        let (mut y, mut argmax) = ([0.0; 3], [9; 3]);
        max_pool(&x, &shape, 1, false, &mut y, &mut argmax);
        assert!(y[0] == 1.0 && y[1].is_nan() && y[2] == f32::NEG_INFINITY);
        let shape = PoolShape { height: 2, width: 2, kernel: 2, stride: 2, padding: 0 };
        let (mut y, mut argmax) = ([0.0; 1], [9; 1]);
        for relu in [false, true] {
            max_pool(&[5.0, f32::NAN, 7.0, 1.0], &shape, 1, relu, &mut y, &mut argmax);
            assert!(y[0].is_nan() && argmax == [1]);
        }
        max_pool(&[f32::NEG_INFINITY; 4], &shape, 1, false, &mut y, &mut argmax);
        assert!(y[0] == f32::NEG_INFINITY && argmax == [0]);
    }

    #[test]
    fn the_global_mean_and_its_gradient() {
        let x = [1.0, 10.0, 3.0, 30.0, 5.0, 50.0, 7.0, 70.0];
        let mut y = [0.0; 4];
        global_avg_pool(&x, 2, 2, &mut y);
        assert_eq!(y, [2.0, 20.0, 6.0, 60.0]);
        let mut dx = [9.0; 8];
        global_avg_pool_backward(&[2.0, 4.0, 6.0, 8.0], 2, 2, &mut dx);
        assert_eq!(dx, [1.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0, 4.0]);
    }
}
