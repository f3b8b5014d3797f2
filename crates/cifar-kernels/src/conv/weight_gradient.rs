//! The weights' gradient.
//!
//! The batch is cut into parts whose number depends on the shape alone; each part sums in order,
//! and the parts' sums are added in order, so the bits do not depend on the threads.

use std::ops::Range;

use rayon::prelude::*;

use super::frame::Frame;
use super::{Algorithm, Conv2d, Method, depthwise, winograd};
use crate::buffer::{Plain, factors, with_scratch};
use crate::element::Element;
use crate::factor::Factor;
use crate::gemm::{
    self, Columns, PlaceTable, Right, Spans, pack_panels, panel_width, panels_len,
    products_of_columns, sums_at, sums_len,
};
use crate::isa::Isa;

/// Parts of a batch.
const PARTS: usize = 8;

/// Pixels of the result that a part has at least: the sums of a part travel through memory.
const PART_PIXELS: usize = 256;

/// As `super::LEAST_GAIN`; the sums of all frequencies take more memory than those of the taps.
const LEAST_GAIN: f64 = 1.6;

/// `x`, `(N, H, W, C)`, and `dy`, `(N, OH, OW, K)`, to `dweight`, `(K, C / groups, kh, kw)`,
/// overwritten.
/// Where `algorithm` does not apply to `conv`, the direct one is taken.
///
/// # Panics
/// If lengths do not fit.
#[inline(never)]
pub fn weight_gradient<E: Element>(
    conv: &Conv2d,
    algorithm: Algorithm,
    x: &[E],
    dy: &[E],
    dweight: &mut [f32],
) {
    let n_images = conv.n_images(x.len(), dy.len());
    assert_eq!(dweight.len(), conv.weight_len(), "convolution: weights do not fit");
    let isa = Isa::current();
    let one = conv.of_one_group();
    let method = conv.method::<E>(algorithm, conv.in_channels, LEAST_GAIN);
    let of_group = sums_len(isa, one.n_taps() * one.in_channels, one.out_channels);
    let len = match method {
        Method::Depthwise => depthwise::sums_len(conv),
        Method::Direct | Method::Winograd => conv.groups * of_group,
    };
    let n_pixels = n_images * conv.out_height() * conv.out_width();
    let part_len = n_images.div_ceil((n_pixels / PART_PIXELS).clamp(1, PARTS)).max(1);
    let n_parts = n_images.div_ceil(part_len).max(1);
    let direct = (method == Method::Direct).then(|| Sums::new::<E>(isa, conv));
    with_scratch(n_parts * len, |sums: &mut [f32]| {
        sums.par_chunks_exact_mut(len).enumerate().for_each(|(part, sums)| {
            let images = part * part_len..((part + 1) * part_len).min(n_images);
            let x = &x[images.start * conv.in_len()..images.end * conv.in_len()];
            let dy = &dy[images.start * conv.out_len()..images.end * conv.out_len()];
            match &direct {
                Some(direct) => {
                    for (group, sums) in sums.chunks_exact_mut(of_group).enumerate() {
                        direct.add_up(isa, conv, group, (x, dy), sums);
                    }
                }
                None if method == Method::Winograd => {
                    winograd::weight_gradient(isa, conv, x, dy, sums);
                }
                None => depthwise::weight_gradient(isa, conv, x, dy, sums),
            }
        });
        add_parts(sums, len);
        if method == Method::Depthwise {
            return depthwise::write(conv, &sums[..len], dweight);
        }
        let groups = sums[..len].chunks_exact(of_group);
        for (sums, dweight) in groups.zip(dweight.chunks_exact_mut(one.weight_len())) {
            write(isa, &one, sums, dweight);
        }
    });
}

/// Factors of pixels and of their results' gradients that are multiplied at a time: about half of a
/// second-level cache. The more, the rarer the sums travel through memory.
const FACTORS: usize = 128 * 1024;

/// Most pixels that are multiplied at a time.
const MAX_PIXELS: usize = 256;

/// What all parts and groups of a direct gradient have in common.
struct Sums {
    frame: Frame,
    blocks: Blocks,
    /// Where what the window sees of each pixel begins in an image's frame.
    starts: PlaceTable,
    /// Where its values lie from there.
    offsets: PlaceTable,
    /// Most pixels that are multiplied at a time, of as many images as are joined in a factor.
    at_a_time: usize,
    /// Images whose pixels are looked at together.
    images: usize,
    /// Rows and columns of the result that tiles of the sums are made of: where their windows have
    /// nothing but zeros, there is nothing to add.
    seen: Vec<(Range<usize>, Range<usize>)>,
    /// Which of them each tile has.
    seen_by_tile: Vec<usize>,
    /// Of all images, the places of those in each part that is multiplied at a time.
    spans: Vec<Vec<Vec<Range<usize>>>>,
}

