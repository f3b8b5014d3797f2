//! The pixels of a result that the same taps of the kernel reach, as a product.
//!
//! Zeros around the image are not multiplied: pixels at an edge have fewer runs,
//! and those of several images are multiplied together.

use std::ops::Range;

use super::window::Window;
use crate::conv::{Conv2d, Epilogue};
use crate::element::Element;
use crate::gemm::{
    self, Panels, PlaceTable, Rows, Runs, pack_panels, pair_rows, pairs_fit, panel_width,
    panels_len, products_of_rows,
};
use crate::isa::Isa;

/// Most pixels that each panel of the weights is multiplied with before the next one is.
pub(super) const PASS_PIXELS: usize = 8 * gemm::ROW_STEP;

/// Pixels of a task, unless one image has more: those of several images' edges fill whole tiles.
pub(super) const TASK_PIXELS: usize = 1024;

/// A product for all pixels of a grid.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The first group's.
    window: Window,
    /// The kernel's taps that the window is made of.
    taps: Vec<usize>,
    regions: Vec<Region>,
    /// Factors of one group's packed weights.
    packed_len: usize,
    /// Whether their last panel has its rows two by two.
    pairs: bool,
}

/// Pixels of a grid whose windows are cut off by the same edges, of as many images as a task has.
#[derive(Debug, Clone)]
struct Region {
    /// Rows and columns of the grid.
    rows: Range<usize>,
    columns: usize,
    runs: Runs,
    /// Where what the window sees begins, and where the result does: image by image, row by row.
    starts: PlaceTable,
    targets: PlaceTable,
}

impl Region {
    /// Where it has the pixels of some rows of the grid: of so many images if it has no other rows, else
    /// of one.
    fn part(&self, rows: &Range<usize>, images: usize) -> Range<usize> {
        let within = |row: usize| row.clamp(self.rows.start, self.rows.end) - self.rows.start;
        let (start, end) = (within(rows.start), within(rows.end));
        let images = if end - start == self.rows.len() { images } else { 1 };
        start * self.columns..(start + images * (end - start)) * self.columns
    }
}

impl Part {
    /// `target(row, column)`: where the result of a pixel of the first image begins. It has
    /// `out_channels` values, and that of the next image begins `out_len` behind.
    pub(super) fn new<E: Element>(
        isa: Isa,
        conv: &Conv2d,
        window: Window,
        (out_channels, out_len): (usize, usize),
        target: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let packed_len = panels_len(isa, window.depth::<E>(), out_channels);
        let taps = window.taps(conv.kernel_width);
        // Runs are made of whole pixels.
        let even = window.factors::<E>(1).is_multiple_of(2);
        let pairs = even && pairs_fit(isa, out_channels);
        let mut part = Self { window, taps, regions: Vec::new(), packed_len, pairs };
        let (images, window) = (part.images_of(TASK_PIXELS), &part.window);
        let (row_stretches, column_stretches) =
            (window.rows.stretches(), window.columns.stretches());
        for rows in &row_stretches {
            for columns in &column_stretches {
                let len = images * rows.pixels.len() * columns.pixels.len();
                let [mut starts, mut targets] = [(); 2].map(|()| Vec::with_capacity(len));
                for image in 0..images {
                    for row in rows.pixels.clone() {
                        for column in columns.pixels.clone() {
                            starts.push(window.start::<E>(image, (rows, columns), (row, column)));
                            targets.push(image * out_len + target(row, column));
                        }
                    }
                }
                part.regions.push(Region {
                    rows: rows.pixels.clone(),
                    columns: columns.pixels.len(),
                    runs: window.runs::<E>((rows, columns)),
                    starts: PlaceTable::new(starts),
                    targets: PlaceTable::new(targets),
                });
            }
        }
        part
    }

    /// Images whose grids have so many pixels together; at least one. A task has no more.
    fn images_of(&self, pixels: usize) -> usize {
        (pixels / (self.window.rows.grid * self.window.columns.grid).max(1)).max(1)
    }

    /// Values of an image.
    pub(super) fn image_len(&self) -> usize {
        self.window.image_len()
    }

    pub(super) fn packed_len(&self) -> usize {
        self.packed_len
    }

    /// Packs one group's weights; `row(channel, tap)`: those of all columns.
    pub(super) fn pack<'a, E: Element>(
        &self,
        isa: Isa,
        columns: usize,
        row: impl Fn(usize, usize) -> &'a [E],
        packed: &mut [E::Factor],
    ) {
        let whole = self.window.pixel_len::<E>();
        let row = |at: usize| {
            let (tap, channel) = (self.taps[at / whole], at % whole);
            (channel < self.window.channels).then(|| row(channel, tap))
        };
        let shape = (self.window.depth::<E>(), columns);
        pack_panels(isa, shape, row, packed);
        if self.pairs {
            pair_rows(isa, shape, packed);
        }
    }

    /// One group's weights as the right matrix of a product.
    pub(super) fn panels<'a, E: Element>(
        &self,
        isa: Isa,
        packed: &'a [E::Factor],
        columns: usize,
    ) -> Panels<'a, E::Factor> {
        let (depth, pairs) = (self.window.depth::<E>(), self.pairs);
        Panels { values: packed, stride: depth * panel_width(isa, columns), depth, columns, pairs }
    }

    /// What the windows of some rows of the grid see of the channels of a group, times `filters`. `out`
    /// begins with the value `first` of the result.
    pub(super) fn multiply<E: Element>(
        &self,
        isa: Isa,
        (images, group): (&[E], usize),
        rows: &Range<usize>,
        filters: Panels<'_, E::Factor>,
        epilogue: Epilogue<'_>,
        (out, first): (&mut [E], usize),
    ) {
        let n_images = images.len() / self.image_len();
        self.window.with_pixels(group, images, |a| {
            let (mut pass, mut room) = (Vec::new(), PASS_PIXELS);
            for region in &self.regions {
                let of_rows = region.part(rows, n_images);
                let (mut at, n) = (0, of_rows.len());
                let starts = region.starts.part(of_rows.clone());
                let targets = region.targets.part(of_rows);
                while at < n {
                    // In whole tiles, unless these are the last.
                    let whole = room / gemm::ROW_STEP * gemm::ROW_STEP;
                    let part = at..if n - at <= room { n } else { at + whole };
                    (at, room) = (part.end, room - part.len());
                    let (starts, targets) = (starts.part(part.clone()), targets.part(part));
                    pass.push(Rows { starts, runs: region.runs, targets });
                    if at < n {
                        products_of_rows(isa, (a, &pass), filters, epilogue, (&mut *out, first));
                        pass.clear();
                        room = PASS_PIXELS;
                    }
                }
            }
            products_of_rows(isa, (a, &pass), filters, epilogue, (out, first));
        });
    }
}
