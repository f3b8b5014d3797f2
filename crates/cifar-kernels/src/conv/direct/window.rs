//! What a window sees of an image, as runs of values.

use std::ops::Range;

use crate::buffer::{factors, with_scratch};
use crate::conv::Conv2d;
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::Runs;

/// Windows over channels-last images: which pixels of the image each pixel of a grid sees.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) rows: Axis,
    pub(super) columns: Axis,
    /// Channels of the image.
    all_channels: usize,
    /// Those it sees: of one group.
    pub(super) channels: usize,
}

/// One direction of the windows.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    /// The first pixel of the image that the grid's pixel 0 sees; before the image where negative.
    first: isize,
    /// The taps of the kernel that meet it and the pixels behind it, one by one.
    taps: Vec<usize>,
    /// Pixels of the image from one of the grid to the next.
    stride: usize,
    /// Pixels of the grid.
    pub(super) grid: usize,
    /// Pixels of the image.
    image: usize,
}

/// Pixels of the grid one after the other whose windows reach into the image with the same taps.
#[derive(Debug, Clone)]
pub(super) struct Stretch {
    pub(super) pixels: Range<usize>,
    /// Places of these taps in [`Axis::taps`].
    taps: Range<usize>,
}

impl Axis {
    /// What the gradient sees of the pixels `phase`, `phase + stride`, …: the taps that met them, turned
    /// around.
    fn turned(
        phase: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        (len, out_len): (usize, usize),
    ) -> Self {
        let at = phase + padding;
        let met = (0..kernel).rev().filter(|k| k % stride == at % stride);
        let taps: Vec<usize> = met.collect();
        // A multiple of the stride, also where it is negative.
        let first = taps.first().map_or(0, |&k| (at as isize - k as isize) / stride as isize);
        let grid = len.saturating_sub(phase).div_ceil(stride);
        Self { first, taps, stride: 1, grid, image: out_len }
    }

    /// The stretches that the grid is made of.
    pub(super) fn stretches(&self) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for pixel in 0..self.grid {
            let taps = self.inside(pixel);
            match stretches.last_mut() {
                Some(last) if last.taps == taps => last.pixels.end += 1,
                _ => stretches.push(Stretch { pixels: pixel..pixel + 1, taps }),
            }
        }
        stretches
    }

    /// The taps that meet the image.
    fn inside(&self, pixel: usize) -> Range<usize> {
        let first = self.first + (pixel * self.stride) as isize;
        let tap = |at: isize| (at - first).clamp(0, self.taps.len() as isize) as usize;
        tap(0)..tap(self.image as isize)
    }

    /// The first pixel of the image that a pixel of a stretch sees.
    fn sees(&self, stretch: &Stretch, pixel: usize) -> usize {
        let first = self.first + (pixel * self.stride + stretch.taps.start) as isize;
        if stretch.taps.is_empty() { 0 } else { first as usize }
    }
}

impl Window {
    /// What the forward pass sees for the first group: the grid is the result.
    pub(super) fn forward(conv: &Conv2d) -> Self {
        let axis = |kernel: usize, grid: usize, image: usize| Axis {
            first: -(conv.padding as isize),
            taps: (0..kernel).collect(),
            stride: conv.stride,
            grid,
            image,
        };
        Self {
            rows: axis(conv.kernel_height, conv.out_height(), conv.height),
            columns: axis(conv.kernel_width, conv.out_width(), conv.width),
            all_channels: conv.in_channels,
            channels: conv.in_channels / conv.groups,
        }
    }

    /// What the gradient of the input's pixels `(y, x)` with `y ≡ phase.0`, `x ≡ phase.1` modulo
    /// the stride sees of the result's gradient, for the first group.
    pub(super) fn input_gradient(conv: &Conv2d, phase: (usize, usize)) -> Self {
        let axis = |phase: usize, kernel: usize, lens: (usize, usize)| {
            Axis::turned(phase, kernel, conv.stride, conv.padding, lens)
        };
        Self {
            rows: axis(phase.0, conv.kernel_height, (conv.height, conv.out_height())),
            columns: axis(phase.1, conv.kernel_width, (conv.width, conv.out_width())),
            all_channels: conv.out_channels,
            channels: conv.out_channels / conv.groups,
        }
    }

    /// The kernel's taps that it is made of, row by row, as `ky·kw + kx`.
    pub(super) fn taps(&self, kernel_width: usize) -> Vec<usize> {
        let row = |&ky: &usize| self.columns.taps.iter().map(move |kx| ky * kernel_width + kx);
        self.rows.taps.iter().flat_map(row).collect()
    }

    /// Channels of a pixel as it is read: those seen, in whole factors.
    pub(super) fn pixel_len<E: Element>(&self) -> usize {
        self.channels.next_multiple_of(E::Factor::VALUES)
    }

    /// Factors of so many pixels as they are read.
    pub(super) fn factors<E: Element>(&self, pixels: usize) -> usize {
        pixels * self.pixel_len::<E>() / E::Factor::VALUES
    }

    /// Factors of a whole window.
    pub(super) fn depth<E: Element>(&self) -> usize {
        self.factors::<E>(self.rows.taps.len() * self.columns.taps.len())
    }

    /// Calls `f` with the pixels of whole `images` for one group, every pixel of [`Window::pixel_len`] values:
    /// with the images themselves where they are that.
    pub(super) fn with_pixels<E: Element, R>(
        &self,
        group: usize,
        images: &[E],
        f: impl FnOnce(&[E::Factor]) -> R,
    ) -> R {
        let (all, seen, len) = (self.all_channels, self.channels, self.pixel_len::<E>());
        let aligned = images.as_ptr().align_offset(align_of::<E::Factor>()) == 0;
        if (seen, len) == (all, all) && aligned {
            return f(factors(images));
        }
        with_scratch(images.len() / all * len, |pixels: &mut [E]| {
            for (pixel, from) in pixels.chunks_exact_mut(len).zip(images.chunks_exact(all)) {
                let (pixel, beyond) = pixel.split_at_mut(seen);
                pixel.copy_from_slice(&from[group * seen..][..seen]);
                beyond.fill(E::default());
            }
            f(factors(pixels))
        })
    }

    /// Values of an image.
    pub(super) fn image_len(&self) -> usize {
        self.rows.image * self.columns.image * self.all_channels
    }

    /// Where what is seen of an image begins among the factors of all pixels, from the grid's pixel in
    /// `row` and `column` of two stretches.
    pub(super) fn start<E: Element>(
        &self,
        image: usize,
        (rows, columns): (&Stretch, &Stretch),
        (row, column): (usize, usize),
    ) -> usize {
        let row = image * self.rows.image + self.rows.sees(rows, row);
        let pixel = row * self.columns.image + self.columns.sees(columns, column);
        self.factors::<E>(pixel)
    }

    /// The runs of factors that are seen of the image from all pixels of two stretches.
    pub(super) fn runs<E: Element>(&self, (rows, columns): (&Stretch, &Stretch)) -> Runs {
        let factors = |pixels| self.factors::<E>(pixels);
        let (height, width, whole) = (rows.taps.len(), columns.taps.len(), self.columns.taps.len());
        if height * width == 0 {
            return Runs::default();
        }
        let runs = Runs {
            n: height,
            len: factors(width),
            distance: factors(self.columns.image),
            first: factors(rows.taps.start * whole + columns.taps.start),
            panel_distance: factors(whole),
        };
        // One, where nothing lies between them.
        match (runs.distance, runs.panel_distance) == (runs.len, runs.len) {
            true => Runs { n: 1, len: height * runs.len, ..runs },
            false => runs,
        }
    }
}
