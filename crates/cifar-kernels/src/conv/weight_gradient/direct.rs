//! The sums of the definition: of what each pixel's window sees, times the gradient of its result.

use std::ops::Range;

use super::blocks::Blocks;
use super::frame::Frame;
use super::seen::{Lists, Seen};
use crate::buffer::{factors, with_scratch};
use crate::conv::Conv2d;
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{
    self, Ahead, Columns, PlaceTable, Right, pack_panels, panel_width, panels_len,
    products_of_columns,
};
use crate::isa::Isa;

/// Factors of pixels and of their results' gradients that are multiplied at a time: about half of a
/// second-level cache. The more, the rarer the sums travel through memory.
const FACTORS: usize = 128 * 1024;

/// Factors of a tile's columns that are multiplied at a time: they stay in the nearest cache, also where rows
/// of several panels lie one behind the other and reach only some of its sets.
const TILE_FACTORS: usize = 4096;

/// Most pixels that are multiplied at a time, in panels of the fewest columns.
const MAX_PIXELS: usize = TILE_FACTORS / 8;

/// Panels of a row of gradients that is multiplied where it is, at most.
const MOST_PANELS: usize = 8;

/// What all parts of a batch and all groups have in common. For bf16 a factor is made of the values that
/// two images have at the same place.
#[derive(Debug, Clone)]
pub(super) struct Sums {
    conv: Conv2d,
    frame: Frame,
    blocks: Blocks,
    /// Where what the window sees of each pixel begins in an image's frame.
    starts: PlaceTable,
    /// Where its values lie from there.
    offsets: PlaceTable,
    /// Most pixels that are multiplied at a time, of as many images as are joined in a factor.
    at_a_time: usize,
    /// Images that are looked at together, as factors.
    n_factors: usize,
    /// Whether the results' gradients of an image stay row by row; in f32 where they are.
    as_rows: bool,
    seen: Option<Seen>,
    /// Of so many images, for the pixels that are multiplied at a time.
    lists: Vec<Lists>,
}

impl Sums {
    pub(super) fn new(isa: Isa, conv: &Conv2d) -> Self {
        let frame = Frame::new(conv);
        let (c, k) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
        let (n_pixels, width) = (conv.out_height() * conv.out_width(), panel_width(isa, k));
        let seen = Seen::new(isa, conv);
        let of_tile = match &seen {
            Some(_) => width,
            None => gemm::tile_columns(isa, conv.n_taps() * c, k),
        };
        let most = TILE_FACTORS / of_tile;
        // Gradients of one panel or two stay row by row. So do those of more where a window is a single pixel, and
        // moving them takes longer than it saves: fewer at a time, as they share a few sets of the nearest cache.
        let whole = conv.groups == 1 && k.is_multiple_of(width);
        let of_one_image = most / 2 < 2 * n_pixels;
        let (as_rows, most) = match k / width {
            _ if !whole => (false, most),
            1 | 2 => (true, most),
            3..=MOST_PANELS if conv.n_taps() == 1 && of_one_image => (true, most / 2),
            _ => (false, most),
        };
        let at_a_time = (FACTORS / (c + k)).clamp(gemm::ROW_STEP, most);
        let n_factors = (at_a_time / n_pixels.max(1)).max(1);
        let blocks = Blocks::new(isa, c, conv.n_taps(), n_factors * frame.len());
        let starts = frame.starts().into_iter().map(|start| blocks.start(start)).collect();
        let offsets = frame.offsets().into_iter().map(|offset| blocks.offset(offset)).collect();
        let (starts, offsets) = (PlaceTable::new(starts), PlaceTable::new(offsets));
        let mut sums = Self {
            conv: *conv,
            frame,
            blocks,
            starts,
            offsets,
            at_a_time,
            n_factors,
            as_rows: as_rows && n_factors == 1,
            seen,
            lists: Vec::new(),
        };
        sums.lists = sums.lists(n_factors);
        sums
    }

    /// The pixels of `n_factors` that are multiplied at a time.
    fn parts(&self, n_factors: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (n, step) = (n_factors * self.starts.all().len(), self.at_a_time);
        (0..n).step_by(step).map(move |start| start..n.min(start + step))
    }

