use image::RgbImage;

use crate::canvas::{Align, Canvas, PICTURE_BYTES, PICTURE_SIDE};
use crate::header::Header;
use crate::rect::Rect;
use crate::theme::{LABEL, MARGIN, ROW};

/// Distance between columns, and between a caption and the next row's picture.
const CELL_GAP: u32 = 16;
/// Pictures grow by whole factors within these bounds...
const SCALES: std::ops::RangeInclusive<u32> = 3..=5;
/// ... as long as the grid is not wider than this.
const TARGET_WIDTH: u32 = 960;

/// A picture of a grid.
#[derive(Debug, Clone)]
pub struct Picture<'a> {
    /// 3072 bytes: planes R, G, B of 32 x 32, each row-major.
    pub pixels: &'a [u8],
    /// The line under the picture, shortened where it is wider than the picture; may be empty.
    pub caption: String,
}

/// Pictures with their captions in rows of `columns`, enlarged by whole factors so that every pixel
/// stays a crisp square. Fewer pictures are enlarged more.
///
/// # Panics
/// If `columns` is 0 or a picture does not have 3072 bytes.
pub fn picture_grid(title: &str, pictures: &[Picture], columns: usize) -> RgbImage {
    assert!(columns > 0, "a picture grid needs at least one column");
    let header = Header { title, subtitle: String::new() };
    let layout = Layout::new(&header, pictures, columns);
    let mut canvas = Canvas::new(layout.width, layout.height);
    header.draw(&mut canvas, layout.width - 2 * MARGIN);
    for (index, picture) in (0..).zip(pictures) {
        let n_bytes = picture.pixels.len();
        assert_eq!(n_bytes, PICTURE_BYTES, "picture {index} has a wrong number of bytes");
        let cell = layout.cell(index);
        canvas.picture(cell.x, cell.y, picture.pixels, layout.scale);
        canvas.text(layout.caption(index), &picture.caption, Align::Centre, LABEL);
    }
    canvas.into_image()
}

struct Layout {
    columns: u32,
    scale: u32,
    /// Height of a caption; 0 where no picture has one.
    caption_height: u32,
    /// Top left corner of the first picture.
    origin: (u32, u32),
    /// Of the whole picture.
    width: u32,
    height: u32,
}

impl Layout {
    fn new(header: &Header, pictures: &[Picture], columns: usize) -> Self {
        let columns = columns.min(pictures.len()).max(1) as u32;
        let n_rows = (pictures.len() as u32).div_ceil(columns);
        let grid_width = |scale| columns * (PICTURE_SIDE * scale + CELL_GAP) - CELL_GAP;
        let scale = SCALES
            .rev()
            .find(|&scale| grid_width(scale) <= TARGET_WIDTH)
            .unwrap_or(*SCALES.start());
        let no_caption = pictures.iter().all(|picture| picture.caption.is_empty());
        let caption_height = if no_caption { 0 } else { ROW };
        let content_width = grid_width(scale).max(header.width());
        let row_height = PICTURE_SIDE * scale + caption_height + CELL_GAP;
        let origin = (MARGIN + (content_width - grid_width(scale)) / 2, header.bottom());
        Self {
            columns,
            scale,
            caption_height,
            origin,
            width: content_width + 2 * MARGIN,
            height: (origin.1 + n_rows * row_height).saturating_sub(CELL_GAP) + MARGIN,
        }
    }

    /// Where picture `index` goes.
    fn cell(&self, index: u32) -> Rect {
        let side = PICTURE_SIDE * self.scale;
        let (column, row) = (index % self.columns, index / self.columns);
        let (x, y) = self.origin;
        let step_down = side + self.caption_height + CELL_GAP;
        Rect::new(x + column * (side + CELL_GAP), y + row * step_down, side, side)
    }

    /// Where its caption goes.
    fn caption(&self, index: u32) -> Rect {
        let cell = self.cell(index);
        Rect { y: cell.bottom(), height: self.caption_height, ..cell }
    }
}

#[cfg(test)]
mod tests;
