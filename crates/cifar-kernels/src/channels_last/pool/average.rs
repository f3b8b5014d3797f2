//! Average pooling.

use rayon::prelude::*;

use crate::buffer::with_scratch;
use crate::element::Element;
use crate::pool::PoolShape;

/// The mean of each window: `x`, `(N, H, W, C)`, to `y`, `(N, OH, OW, C)`.
///
/// # Panics
/// If the lengths do not fit `shape`, or its padding is not 0.
#[inline(never)]
pub fn avg_pool<E: Element>(x: &[E], shape: &PoolShape, channels: usize, y: &mut [E]) {
    assert_eq!(shape.padding, 0, "avg_pool: padding is not supported");
    shape.check(x.len(), y.len(), channels);
    if y.is_empty() {
        return;
    }
    let (in_len, out_len) = (shape.plane_len() * channels, shape.out_len() * channels);
    let share = 1.0 / (shape.kernel * shape.kernel) as f32;
    y.par_chunks_exact_mut(out_len).zip(x.par_chunks_exact(in_len)).for_each(|(y, x)| {
        shape.for_each_window(|at, window| {
            let pixels = window.pixels(shape.width);
            let y = &mut y[at * channels..][..channels];
            mean_of(pixels.map(|pixel| &x[pixel * channels..][..channels]), share, y);
        });
    });
}

/// `y = share·Σ pixels`, summed in f32.
fn mean_of<'a, E: Element>(pixels: impl Iterator<Item = &'a [E]>, share: f32, y: &mut [E]) {
    with_scratch(y.len(), |sums: &mut [f32]| {
        sums.fill(0.0);
        for pixel in pixels {
            sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x.to_f32());
        }
        y.iter_mut().zip(sums).for_each(|(y, sum)| *y = E::from_f32(*sum * share));
    });
}

/// Gradient of [`avg_pool`]: `dy`, `(N, OH, OW, C)`, to `dx`, `(N, H, W, C)`, overwritten.
///
/// # Panics
/// If the lengths do not fit `shape`, or its padding is not 0.
#[inline(never)]
pub fn avg_pool_backward<E: Element>(dy: &[E], shape: &PoolShape, channels: usize, dx: &mut [E]) {
    assert_eq!(shape.padding, 0, "avg_pool_backward: padding is not supported");
    shape.check(dx.len(), dy.len(), channels);
    let (in_len, out_len) = (shape.plane_len() * channels, shape.out_len() * channels);
    let share = 1.0 / (shape.kernel * shape.kernel) as f32;
    dx.par_chunks_exact_mut(in_len).enumerate().for_each(|(image, dx)| {
        dx.fill(E::default());
        let dy = &dy[image * out_len..][..out_len];
        shape.for_each_window(|at, window| {
            let dy = &dy[at * channels..][..channels];
            for pixel in window.pixels(shape.width) {
                let dx = &mut dx[pixel * channels..][..channels];
                for (dx, dy) in dx.iter_mut().zip(dy) {
                    *dx = E::from_f32(dx.to_f32() + dy.to_f32() * share);
                }
            }
        });
    });
}

/// The mean of each channel of each image: `x`, `(N, L, C)`, to `y`, `(N, C)`.
///
/// # Panics
/// If the lengths do not fit.
#[inline(never)]
pub fn global_avg_pool<E: Element>(x: &[E], n_pixels: usize, channels: usize, y: &mut [E]) {
    let image_len = n_pixels * channels;
    assert!(image_len > 0 && x.len() / image_len * channels == y.len(), "pooling: no fit");
    let share = 1.0 / n_pixels as f32;
    y.par_chunks_exact_mut(channels).zip(x.par_chunks_exact(image_len)).for_each(|(y, x)| {
        mean_of(x.chunks_exact(channels), share, y);
    });
}

/// Gradient of [`global_avg_pool`]: `dy`, `(N, C)`, to `dx`, `(N, L, C)`, overwritten.
///
/// # Panics
/// If the lengths do not fit.
#[inline(never)]
pub fn global_avg_pool_backward<E: Element>(
    dy: &[E],
    n_pixels: usize,
    channels: usize,
    dx: &mut [E],
) {
    let image_len = n_pixels * channels;
    assert!(image_len > 0 && dx.len() / image_len * channels == dy.len(), "pooling: no fit");
    let share = 1.0 / n_pixels as f32;
    dx.par_chunks_exact_mut(image_len).zip(dy.par_chunks_exact(channels)).for_each(|(dx, dy)| {
        let (first, others) = dx.split_at_mut(channels);
        for (dx, dy) in first.iter_mut().zip(dy) {
            *dx = E::from_f32(dy.to_f32() * share);
        }
        others.chunks_exact_mut(channels).for_each(|pixel| pixel.copy_from_slice(first));
    });
}