    /// For each of them where tiles find what they are made of.
    fn lists(&self, n_factors: usize) -> Vec<Lists> {
        let of_part = |part| self.seen.as_ref().map(|seen| seen.lists(n_factors, &part));
        self.parts(n_factors).filter_map(of_part).collect()
    }

    /// The sums over the pixels of all results, for one group.
    pub(super) fn add_up<E: Element>(
        &self,
        isa: Isa,
        group: usize,
        (x, dy): (&[E], &[E]),
        sums: &mut [f32],
    ) {
        if x.is_empty() {
            return sums.fill(0.0);
        }
        let (conv, n_values) = (&self.conv, E::Factor::VALUES);
        let images = n_values * self.n_factors;
        let mut add = false;
        for (at, x) in x.chunks(images * conv.in_len()).enumerate() {
            let dy = &dy[at * images * conv.out_len()..];
            let n_factors = (x.len() / conv.in_len()).div_ceil(n_values);
            self.frame.with(isa, group, x, |a| {
                self.blocks.with(a, |a| {
                    self.add_images::<E>(isa, (group, n_factors), (a, dy), add, sums);
                });
            });
            add = true;
        }
    }

    /// What is read behind a part of the gradients `dy`: the next part of the same images, or the first of
    /// the next ones.
    fn ahead<E: Element>(&self, n_factors: usize, part: &Range<usize>, dy: &[E]) -> Ahead {
        let (k, distance) = (self.conv.out_channels, n_factors * self.conv.out_len());
        let last = part.end >= self.starts.all().len();
        let next = if last { E::Factor::VALUES * distance } else { part.end * k };
        let values = |value: usize| {
            let start = (next + value * distance).min(dy.len());
            &dy[start..dy.len().min(start + self.at_a_time * k)]
        };
        Ahead::of([values(0), if E::Factor::VALUES > 1 { values(1) } else { &[] }])
    }

    /// Those of the images whose frames are `a`.
    fn add_images<E: Element>(
        &self,
        isa: Isa,
        (group, n_factors): (usize, usize),
        (a, dy): (&[E::Factor], &[E]),
        mut add: bool,
        sums: &mut [f32],
    ) {
        let (conv, n_values) = (&self.conv, E::Factor::VALUES);
        let (k, n_pixels) = (conv.out_channels / conv.groups, self.starts.all().len());
        let mut room = [0; MAX_PIXELS];
        let distance = self.blocks.start(self.frame.len());
        let all = self.starts.all().repeated(n_factors, distance, &mut room);
        // The last images may be fewer.
        let fewer = (n_factors != self.n_factors).then(|| self.lists(n_factors));
        let lists = fewer.as_ref().unwrap_or(&self.lists);
        with_scratch(panels_len(isa, self.at_a_time, k), |panels: &mut [E::Factor]| {
            for (at, part) in self.parts(n_factors).enumerate() {
                let seen = self.seen.as_ref().zip(lists.get(at));
                let a = Columns {
                    a,
                    starts: all.part(part.clone()),
                    offsets: self.offsets.all(),
                    spans: seen.map(|(seen, lists)| seen.spans(lists)),
                    ahead: self.ahead(n_factors, &part, dy),
                };
                let of_image = part.start * k..part.end * k;
                let right = if self.as_rows && n_values == 1 {
                    Right::Rows(factors(&dy[of_image]))
                } else if self.as_rows {
                    let room = &mut panels[..of_image.len()];
                    let of_second = conv.out_len() + of_image.start..conv.out_len() + of_image.end;
                    Right::Joined(&dy[of_image], dy.get(of_second), room)
                } else {
                    let row = |r: usize| {
                        let (at, value) = (part.start + r / n_values, r % n_values);
                        let image = at % n_factors * n_values + value;
                        let pixel = image * n_pixels + at / n_factors;
                        let at = pixel * conv.out_channels + group * k;
                        // A last image may be without a second.
                        dy.get(at..at + k)
                    };
                    let panels = &mut panels[..panels_len(isa, part.len(), k)];
                    pack_panels(isa, (part.len(), k), row, panels);
                    Right::Panels(panels)
                };
                products_of_columns(isa, a, right, k, add, sums);
                add = true;
            }
        });
    }
}
