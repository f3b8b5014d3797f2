//! Two-dimensional convolution: the patches of images as the columns of a matrix, and back.
//!
//! With the patches as columns, the convolution of `N` images with `K` filters is the product of
//! the weights `(K, C·kh·kw)` and the columns `(C·kh·kw, N·OH·OW)`; its gradients are products
//! with one side transposed. The convolution itself, loop by loop, is in [`direct`].

use std::ops::Range;

use rayon::prelude::*;

mod blocks;
pub mod direct;

pub use blocks::{swap_outer, swap_outer_reversed};

/// One image of `channels × height × width` and the window that moves over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvShape {
    /// `C`: planes of the image.
    pub channels: usize,
    /// `H`: rows of a plane.
    pub height: usize,
    /// `W`: columns of a plane.
    pub width: usize,
    /// `kh`: rows of the window.
    pub kernel_height: usize,
    /// `kw`: columns of the window.
    pub kernel_width: usize,
    /// Pixels from one window to the next, in both directions; at least 1.
    pub stride: usize,
    /// Rows and columns of zeros on every side of the image.
    pub padding: usize,
}

impl ConvShape {
    /// `OH`: windows from top to bottom, 0 if the window is larger than the padded image.
    pub fn out_height(&self) -> usize {
        n_windows(self.height, self.kernel_height, self.stride, self.padding)
    }

    /// `OW`: windows from left to right, 0 if the window is larger than the padded image.
    pub fn out_width(&self) -> usize {
        n_windows(self.width, self.kernel_width, self.stride, self.padding)
    }

    /// `OH·OW`: windows on one image.
    pub fn out_len(&self) -> usize {
        self.out_height() * self.out_width()
    }

    /// `C·H·W`: values of one image.
    pub fn image_len(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// `C·kh·kw`: values the window sees at once.
    pub fn patch_len(&self) -> usize {
        self.channels * self.kernel_height * self.kernel_width
    }

    /// The channel and the place in the window that row `row` of the columns holds.
    fn tap(&self, row: usize) -> Tap {
        let (row, kx) = (row / self.kernel_width, row % self.kernel_width);
        let (channel, ky) = (row / self.kernel_height, row % self.kernel_height);
        let (s, p) = (self.stride, self.padding);
        Tap {
            channel,
            ky,
            kx,
            rows: inside(ky, self.height, self.out_height(), s, p),
            columns: inside(kx, self.width, self.out_width(), s, p),
        }
    }
}

/// One place in the window: row `ky`, column `kx` of plane `channel`.
struct Tap {
    channel: usize,
    ky: usize,
    kx: usize,
    /// Output rows for which the tap lies inside the image.
    rows: Range<usize>,
    /// Output columns for which the tap lies inside the image.
    columns: Range<usize>,
}

/// Writes the patches of images as the columns of a matrix.
///
/// `images`: `n` images `(C, H, W)` of `shape`, `n ≥ 1`; `columns`: `(C·kh·kw, n·OH·OW)`
/// row-major, wholly overwritten. Column `i·OH·OW + oy·OW + ox` is the patch of image `i` under
/// the window `(oy, ox)`; what lies outside the image is 0.
///
/// # Panics
/// If the lengths do not fit `shape`.
pub fn im2col(images: &[f32], shape: &ConvShape, columns: &mut [f32]) {
    let n_images = n_images(images.len(), columns.len(), shape);
    let out_len = shape.out_len();
    if columns.is_empty() {
        return;
    }
    columns.par_chunks_exact_mut(n_images * out_len).enumerate().for_each(|(row, columns)| {
        let tap = shape.tap(row);
        let images = images.chunks_exact(shape.image_len());
        for (image, columns) in images.zip(columns.chunks_exact_mut(out_len)) {
            unfold(plane(image, shape, tap.channel), shape, &tap, columns);
        }
    });
}

/// Adds the columns of a matrix back to the pixels they were taken from, the transpose of
/// [`im2col`].
///
/// `columns`: `(C·kh·kw, n·OH·OW)`; `images`: `n` images `(C, H, W)`, wholly overwritten with the
/// sum of all columns that show the pixel, taps in row-major order.
///
/// # Panics
/// If the lengths do not fit `shape`.
pub fn col2im(columns: &[f32], shape: &ConvShape, images: &mut [f32]) {
    let n_images = n_images(images.len(), columns.len(), shape);
    let out_len = shape.out_len();
    images.fill(0.0);
    if columns.is_empty() {
        return;
    }
    images.par_chunks_exact_mut(shape.image_len()).enumerate().for_each(|(i, image)| {
        let rows = columns.chunks_exact(n_images * out_len);
        for (row, columns) in rows.enumerate() {
            let tap = shape.tap(row);
            let plane_len = shape.height * shape.width;
            let plane = &mut image[tap.channel * plane_len..][..plane_len];
            fold(&columns[i * out_len..][..out_len], shape, &tap, plane);
        }
    });
}

/// Number of images, after checking both lengths against it.
fn n_images(images_len: usize, columns_len: usize, shape: &ConvShape) -> usize {
    assert!(shape.stride > 0, "convolution: a stride of 0");
    let image_len = shape.image_len();
    assert!(image_len > 0, "convolution: an empty image");
    assert!(images_len.is_multiple_of(image_len), "convolution: not whole images");
    let n_images = images_len / image_len;
    let expected = shape.patch_len() * n_images * shape.out_len();
    assert_eq!(columns_len, expected, "convolution: the columns do not fit the images");
    n_images
}

fn plane<'a>(image: &'a [f32], shape: &ConvShape, channel: usize) -> &'a [f32] {
    let len = shape.height * shape.width;
    &image[channel * len..][..len]
}

