//! The forward pass over pictures, a few rows of the result at a time.

use std::ops::Range;

use super::TASK_PIXELS;
use super::filters::FilterPanels;
use super::strips::{BEHIND, Strips};
use crate::buffer::{factors, with_scratch};
use crate::conv::{Conv2d, Epilogue};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{PlaceTable, Rows, Runs, products_of_rows};
use crate::isa::Isa;

/// Channels of a picture at most.
const MAX_CHANNELS: usize = 4;

/// A product for all pixels of the result. Zeros are put around the pictures, so that no window is cut off at
/// an edge: their few values are copied sooner than those windows are multiplied by themselves. Weights that
/// are not finite make NaN of these zeros.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    conv: Conv2d,
    /// Values of a row of the picture with the zeros around it.
    padded_row: usize,
    /// Of values that come in pairs.
    strips: Option<Strips>,
    /// Those that the values of a window meet.
    weights: Vec<Weight>,
    filters: FilterPanels,
    runs: Runs,
    /// Rows of the result that are multiplied at a time.
    rows: usize,
    /// Where the windows of their pixels and their results begin.
    starts: PlaceTable,
    targets: PlaceTable,
}

/// A weight that meets a value of a window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weight {
    pub(super) channel: usize,
    /// Of the kernel, `ky·kw + kx`.
    pub(super) tap: usize,
    /// Whether the window has the value twice, for half of the weight each.
    pub(super) halved: bool,
}

impl Picture {
    /// `None` where the images are no pictures, or their values do not come in pairs.
    pub(super) fn new<E: Element>(isa: Isa, conv: &Conv2d) -> Option<Self> {
        let Conv2d { kernel_height: height, kernel_width: width, stride, .. } = *conv;
        let channels = conv.in_channels / conv.groups;
        if conv.in_channels > MAX_CHANNELS {
            return None;
        }
        let padded_row = (conv.width + 2 * conv.padding) * channels;
        let (strips, weights) = if E::Factor::VALUES == 1 {
            let weight = |at| Weight { channel: at % channels, tap: at / channels, halved: false };
            (None, (0..height * width * channels).map(weight).collect())
        } else {
            let strips = Strips::new(conv, channels)?;
            let weights = strips.weights(width);
            (Some(strips), weights)
        };
        let depth = weights.len() / E::Factor::VALUES;
        let (runs, row, column) = match &strips {
            Some(strips) => (Runs::whole(depth), strips.row_len(), stride * strips.len()),
            None => {
                let len = width * channels;
                let runs =
                    Runs { n: height, len, distance: padded_row, first: 0, panel_distance: len };
                (runs, stride * padded_row, stride * channels)
            }
        };
        let rows = (TASK_PIXELS / conv.out_width().max(1)).clamp(1, conv.out_height().max(1));
        let table = |row: usize, column: usize| {
            let of_row = |at| (0..conv.out_width()).map(move |pixel| at * row + pixel * column);
            PlaceTable::new((0..rows).flat_map(of_row).collect())
        };
        let starts = table(row / E::Factor::VALUES, column / E::Factor::VALUES);
        let targets = table(conv.out_width() * conv.out_channels, conv.out_channels);
        let even = [depth, runs.len, runs.panel_distance].iter().all(|n| n.is_multiple_of(2));
        let filters = FilterPanels::new(isa, (depth, conv.out_channels / conv.groups), even);
        Some(Self {
            conv: *conv,
            padded_row,
            strips,
            weights,
            filters,
            runs,
            rows,
            starts,
            targets,
        })
    }

    /// Factors of one group's packed weights.
    pub(super) fn packed_len(&self, isa: Isa) -> usize {
        self.filters.len(isa)
    }

