//! The forward pass over pictures, a few rows of the result at a time.

use std::ops::Range;

use super::part::TASK_PIXELS;
use super::strips::{BEHIND, Strips};
use crate::buffer::{factors, with_scratch};
use crate::conv::{Conv2d, Epilogue};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{
    Panels, PlaceTable, Rows, Runs, pack_panels, pair_rows, pairs_fit, panel_width, panels_len,
    products_of_rows,
};
use crate::isa::Isa;

/// Channels of a picture at most.
const PICTURE: usize = 4;

/// A product for all pixels of the result. Zeros are put around the pictures, so that no window is cut off at
/// an edge: their few values are copied sooner than those windows are multiplied by themselves. Weights that
/// are not finite make NaN of these zeros.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    conv: Conv2d,
    /// Of values that come in pairs.
    strips: Option<Strips>,
    /// Those that the values of a window meet.
    weights: Vec<Weight>,
    /// Factors of a window, the rows of a panel.
    depth: usize,
    runs: Runs,
    /// Rows of the result that are multiplied at a time.
    rows: usize,
    /// Where the windows of their pixels and their results begin.
    starts: PlaceTable,
    targets: PlaceTable,
    /// Whether the last panel of the weights has its rows two by two.
    pairs: bool,
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
    /// `None` where the images are no pictures.
    pub(super) fn new<E: Element>(isa: Isa, conv: &Conv2d) -> Option<Self> {
        let Conv2d { kernel_height: height, kernel_width: width, stride, .. } = *conv;
        let channels = conv.in_channels / conv.groups;
        if conv.in_channels > PICTURE {
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
        let pairs = even && pairs_fit(isa, conv.out_channels / conv.groups);
        Some(Self { conv: *conv, strips, weights, depth, runs, rows, starts, targets, pairs })
    }

    /// Columns of the right matrix: one group's channels of the result.
    fn columns(&self) -> usize {
        self.conv.out_channels / self.conv.groups
    }

    /// Factors of one group's packed weights.
    pub(super) fn packed_len(&self, isa: Isa) -> usize {
        panels_len(isa, self.depth, self.columns())
    }

    /// Packs one group's weights, `(C, taps, K)`.
    pub(super) fn pack<E: Element>(&self, isa: Isa, weight: &[E], packed: &mut [E::Factor]) {
        let (columns, n_taps) = (self.columns(), self.conv.n_taps());
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
            pack_panels(isa, (self.depth, columns), row, packed);
        });
        if self.pairs {
            pair_rows(isa, (self.depth, columns), packed);
        }
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
        let (conv, columns, depth) = (&self.conv, self.columns(), self.depth);
        let stride = depth * panel_width(isa, columns);
        let filters = Panels { values: packed, stride, depth, columns, pairs: self.pairs };
        let padded_row = (conv.width + 2 * conv.padding) * (conv.in_channels / conv.groups);
        let padded_len = (conv.height + 2 * conv.padding) * padded_row;
        let rows = rows.start..rows.end.min(conv.out_height());
        let strips_len = self.strips.as_ref().map_or(0, |strips| self.rows * strips.row_len());
        let mut multiply = |a: &[E::Factor], at: usize, n_rows: usize| {
            let pixels = 0..n_rows * conv.out_width();
            let (starts, targets) = (self.starts.part(pixels.clone()), self.targets.part(pixels));
            let rows = Rows { starts, runs: self.runs, targets };
            products_of_rows(isa, (a, &[rows]), filters, epilogue, (&mut out[at - first..], 0));
        };
        with_scratch(padded_len + BEHIND, |padded: &mut [E]| {
            with_scratch(strips_len + BEHIND, |strips: &mut [E]| {
                padded.fill(E::default());
                for (image_at, image) in images.chunks_exact(conv.in_len()).enumerate() {
                    self.pad(group, image, &mut padded[conv.padding * padded_row..]);
                    for row in rows.clone().step_by(self.rows) {
                        let n_rows = self.rows.min(rows.end - row);
                        let seen = |row: usize| &padded[row * conv.stride * padded_row..];
                        let at = (image_at * conv.out_height() + row) * conv.out_width();
                        let at = at * conv.out_channels;
                        let Some(cutter) = &self.strips else {
                            multiply(factors(seen(row)), at, n_rows);
                            continue;
                        };
                        let rows = (n_rows, conv.stride * padded_row);
                        cutter.cut(isa, seen(row), rows, strips);
                        multiply(factors(strips), at, n_rows);
                    }
                }
            });
        });
    }

    /// Copies one group's channels of an image; `to` begins with the row of its first pixel.
    fn pad<E: Element>(&self, group: usize, image: &[E], to: &mut [E]) {
        let (all, c) = (self.conv.in_channels, self.conv.in_channels / self.conv.groups);
        let row_len = self.conv.width + 2 * self.conv.padding;
        let rows = image.chunks_exact(self.conv.width * all);
        for (row, to) in rows.zip(to.chunks_mut(row_len * c)) {
            let to = &mut to[self.conv.padding * c..];
            if c == all {
                to[..row.len()].copy_from_slice(row);
                continue;
            }
            for (pixel, to) in row.chunks_exact(all).zip(to.chunks_exact_mut(c)) {
                to.copy_from_slice(&pixel[group * c..][..c]);
            }
        }
    }
}
