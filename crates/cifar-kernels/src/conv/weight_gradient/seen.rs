//! The pixels that sums are made of: where a tap of the kernel meets the zeros around the image, there is
//! nothing to add.

use std::ops::Range;

use crate::conv::Conv2d;
use crate::gemm::{self, Spans};
use crate::isa::Isa;

/// For each tile of the sums the results whose windows have a pixel of the image at its taps.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Rows and columns of the result.
    pixels: Vec<(Range<usize>, Range<usize>)>,
    /// Which of them each tile has.
    of_tile: Vec<usize>,
    /// Columns of the result.
    width: usize,
}

/// The places of [`Seen::pixels`] in a part of all results.
pub(super) type Lists = Vec<Vec<Range<usize>>>;

impl Seen {
    /// `None` if that is all of them for each tile, or nearly: tiles of few channels have many taps.
    pub(super) fn new(isa: Isa, conv: &Conv2d) -> Option<Self> {
        let (c, tile_rows) = (conv.in_channels / conv.groups, gemm::tile_rows(isa));
        if conv.padding == 0 || c < tile_rows {
            return None;
        }
        let rows = conv.n_taps() * c;
        let mut seen = Self { pixels: Vec::new(), of_tile: Vec::new(), width: conv.out_width() };
        for first in (0..rows).step_by(tile_rows) {
            let last = rows.min(first + tile_rows) - 1;
            // The least rectangle with those of all its taps.
            let both = |a: Range<usize>, b: Range<usize>| a.start.min(b.start)..a.end.max(b.end);
            let taps = (first / c..=last / c).map(|tap| conv.results_of_tap(tap));
            let pixels = taps.reduce(|a, b| (both(a.0, b.0), both(a.1, b.1))).unwrap_or_default();
            let known = seen.pixels.iter().position(|other| *other == pixels);
            seen.of_tile.push(known.unwrap_or(seen.pixels.len()));
            if known.is_none() {
                seen.pixels.push(pixels);
            }
        }
        Some(seen)
    }

    /// Their places in the results `part` of `n` images, which have theirs of the first pixel first.
    pub(super) fn lists(&self, n: usize, part: &Range<usize>) -> Lists {
        let place = |row: usize, column: usize| {
            ((row * self.width + column) * n).clamp(part.start, part.end) - part.start
        };
        let list = |(rows, columns): &(Range<usize>, Range<usize>)| {
            let mut list: Vec<Range<usize>> = Vec::new();
            for row in rows.clone() {
                let span = place(row, columns.start)..place(row, columns.end);
                match list.last_mut() {
                    Some(last) if last.end == span.start => last.end = span.end,
                    _ => list.push(span),
                }
            }
            list
        };
        self.pixels.iter().map(list).collect()
    }

    pub(super) fn spans<'a>(&'a self, lists: &'a Lists) -> Spans<'a> {
        Spans { lists, of_tile: &self.of_tile }
    }
}
