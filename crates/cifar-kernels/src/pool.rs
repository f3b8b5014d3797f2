//! Max and average pooling over planes.

use std::ops::Range;

use rayon::prelude::*;

/// One plane of `height × width` values and the square window that moves over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolShape {
    /// `H`: rows of a plane.
    pub height: usize,
    /// `W`: columns of a plane.
    pub width: usize,
    /// Rows and columns of the window.
    pub kernel: usize,
    /// Pixels from one window to the next, in both directions; at least 1.
    pub stride: usize,
    /// Rows and columns outside the plane that a window may cover, at most half the kernel, so
    /// that every window sees a pixel.
    pub padding: usize,
}

impl PoolShape {
    /// `OH`: windows from top to bottom, 0 if the window is larger than the padded plane.
    pub fn out_height(&self) -> usize {
        self.n_windows(self.height)
    }

    /// `OW`: windows from left to right, 0 if the window is larger than the padded plane.
    pub fn out_width(&self) -> usize {
        self.n_windows(self.width)
    }

    /// `OH·OW`: windows on one plane.
    pub fn out_len(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// `H·W`: values of one plane.
    pub fn plane_len(&self) -> usize {
        self.height * self.width
    }

    fn n_windows(&self, len: usize) -> usize {
        (len + 2 * self.padding).checked_sub(self.kernel).map_or(0, |room| room / self.stride + 1)
    }

    /// The rows (or columns) of an axis of `len` that window `at` covers.
    fn covers(&self, at: usize, len: usize) -> Range<usize> {
        let start = (at * self.stride).saturating_sub(self.padding);
        start..(at * self.stride + self.kernel).saturating_sub(self.padding).min(len)
    }

    /// Number of planes, after checking both lengths and the shape itself.
    fn n_planes(&self, planes_len: usize, out_len: usize) -> usize {
        assert!(self.kernel > 0 && self.stride > 0, "pooling: a kernel or stride of 0");
        assert!(self.padding <= self.kernel / 2, "pooling: padding of more than half the kernel");
        assert!(self.plane_len() > 0, "pooling: an empty plane");
        assert!(planes_len.is_multiple_of(self.plane_len()), "pooling: not whole planes");
        let n_planes = planes_len / self.plane_len();
        assert_eq!(out_len, n_planes * self.out_len(), "pooling: input and output do not fit");
        n_planes
    }

    /// Planes that one thread takes at a time: some ten thousand values.
    fn planes_per_task(&self) -> usize {
        (16_384 / self.plane_len()).max(1)
    }
}

/// The largest value of each window, and where it was found.
///
/// `x`: planes `(H, W)`; `y` and `argmax`: planes `(OH, OW)`, wholly overwritten; `argmax` is an
/// index into the plane. The first of equal values in row-major order counts; a NaN counts as
/// larger than any number, and a later NaN as larger than an earlier one, as in PyTorch.
///
/// ```
/// use cifar_kernels::pool::{PoolShape, max_pool};
///
/// let x = [1., 3., 2., 4., 5., 6., 8., 7., 9., 10., 12., 11., 13., 15., 14., 16.];
/// let shape = PoolShape { height: 4, width: 4, kernel: 2, stride: 2, padding: 0 };
/// let (mut y, mut argmax) = ([0.0; 4], [0; 4]);
/// max_pool(&x, &shape, &mut y, &mut argmax);
/// assert_eq!(y, [6., 8., 15., 16.]);
/// assert_eq!(argmax, [5, 6, 13, 15]);
/// ```
///
/// # Panics
/// If the lengths do not fit `shape`, or its padding is more than half its kernel.
pub fn max_pool(x: &[f32], shape: &PoolShape, y: &mut [f32], argmax: &mut [u32]) {
    shape.n_planes(x.len(), y.len());
    assert_eq!(y.len(), argmax.len(), "max_pool: one index per output");
    if y.is_empty() {
        return;
    }
    let task = shape.planes_per_task();
    let outputs = y.par_chunks_mut(task * shape.out_len());
    outputs
        .zip(argmax.par_chunks_mut(task * shape.out_len()))
        .zip(x.par_chunks(task * shape.plane_len()))
        .for_each(|((y, argmax), x)| {
            let outputs =
                y.chunks_exact_mut(shape.out_len()).zip(argmax.chunks_exact_mut(shape.out_len()));
            for (x, (y, argmax)) in x.chunks_exact(shape.plane_len()).zip(outputs) {
                max_pool_plane(x, shape, y, argmax);
            }
        });
}

fn max_pool_plane(x: &[f32], shape: &PoolShape, y: &mut [f32], argmax: &mut [u32]) {
    let out_width = shape.out_width();
    let rows = y.chunks_exact_mut(out_width).zip(argmax.chunks_exact_mut(out_width));
    for (oy, (y, argmax)) in rows.enumerate() {
        let rows = shape.covers(oy, shape.height);
        for (ox, (y, argmax)) in y.iter_mut().zip(argmax).enumerate() {
            let columns = shape.covers(ox, shape.width);
            let mut at = rows.start * shape.width + columns.start;
            let mut best = x[at];
            for row in rows.clone() {
                let start = row * shape.width + columns.start;
                for (i, &value) in x[start..][..columns.len()].iter().enumerate() {
                    if value > best || value.is_nan() {
                        (best, at) = (value, start + i);
                    }
                }
            }
            (*y, *argmax) = (best, at as u32);
        }
    }
}

/// Gradient of [`max_pool`]: each window's gradient goes to the value it took.
///
/// `dy` and `argmax`: planes `(OH, OW)`; `dx`: planes `(H, W)`, wholly overwritten.
///
/// # Panics
/// If the lengths do not fit `shape`, or an index does not lie in the plane.
pub fn max_pool_backward(dy: &[f32], argmax: &[u32], shape: &PoolShape, dx: &mut [f32]) {
    shape.n_planes(dx.len(), dy.len());
    assert_eq!(dy.len(), argmax.len(), "max_pool_backward: one index per output");
    for_each_plane(dy, shape, dx, |plane, dy, dx| {
        let argmax = &argmax[plane * dy.len()..][..dy.len()];
        for (&at, &gradient) in argmax.iter().zip(dy) {
            dx[at as usize] += gradient;
        }
    });
}

/// The mean of each window: `x`, planes `(H, W)`, to `y`, planes `(OH, OW)`.
///
/// # Panics
/// If the lengths do not fit `shape`, or its padding is not 0.
pub fn avg_pool(x: &[f32], shape: &PoolShape, y: &mut [f32]) {
    assert_eq!(shape.padding, 0, "avg_pool: padding is not supported");
    shape.n_planes(x.len(), y.len());
    if y.is_empty() {
        return;
    }
    let (task, out_width) = (shape.planes_per_task(), shape.out_width());
    let area = (shape.kernel * shape.kernel) as f64;
    let outputs = y.par_chunks_mut(task * shape.out_len());
    outputs.zip(x.par_chunks(task * shape.plane_len())).for_each(|(y, x)| {
        let planes = x.chunks_exact(shape.plane_len()).zip(y.chunks_exact_mut(shape.out_len()));
        for (x, y) in planes {
            for (at, y) in y.iter_mut().enumerate() {
                let columns = shape.covers(at % out_width, shape.width);
                let mut sum = 0.0;
                for row in shape.covers(at / out_width, shape.height) {
                    let row = &x[row * shape.width..][..shape.width];
                    sum += row[columns.clone()].iter().map(|&v| f64::from(v)).sum::<f64>();
                }
                *y = (sum / area) as f32;
            }
        }
    });
}

/// Gradient of [`avg_pool`]: `dy`, planes `(OH, OW)`, to `dx`, planes `(H, W)`, overwritten.
///
/// # Panics
/// If the lengths do not fit `shape`, or its padding is not 0.
pub fn avg_pool_backward(dy: &[f32], shape: &PoolShape, dx: &mut [f32]) {
    assert_eq!(shape.padding, 0, "avg_pool_backward: padding is not supported");
    shape.n_planes(dx.len(), dy.len());
    let (out_width, area) = (shape.out_width(), (shape.kernel * shape.kernel) as f32);
    for_each_plane(dy, shape, dx, |_, dy, dx| {
        for (at, &gradient) in dy.iter().enumerate() {
            let columns = shape.covers(at % out_width, shape.width);
            for row in shape.covers(at / out_width, shape.height) {
                for dx in &mut dx[row * shape.width..][..shape.width][columns.clone()] {
                    *dx += gradient / area;
                }
            }
        }
    });
}

/// Calls `add(plane, dy, dx)` for every plane, with `dx` zeroed.
fn for_each_plane(
    dy: &[f32],
    shape: &PoolShape,
    dx: &mut [f32],
    add: impl Fn(usize, &[f32], &mut [f32]) + Sync,
) {
    let task = shape.planes_per_task();
    let out_len = shape.out_len();
    dx.par_chunks_mut(task * shape.plane_len()).enumerate().for_each(|(first, dx)| {
        dx.fill(0.0);
        for (i, dx) in dx.chunks_exact_mut(shape.plane_len()).enumerate() {
            let plane = first * task + i;
            add(plane, &dy[plane * out_len..][..out_len], dx);
        }
    });
}

#[cfg(test)]
mod tests;