/// One row of [`im2col`] for one image: what `tap` sees as the window moves.
fn unfold(plane: &[f32], shape: &ConvShape, tap: &Tap, out: &mut [f32]) {
    let (width, out_width) = (shape.width, shape.out_width());
    out[..tap.rows.start * out_width].fill(0.0);
    out[tap.rows.end * out_width..].fill(0.0);
    for oy in tap.rows.clone() {
        let out = &mut out[oy * out_width..][..out_width];
        let row = &plane[(oy * shape.stride + tap.ky - shape.padding) * width..][..width];
        out[..tap.columns.start].fill(0.0);
        out[tap.columns.end..].fill(0.0);
        let out = &mut out[tap.columns.clone()];
        let row = &row[first_column(shape, tap)..];
        if shape.stride == 1 {
            out.copy_from_slice(&row[..out.len()]);
        } else {
            for (out, &value) in out.iter_mut().zip(row.iter().step_by(shape.stride)) {
                *out = value;
            }
        }
    }
}

/// The transpose of [`unfold`]: adds each value to the pixel it was taken from.
fn fold(columns: &[f32], shape: &ConvShape, tap: &Tap, plane: &mut [f32]) {
    let (width, out_width) = (shape.width, shape.out_width());
    for oy in tap.rows.clone() {
        let columns = &columns[oy * out_width..][..out_width][tap.columns.clone()];
        let row = &mut plane[(oy * shape.stride + tap.ky - shape.padding) * width..][..width];
        let row = &mut row[first_column(shape, tap)..];
        if shape.stride == 1 {
            for (pixel, &value) in row.iter_mut().zip(columns) {
                *pixel += value;
            }
        } else {
            for (pixel, &value) in row.iter_mut().step_by(shape.stride).zip(columns) {
                *pixel += value;
            }
        }
    }
}

/// The column of the image that `tap` sees from the first window in which it lies inside; the
/// row's end if there is none.
fn first_column(shape: &ConvShape, tap: &Tap) -> usize {
    if tap.columns.is_empty() {
        return shape.width;
    }
    tap.columns.start * shape.stride + tap.kx - shape.padding
}

/// Places for a window of `kernel` on an axis of `len`.
fn n_windows(len: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    (len + 2 * padding).checked_sub(kernel).map_or(0, |room| room / stride + 1)
}

/// The windows `o` in `0..n_out` with `0 ≤ o·stride + k − padding < len`.
fn inside(k: usize, len: usize, n_out: usize, stride: usize, padding: usize) -> Range<usize> {
    let first = padding.saturating_sub(k).div_ceil(stride).min(n_out);
    let end = (len + padding).saturating_sub(k).div_ceil(stride).min(n_out);
    first..end.max(first)
}

#[cfg(test)]
mod tests;