impl Sums {
    fn new<E: Element>(isa: Isa, conv: &Conv2d) -> Self {
        let frame = Frame::new(conv);
        let (c, k) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
        let grid_len = conv.out_height() * conv.out_width();
        let at_a_time = (FACTORS / (c + k)).clamp(gemm::ROW_STEP, MAX_PIXELS);
        let images = E::Factor::VALUES * (at_a_time / grid_len).max(1);
        let blocks = Blocks::new(isa, c, conv.n_taps(), images / E::Factor::VALUES * frame.len());
        let starts = frame.starts().into_iter().map(|start| blocks.start(start)).collect();
        let offsets = frame.offsets().into_iter().map(|offset| blocks.offset(offset)).collect();
        let (starts, offsets) = (PlaceTable::new(starts), PlaceTable::new(offsets));
        let (seen, seen_by_tile, spans) = (Vec::new(), Vec::new(), Vec::new());
        let mut sums =
            Self { frame, blocks, starts, offsets, at_a_time, images, seen, seen_by_tile, spans };
        // Tiles of few channels are of many taps, which see all pixels among them.
        let tile_rows = gemm::tile_rows(isa);
        if c >= tile_rows && conv.padding > 0 {
            let rows = conv.n_taps() * c;
            for first in (0..rows).step_by(tile_rows) {
                let last = rows.min(first + tile_rows) - 1;
                let pixels = frame.seen_by(first / c..=last / c);
                let known = sums.seen.iter().position(|other| *other == pixels);
                sums.seen_by_tile.push(known.unwrap_or(sums.seen.len()));
                if known.is_none() {
                    sums.seen.push(pixels);
                }
            }
            sums.spans = sums.spans(conv, images / E::Factor::VALUES);
        }
        sums
    }

    /// For `n` images that are looked at together: see [`Sums::spans`].
    fn spans(&self, conv: &Conv2d, n: usize) -> Vec<Vec<Vec<Range<usize>>>> {
        let (width, end) = (conv.out_width(), conv.out_height() * conv.out_width() * n);
        let parts = (0..end).step_by(self.at_a_time);
        let of_part = |start: usize| {
            let end = end.min(start + self.at_a_time);
            let list = |(rows, columns): &(Range<usize>, Range<usize>)| {
                let mut list: Vec<Range<usize>> = Vec::new();
                for row in rows.clone() {
                    let place =
                        |column: usize| ((row * width + column) * n).clamp(start, end) - start;
                    let span = place(columns.start)..place(columns.end);
                    match list.last_mut() {
                        Some(last) if last.end == span.start => last.end = span.end,
                        _ => list.push(span),
                    }
                }
                list
            };
            self.seen.iter().map(list).collect()
        };
        parts.map(of_part).collect()
    }

    /// The sums over the pixels of all results, for one group. For bf16 a factor is made of the
    /// values that two images have at the same place.
    fn add_up<E: Element>(
        &self,
        isa: Isa,
        conv: &Conv2d,
        group: usize,
        (x, dy): (&[E], &[E]),
        sums: &mut [f32],
    ) {
        if x.is_empty() {
            return sums.fill(0.0);
        }
        let (k, n_values) = (conv.out_channels / conv.groups, E::Factor::VALUES);
        let grid_len = self.starts.all().len();
        let mut add = false;
        let width = panel_width(isa, k);
        // Those of one panel or two are read where they are. More would share a few sets of the nearest
        // cache.
        let as_rows = n_values == 1 && conv.groups == 1 && [width, 2 * width].contains(&k);
        // What a last image without a second is paired with.
        let zeros = vec![E::default(); k];
        with_scratch(panels_len(isa, self.at_a_time, k), |panels: &mut [E::Factor]| {
            let images = self.images;
            let groups = x.chunks(images * conv.in_len()).zip(dy.chunks(images * conv.out_len()));
            groups.for_each(|(x, dy)| {
                self.frame.with(isa, group, x, |a| {
                    self.blocks.with(a, |a| {
                        let n_factors = (x.len() / conv.in_len()).div_ceil(n_values);
                        // Those of several images at once where each has few.
                        let mut room = [0; MAX_PIXELS];
                        let distance = self.blocks.start(self.frame.len());
                        let all = self.starts.all().repeated(n_factors, distance, &mut room);
                        // The last images may be fewer.
                        let fewer = !self.spans.is_empty() && n_factors < self.images / n_values;
                        let of_fewer = fewer.then(|| self.spans(conv, n_factors));
                        let spans = of_fewer.as_ref().unwrap_or(&self.spans);
                        for (at, first) in (0..all.len()).step_by(self.at_a_time).enumerate() {
                            let part = first..all.len().min(first + self.at_a_time);
                            let (starts, n) = (all.part(part.clone()), part.len());
                            let of_tile = &*self.seen_by_tile;
                            let spans = spans.get(at).map(|lists| Spans { lists, of_tile });
                            // Of the first of its images, the result that a row belongs to.
                            let pixel = |r: usize| {
                                let at = first + r;
                                at % n_factors * n_values * grid_len + at / n_factors
                            };
                            let offsets = self.offsets.all();
                            let a = Columns { a, starts, offsets, spans };
                            if as_rows && n_factors == 1 {
                                let dy = Right::Rows(factors(&dy[first * k..][..n * k]));
                                products_of_columns(isa, a, dy, k, add, sums);
                            } else {
                                let panels = &mut panels[..panels_len(isa, n, k)];
                                let row = |r: usize| {
                                    let pixel = pixel(r / n_values) + r % n_values * grid_len;
                                    let at = pixel * conv.out_channels + group * k;
                                    dy.get(at..at + k).unwrap_or(&zeros)
                                };
                                pack_panels(isa, (n * n_values, k), row, panels);
                                let panels = Right::Panels(panels);
                                products_of_columns(isa, a, panels, k, add, sums);
                            }
                            add = true;
                        }
                    });
                });
            });
        });
    }
}

