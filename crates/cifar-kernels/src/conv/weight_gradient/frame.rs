//! Images with zeros around them, so that no window is cut off at an edge.

use crate::buffer::{factors, with_scratch};
use crate::conv::Conv2d;
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::join_rows;
use crate::isa::Isa;

/// One group's image with zeros around it, for the forward pass. Where windows are single pixels, without zeros,
/// the frame has only the pixels that they see. A factor holds the values that as many images as it has values have
/// at the same place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    conv: Conv2d,
    /// Pixels of the image from one of the frame to the next.
    step: usize,
    rows: usize,
    columns: usize,
    /// Channels of one group.
    channels: usize,
}

impl Frame {
    pub(super) fn new(conv: &Conv2d) -> Self {
        let single = (conv.kernel_height, conv.kernel_width, conv.padding) == (1, 1, 0);
        let step = if single { conv.stride } else { 1 };
        // By the number of windows none ends behind them.
        let along = |image: usize| image.div_ceil(step) + 2 * conv.padding;
        Self {
            conv: *conv,
            step,
            rows: along(conv.height),
            columns: along(conv.width),
            channels: conv.in_channels / conv.groups,
        }
    }

    /// Factors of a frame.
    pub(super) fn len(&self) -> usize {
        self.rows * self.columns * self.channels
    }

    /// Where the window of each pixel of the result begins.
    pub(super) fn starts(&self) -> Vec<usize> {
        let (rows, columns) = (self.conv.out_height(), self.conv.out_width());
        let step = self.conv.stride / self.step * self.channels;
        let mut starts = Vec::with_capacity(rows * columns);
        for row in 0..rows {
            starts.extend((0..columns).map(|column| (row * self.columns + column) * step));
        }
        starts
    }

    /// Where each factor of a window lies from its start.
    pub(super) fn offsets(&self) -> Vec<usize> {
        let run = self.conv.kernel_width * self.channels;
        let mut offsets = Vec::with_capacity(self.conv.kernel_height * run);
        for row in 0..self.conv.kernel_height {
            let start = row * self.columns * self.channels;
            offsets.extend(start..start + run);
        }
        offsets
    }

    /// Calls `f` with the frames of whole `images` for one group: the images themselves where there is
    /// nothing to add and nothing to leave out.
    pub(super) fn with<E: Element, R>(
        &self,
        isa: Isa,
        group: usize,
        images: &[E],
        f: impl FnOnce(&[E::Factor]) -> R,
    ) -> R {
        if (E::Factor::VALUES, self.conv.padding, self.conv.groups, self.step) == (1, 0, 1, 1) {
            return f(factors(images));
        }
        let (image_len, n_values) = (self.conv.in_len(), E::Factor::VALUES);
        let n_frames = (images.len() / image_len).div_ceil(n_values);
        with_scratch(n_frames * self.len(), |frames: &mut [E::Factor]| {
            let each = frames.chunks_exact_mut(self.len()).zip(images.chunks(n_values * image_len));
            for (frame, images) in each {
                let (image, other) = images.split_at(image_len);
                self.fill(isa, group, image, (!other.is_empty()).then_some(other), frame);
            }
            f(frames)
        })
    }

    fn fill<E: Element>(
        &self,
        isa: Isa,
        group: usize,
        image: &[E],
        other: Option<&[E]>,
        frame: &mut [E::Factor],
    ) {
        let Conv2d { width, in_channels, padding, .. } = self.conv;
        for (row, frame) in frame.chunks_exact_mut(self.columns * self.channels).enumerate() {
            if row < padding || row >= self.rows - padding {
                frame.fill(E::Factor::default());
                continue;
            }
            let (left, rest) = frame.split_at_mut(padding * self.channels);
            let (inside, right) = rest.split_at_mut(rest.len() - padding * self.channels);
            left.fill(E::Factor::default());
            right.fill(E::Factor::default());
            // The whole row, or the group's channels of each of its pixels.
            let whole = (self.conv.groups, self.step) == (1, 1);
            let len = if whole { inside.len() } else { self.channels };
            for (at, inside) in inside.chunks_exact_mut(len).enumerate() {
                let pixel = ((row - padding) * width + at) * self.step;
                let start = pixel * in_channels + group * self.channels;
                let from = start..start + len;
                join_rows(isa, &image[from.clone()], other.map(|other| &other[from]), inside);
            }
        }
    }
}