    /// Packs one group's weights, `(C, taps, K)`.
    pub(super) fn pack<E: Element>(&self, isa: Isa, weight: &[E], packed: &mut [E::Factor]) {
        let (columns, n_taps) = (self.filters.columns, self.conv.n_taps());
        let n_halves =
            if self.weights.iter().any(|weight| weight.halved) { weight.len() } else { 0 };
        with_scratch(n_halves, |halves: &mut [E]| {
            for (half, whole) in halves.iter_mut().zip(weight) {
                *half = E::from_f32(whole.to_f32() / 2.0);
            }
            let row = |at: usize| {
                let Weight { channel, tap, halved } = self.weights[at];
                let from = if halved { &*halves } else { weight };
                Some(&from[(channel * n_taps + tap) * columns..][..columns])
            };
            self.filters.pack(isa, row, packed);
        });
    }

    /// The rows `rows` of the results of whole images for one group. `out` begins with the value `first` of
    /// the result.
    pub(super) fn multiply<E: Element>(
        &self,
        isa: Isa,
        (images, group): (&[E], usize),
        rows: &Range<usize>,
        packed: &[E::Factor],
        epilogue: Epilogue<'_>,
        (out, first): (&mut [E], usize),
    ) {
        let (conv, filters) = (&self.conv, self.filters.panels(isa, packed));
        let rows = rows.start..rows.end.min(conv.out_height());
        let padded_len = (conv.height + 2 * conv.padding) * self.padded_row;
        let strips_len = self.strips.as_ref().map_or(0, |strips| self.rows * strips.row_len());
        with_scratch(padded_len + BEHIND, |padded: &mut [E]| {
            with_scratch(strips_len + BEHIND, |strips: &mut [E]| {
                padded.fill(E::default());
                for (at, image) in images.chunks_exact(conv.in_len()).enumerate() {
                    self.pad(group, image, &rows, padded);
                    for start in rows.clone().step_by(self.rows) {
                        let part = start..rows.end.min(start + self.rows);
                        let pixels = 0..part.len() * conv.out_width();
                        let starts = self.starts.part(pixels.clone());
                        let targets = self.targets.part(pixels);
                        let left = &[Rows { starts, runs: self.runs, targets, fetch: false }];
                        let a = self.windows(isa, padded, part, strips);
                        let pixel = (at * conv.out_height() + start) * conv.out_width();
                        let out = &mut out[pixel * conv.out_channels - first..];
                        products_of_rows(isa, (a, left), filters, epilogue, (out, 0));
                    }
                }
            });
        });
    }

    /// What the windows of the rows `rows` of the result see, in strips if there are any.
    fn windows<'a, E: Element>(
        &self,
        isa: Isa,
        padded: &'a [E],
        rows: Range<usize>,
        strips: &'a mut [E],
    ) -> &'a [E::Factor] {
        let step = self.conv.stride * self.padded_row;
        let seen = &padded[rows.start * step..];
        let Some(cutter) = &self.strips else {
            return factors(seen);
        };
        cutter.cut(isa, seen, (rows.len(), step), strips);
        factors(strips)
    }

    /// Copies what the rows `rows` of the result see of one group's channels of an image between the zeros.
    fn pad<E: Element>(&self, group: usize, image: &[E], rows: &Range<usize>, padded: &mut [E]) {
        let Conv2d { in_channels: all, stride, padding, .. } = self.conv;
        let (c, row_len) = (all / self.conv.groups, self.conv.width * all);
        let end = rows.end.saturating_sub(1) * stride + self.conv.kernel_height;
        let inside = |row: usize| row.saturating_sub(padding).min(self.conv.height);
        for row in inside(rows.start * stride)..inside(end) {
            let from = &image[row * row_len..][..row_len];
            let to = &mut padded[(row + padding) * self.padded_row + padding * c..];
            if c == all {
                to[..row_len].copy_from_slice(from);
                continue;
            }
            for (pixel, to) in from.chunks_exact(all).zip(to.chunks_exact_mut(c)) {
                to.copy_from_slice(&pixel[group * c..][..c]);
            }
        }
    }
}
