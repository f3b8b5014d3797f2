//! The pixels of a result that the same taps of the kernel reach, as a product.
//!
//! Zeros around the image are not multiplied: pixels at an edge have fewer runs, and those of several
//! images are multiplied together.

use std::ops::Range;

use super::filters::FilterPanels;
use super::window::Window;
use crate::conv::{Conv2d, Epilogue};
use crate::element::Element;
use crate::gemm::{self, PlaceTable, Rows, Runs, products_of_rows};
use crate::isa::Isa;

/// Most pixels that each panel of the weights is multiplied with before the next one is, if these do not meet together.
pub(super) const PASS_PIXELS: usize = 8 * gemm::ROW_STEP;

/// A product for all pixels of a grid.
#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The first group's.
    window: Window,
    /// The kernel's taps that the window is made of.
    taps: Vec<usize>,
    regions: Vec<Region>,
    filters: FilterPanels,
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
    /// For as many as `images` at a time. `target(row, column)`: where the result of a pixel of the first one
    /// begins. It has `out_channels` values, and that of the next image begins `out_len` behind.
    pub(super) fn new<E: Element>(
        isa: Isa,
        conv: &Conv2d,
        (window, images): (Window, usize),
        (out_channels, out_len): (usize, usize),
        target: impl Fn(usize, usize) -> usize,
    ) -> Self {
        let taps = window.taps(conv.kernel_width);
        // Runs are made of whole pixels.
        let even = window.factors::<E>(1).is_multiple_of(2);
        let filters = FilterPanels::new(isa, (window.depth::<E>(), out_channels), even);
        let mut part = Self { window, taps, regions: Vec::new(), filters };
        let window = &part.window;
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
        // The largest first, which is the inside, row by row of the image: what edges see, far apart, is near by then.
        part.regions.sort_by_key(|region| std::cmp::Reverse(region.targets.all().len()));
        part
    }

    /// Factors of one group's packed weights.
    pub(super) fn packed_len(&self, isa: Isa) -> usize {
        self.filters.len(isa)
    }

    /// Packs one group's weights, `(C, taps, K)`, of all `n_taps` of the kernel.
    pub(super) fn pack<E: Element>(
        &self,
        isa: Isa,
        n_taps: usize,
        weight: &[E],
        packed: &mut [E::Factor],
    ) {
        let (whole, columns) = (self.window.pixel_len::<E>(), self.filters.columns);
        let row = |at: usize| {
            let (tap, channel) = (self.taps[at / whole], at % whole);
            let from = (channel * n_taps + tap) * columns;
            (channel < self.window.channels).then(|| &weight[from..from + columns])
        };
        self.filters.pack(isa, row, packed);
    }

    /// What the windows of some rows of the grid see of the channels of a group, times the `packed` ones.
    /// `out` begins with the value `first` of the result.
    pub(super) fn multiply<E: Element>(
        &self,
        isa: Isa,
        (images, group): (&[E], usize),
        rows: &Range<usize>,
        packed: &[E::Factor],
        epilogue: Epilogue<'_>,
        (out, first): (&mut [E], usize),
    ) {
        let filters = self.filters.panels(isa, packed);
        let n_images = images.len() / self.window.image_len();
        // Windows of single pixels have nothing in common. A grid of one pixel is a matrix: few rows, and long.
        let fetch = self.taps.len() == 1 && self.window.rows.grid * self.window.columns.grid > 1;
        self.window.with_pixels(group, images, |a| {
            let most = if self.filters.meet_together(isa) { usize::MAX } else { PASS_PIXELS };
            let (mut pass, mut room) = (Vec::with_capacity(self.regions.len()), most);
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
                    pass.push(Rows { starts, runs: region.runs, targets, fetch });
                    if at < n {
                        products_of_rows(isa, (a, &pass), filters, epilogue, (&mut *out, first));
                        pass.clear();
                        room = most;
                    }
                }
            }
            products_of_rows(isa, (a, &pass), filters, epilogue, (out, first));
        });
    }
}
