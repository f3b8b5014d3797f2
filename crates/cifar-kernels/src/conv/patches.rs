//! The patches of pixels as the rows of a matrix.

use super::Conv2d;
use crate::element::Element;

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
}

impl Window {
    /// What the forward pass sees: the grid is the result.
    pub(super) fn forward(conv: &Conv2d) -> Self {
        let padding = conv.padding as isize;
        Self {
            rows: (0..conv.kernel_height).map(|ky| (ky as isize - padding, ky)).collect(),
            first_column: -padding,
            columns: (0..conv.kernel_width).collect(),
            stride: conv.stride,
            grid: (conv.out_height(), conv.out_width()),
            image: (conv.height, conv.width, conv.in_channels),
        }
    }

    /// What the gradient of the input's pixels `(y, x)` with `y ≡ phase.0`, `x ≡ phase.1` modulo
    /// the stride sees of the result's gradient: the taps that met such pixels, turned around.
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
        }
    }

    /// Values of a patch.
    pub(super) fn depth(&self) -> usize {
        self.rows.len() * self.columns.len() * self.image.2
    }

    /// Pixels of the grid.
    pub(super) fn grid_len(&self) -> usize {
        self.grid.0 * self.grid.1
    }

    /// The kernel's taps in the order of a patch, as `ky·kw + kx`.
    pub(super) fn taps(&self, kernel_width: usize) -> Vec<usize> {
        let row =
            |&(_, ky): &(isize, usize)| self.columns.iter().map(move |kx| ky * kernel_width + kx);
        self.rows.iter().flat_map(row).collect()
    }

    /// Whether the patches, in order, are the images themselves.
    pub(super) fn is_identity(&self) -> bool {
        let one = |offset: isize, n: usize| offset == 0 && n == 1;
        self.stride == 1
            && self.rows.len() == 1
            && one(self.rows[0].0, 1)
            && one(self.first_column, self.columns.len())
            && self.grid == (self.image.0, self.image.1)
    }

    /// Writes the patches of the grid pixels from `first`, counted through all `images`, one per
    /// row of `patches`; outside of the image there are zeros. What lies behind a patch in its row
    /// may be overwritten.
    pub(super) fn gather<E: Element>(
        &self,
        images: &[E],
        first: usize,
        stride: usize,
        patches: &mut [E],
    ) {
        let image_len = self.image.0 * self.image.1 * self.image.2;
        let at = first % self.grid_len();
        let (mut image, mut row, mut column) =
            (first / self.grid_len(), at / self.grid.1, at % self.grid.1);
        for patch in patches.chunks_mut(stride) {
            self.gather_one(&images[image * image_len..][..image_len], row, column, patch);
            column += 1;
            if column == self.grid.1 {
                (row, column) = (row + 1, 0);
            }
            if row == self.grid.0 {
                (image, row) = (image + 1, 0);
            }
        }
    }

    /// The patch of one grid pixel.
    #[inline(always)]
    fn gather_one<E: Element>(&self, image: &[E], row: usize, column: usize, patch: &mut [E]) {
        let (height, width, channels) = self.image;
        let n_columns = self.columns.len();
        let run_len = n_columns * channels;
        let left = (column * self.stride) as isize + self.first_column;
        // The part of the run of columns that lies inside the image.
        let start = left.clamp(0, width as isize);
        let end = (left + n_columns as isize).clamp(start, width as isize);
        let before = (start - left).clamp(0, n_columns as isize) as usize * channels;
        let inside = (end - start) as usize * channels;
        let mut to = 0;
        for &(offset, _) in &self.rows {
            let y = (row * self.stride) as isize + offset;
            if y < 0 || y >= height as isize || inside == 0 {
                patch[to..to + run_len].fill(E::default());
            } else {
                let from = (y as usize * width + start as usize) * channels;
                if inside == run_len {
                    copy_run(image, from, patch, to, run_len);
                } else {
                    let run = &mut patch[to..to + run_len];
                    run[..before].fill(E::default());
                    run[before..before + inside].copy_from_slice(&image[from..][..inside]);
                    run[before + inside..].fill(E::default());
                }
            }
            to += run_len;
        }
    }
}

/// Copies `len` values, or where both sides have the room [`FEW`] in their place: what is too many
/// is overwritten by the run that follows, and a copy of fixed length is no call.
#[inline(always)]
fn copy_run<E: Element>(image: &[E], from: usize, patch: &mut [E], to: usize, len: usize) {
    const FEW: usize = 16;
    if len <= FEW && from + FEW <= image.len() && to + FEW <= patch.len() {
        patch[to..to + FEW].copy_from_slice(&image[from..from + FEW]);
    } else {
        patch[to..to + len].copy_from_slice(&image[from..from + len]);
    }
}
