//! What a window sees of an image, as runs of values.

use std::ops::Range;

use super::Conv2d;
use crate::buffer::{factors, with_scratch};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::join_rows;
use crate::isa::Isa;

/// Windows over channels-last images: which pixels of the image each pixel of a grid sees.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// Rows the window sees: offset from the grid row's first, and row of the kernel.
    pub(super) rows: Vec<(isize, usize)>,
    /// Columns it sees: offset of the first from the grid column's, and the columns of the kernel.
    /// The offsets run on one by one.
    pub(super) first_column: isize,
    pub(super) columns: Vec<usize>,
    /// Pixels of the image from one grid pixel to the next, both ways.
    pub(super) stride: usize,
    /// Rows and columns of the grid.
    pub(super) grid: (usize, usize),
    /// Rows, columns and channels of the image.
    pub(super) image: (usize, usize, usize),
    /// The channels it sees: those of one group.
    pub(super) channels: Range<usize>,
}

impl Window {
    /// What the forward pass sees for the first group: the grid is the result.
    pub(super) fn forward(conv: &Conv2d) -> Self {
        let padding = conv.padding as isize;
        Self {
            rows: (0..conv.kernel_height).map(|ky| (ky as isize - padding, ky)).collect(),
            first_column: -padding,
            columns: (0..conv.kernel_width).collect(),
            stride: conv.stride,
            grid: (conv.out_height(), conv.out_width()),
            image: (conv.height, conv.width, conv.in_channels),
            channels: 0..conv.in_channels / conv.groups,
        }
    }

    /// What the gradient of the input's pixels `(y, x)` with `y ≡ phase.0`, `x ≡ phase.1` modulo
    /// the stride sees of the result's gradient, for the first group: the taps that met such
    /// pixels, turned around.
    pub(super) fn input_gradient(conv: &Conv2d, phase: (usize, usize)) -> Self {
        let along = |phase: usize, kernel: usize| -> Vec<(isize, usize)> {
            let at = phase + conv.padding;
            let met = (0..kernel).filter(|k| k % conv.stride == at % conv.stride);
            // (at − k) is a multiple of the stride, also where it is negative.
            let offset = |k: usize| (at as isize - k as isize) / conv.stride as isize;
            let mut taps: Vec<(isize, usize)> = met.map(|k| (offset(k), k)).collect();
            taps.reverse(); // offsets upwards
            taps
        };
        let columns = along(phase.1, conv.kernel_width);
        let on_grid = |len: usize, phase: usize| len.saturating_sub(phase).div_ceil(conv.stride);
        Self {
            rows: along(phase.0, conv.kernel_height),
            first_column: columns.first().map_or(0, |first| first.0),
            columns: columns.into_iter().map(|(_, k)| k).collect(),
            stride: 1,
            grid: (on_grid(conv.height, phase.0), on_grid(conv.width, phase.1)),
            image: (conv.out_height(), conv.out_width(), conv.out_channels),
            channels: 0..conv.out_channels / conv.groups,
        }
    }

    /// The same for the group `group`.
    pub(super) fn of_group(mut self, group: usize) -> Self {
        let n = self.channels.len();
        self.channels = group * n..(group + 1) * n;
        self
    }

    /// Values of what the window sees, with `channels` for each pixel.
    pub(super) fn depth(&self, channels: usize) -> usize {
        self.rows.len() * self.columns.len() * channels
    }

    /// Pixels of the grid.
    #[inline]
    pub(super) fn grid_len(&self) -> usize {
        self.grid.0 * self.grid.1
    }

    /// The kernel's taps in the order of a patch, as `ky·kw + kx`.
    pub(super) fn taps(&self, kernel_width: usize) -> Vec<usize> {
        let row =
            |&(_, ky): &(isize, usize)| self.columns.iter().map(move |kx| ky * kernel_width + kx);
        self.rows.iter().flat_map(row).collect()
    }

    /// The part of an image that the window sees from some rows of the grid, with `channels` for
    /// each pixel.
    pub(super) fn frame(&self, grid_rows: &Range<usize>, channels: usize) -> Frame {
        let first = self.rows.first().map_or(0, |row| row.0);
        let last = self.rows.last().map_or(0, |row| row.0);
        let along = |n: usize| (n.saturating_sub(1) * self.stride) as isize;
        let rightmost = along(self.grid.1) + self.first_column + self.columns.len() as isize - 1;
        let left = (-self.first_column).max(0);
        Frame {
            top: (grid_rows.start * self.stride) as isize + first,
            rows: (along(grid_rows.len()) + last - first + 1) as usize,
            left: left as usize,
            columns: (left + (self.image.1 as isize).max(rightmost + 1)) as usize,
            channels,
        }
    }