/// Pixels of `c` channels cut into blocks of as many channels as a tile has rows, each block with
/// all pixels: what a tile reads lies side by side. Pixels of many channels, a power of two of bytes
/// apart, would share a few sets of the nearest cache. Those of few are read where they are, and so
/// are all where a window is too small to be worth the copy.
struct Blocks {
    c: usize,
    /// Channels of a block; `c` where they are not cut.
    len: usize,
    /// From one block to the next.
    stride: usize,
}

impl Blocks {
    /// `taps`: pixels of a window; `most`: factors that are cut at a time.
    fn new(isa: Isa, c: usize, taps: usize, most: usize) -> Self {
        let rows = gemm::tile_rows(isa);
        match taps > 1 && c >= 128 && c.is_multiple_of(rows) {
            true => Self { c, len: rows, stride: most / c * rows },
            false => Self { c, len: c, stride: 0 },
        }
    }

    /// Where a value of a window lies from its start, given where it does in pixels that are not cut.
    fn offset(&self, at: usize) -> usize {
        let channel = at % self.c;
        self.start(at - channel) + channel / self.len * self.stride + channel % self.len
    }

    /// Where the first block has the pixel that begins at `at` where pixels are not cut.
    fn start(&self, at: usize) -> usize {
        at / self.c * self.len
    }

    /// Calls `f` with `pixels` in blocks.
    fn with<F: Plain, R>(&self, pixels: &[F], f: impl FnOnce(&[F]) -> R) -> R {
        if self.len == self.c {
            return f(pixels);
        }
        with_scratch(self.c / self.len * self.stride, |cut: &mut [F]| {
            for (at, pixel) in pixels.chunks_exact(self.c).enumerate() {
                for (block, channels) in pixel.chunks_exact(self.len).enumerate() {
                    let to = block * self.stride + at * self.len;
                    cut[to..to + self.len].copy_from_slice(channels);
                }
            }
            f(cut)
        })
    }
}

/// Adds all parts to the first, each place in the order of the parts.
fn add_parts(sums: &mut [f32], len: usize) {
    const PLACES: usize = 4096;
    let (first, others) = sums.split_at_mut(len);
    first.par_chunks_mut(PLACES).enumerate().for_each(|(chunk, first)| {
        for part in others.chunks_exact(len) {
            for (sum, &value) in first.iter_mut().zip(&part[chunk * PLACES..]) {
                *sum += value;
            }
        }
    });
}

/// From tiles of `(kh·kw·C, K)` to `(K, C, kh·kw)`.
fn write(isa: Isa, conv: &Conv2d, sums: &[f32], dweight: &mut [f32]) {
    let (c, taps, k) = (conv.in_channels, conv.n_taps(), conv.out_channels);
    let width = gemm::panel_width(isa, k);
    // So many weights of every filter of a panel at a time: both sides then stay in the nearest cache.
    const WEIGHTS: usize = 16;
    dweight.par_chunks_mut(width * c * taps).enumerate().for_each(|(block, dweight)| {
        for first in (0..c * taps).step_by(WEIGHTS) {
            let from: [usize; WEIGHTS] = std::array::from_fn(|at| {
                let at = (first + at).min(c * taps - 1);
                sums_at(isa, at % taps * c + at / taps, block * width, k)
            });
            for (filter, dweight) in dweight.chunks_exact_mut(c * taps).enumerate() {
                for (to, from) in dweight[first..].iter_mut().zip(from) {
                    *to = sums[from + filter];
                }
            }
        }
    });
}