    /// Calls `f` with the frames of whole `images` one after the other, and the distance from one
    /// to the next: the images themselves where they are all that the window sees.
    pub(super) fn with_frames<E: Element, R>(
        &self,
        images: &[E],
        frame: &Frame,
        f: impl FnOnce(&[E], usize) -> R,
    ) -> R {
        let (height, width, channels) = self.image;
        let image_len = height * width * channels;
        let aligned = images.as_ptr().align_offset(align_of::<E::Factor>()) == 0
            && image_len.is_multiple_of(E::Factor::VALUES);
        let inside = frame.top >= 0 && frame.top as usize + frame.rows <= height;
        let whole = self.channels.len() == channels;
        if inside && whole && (frame.columns, frame.channels) == (width, channels) && aligned {
            return f(&images[frame.top as usize * width * channels..], image_len);
        }
        let n_images = images.len() / image_len;
        with_scratch(n_images * frame.len(), |frames: &mut [E]| {
            let each = frames.chunks_exact_mut(frame.len()).zip(images.chunks_exact(image_len));
            each.for_each(|(filled, image)| frame.fill(image, self.image, &self.channels, filled));
            f(frames, frame.len())
        })
    }

    /// As [`Window::with_frames`], for a product over the pixels: a factor holds the values that
    /// as many images as it has have at one place.
    pub(super) fn with_factor_frames<E: Element, R>(
        &self,
        isa: Isa,
        images: &[E],
        frame: &Frame,
        f: impl FnOnce(&[E::Factor], usize) -> R,
    ) -> R {
        let n_values = E::Factor::VALUES;
        if n_values == 1 {
            return self.with_frames(images, frame, |frames, len| f(factors(frames), len));
        }
        let image_len = self.image.0 * self.image.1 * self.image.2;
        let n_frames = (images.len() / image_len).div_ceil(n_values);
        with_scratch(n_frames * frame.len(), |joined: &mut [E::Factor]| {
            with_scratch(2 * frame.len(), |frames: &mut [E]| {
                let (first, second) = frames.split_at_mut(frame.len());
                let fill = |frame_of: &mut [E], image| {
                    frame.fill(image, self.image, &self.channels, frame_of);
                };
                let each = images.chunks(n_values * image_len);
                for (images, joined) in each.zip(joined.chunks_exact_mut(frame.len())) {
                    let (image, other) = images.split_at(image_len);
                    fill(first, image);
                    if !other.is_empty() {
                        fill(second, other);
                    }
                    join_rows(isa, first, (!other.is_empty()).then_some(&*second), joined);
                }
            });
            f(joined, frame.len())
        })
    }

    /// Where the runs of the grid's pixels begin in a frame, column by column from row `row` of the
    /// rows that the frame was made for.
    pub(super) fn starts(&self, frame: &Frame, row: usize) -> impl Iterator<Item = usize> {
        let left = (frame.left as isize + self.first_column) as usize;
        let start = row * self.stride * frame.columns + left;
        let (step, channels) = (self.stride, frame.channels);
        (0..self.grid.1).map(move |column| (start + column * step) * channels)
    }

    /// The runs of values that the window sees, from such a start: their number, the distance
    /// from one to the next, and their length.
    pub(super) fn runs(&self, frame: &Frame) -> (usize, usize, usize) {
        let (len, stride) = (self.columns.len() * frame.channels, frame.columns * frame.channels);
        if len == stride { (1, 0, self.rows.len() * len) } else { (self.rows.len(), stride, len) }
    }
}

/// A part of an image with zeros around it, so that no window is cut off at an edge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// The image's row that comes first; above the image where negative.
    top: isize,
    rows: usize,
    /// Columns of zeros on the left.
    left: usize,
    columns: usize,
    /// The image's and, behind them, zeros.
    channels: usize,
}

impl Frame {
    pub(super) fn len(&self) -> usize {
        self.rows * self.columns * self.channels
    }

    fn fill<E: Element>(
        &self,
        image: &[E],
        (height, width, channels): (usize, usize, usize),
        seen: &Range<usize>,
        out: &mut [E],
    ) {
        let row_len = self.columns * self.channels;
        for (row, out) in out.chunks_exact_mut(row_len).enumerate() {
            let y = self.top + row as isize;
            if y < 0 || y >= height as isize {
                out.fill(E::default());
                continue;
            }
            let from = &image[y as usize * width * channels..][..width * channels];
            let (left, rest) = out.split_at_mut(self.left * self.channels);
            let (inside, right) = rest.split_at_mut(width * self.channels);
            left.fill(E::default());
            right.fill(E::default());
            if seen.len() == channels && channels == self.channels {
                inside.copy_from_slice(from);
                continue;
            }
            let pixels = inside.chunks_exact_mut(self.channels).zip(from.chunks_exact(channels));
            for (pixel, from) in pixels {
                pixel[..seen.len()].copy_from_slice(&from[seen.clone()]);
                pixel[seen.len()..].fill(E::default());
            }
        }
    }
}
