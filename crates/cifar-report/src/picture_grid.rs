use crate::canvas::{PICTURE_BYTES, PICTURE_SIDE};
use crate::drawing::Drawing;
use crate::header::Header;
use crate::rect::Rect;
use crate::text::{Align, TextStyle};
use crate::theme::{DATA, LABEL, MARGIN, ROW, SECOND};

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

/// A picture and what a network takes it for.
#[derive(Debug, Clone)]
pub struct Prediction<'a> {
    /// 3072 bytes: planes R, G, B of 32 x 32, each row-major.
    pub pixels: &'a [u8],
    /// Name of the true class.
    pub truth: &'a str,
    /// Name of the predicted class.
    pub predicted: &'a str,
    /// Its probability in `0..=1`.
    pub probability: f64,
}

/// Pictures with their captions in rows of `columns`, enlarged by whole factors so that every pixel
/// stays a crisp square. Fewer pictures are enlarged more.
///
/// # Panics
/// If `columns` is 0 or a picture does not have 3072 bytes.
pub fn picture_grid(title: &str, pictures: &[Picture], columns: usize) -> Drawing {
    let header = Header { title, subtitle: String::new() };
    let with_caption = pictures.iter().any(|picture| !picture.caption.is_empty());
    let cells = pictures.iter().map(|picture| Cell {
        pixels: picture.pixels,
        lines: vec![(picture.caption.clone(), LABEL); usize::from(with_caption)],
    });
    draw(&header, &cells.collect::<Vec<_>>(), columns)
}

/// Pictures, each with the predicted class and its probability (a wrong one in another colour) and
/// the true class below.
///
/// # Panics
/// If `columns` is 0 or a picture does not have 3072 bytes.
pub fn prediction_grid(title: &str, predictions: &[Prediction], columns: usize) -> Drawing {
    let n_right = predictions.iter().filter(|p| p.predicted == p.truth).count();
    let subtitle = format!("{n_right} of {} right; below each the true class", predictions.len());
    let cells = predictions.iter().map(|prediction| {
        let Prediction { pixels, truth, predicted, probability } = *prediction;
        let colour = if predicted == truth { DATA } else { SECOND };
        let percent = format!("{predicted} {:.0}%", 100.0 * probability);
        let lines = vec![(percent, LABEL.in_colour(colour)), (format!("is {truth}"), LABEL)];
        Cell { pixels, lines }
    });
    draw(&Header { title, subtitle }, &cells.collect::<Vec<_>>(), columns)
}

/// A picture and the lines under it, as many for each.
struct Cell<'a> {
    pixels: &'a [u8],
    lines: Vec<(String, TextStyle)>,
}

fn draw(header: &Header, cells: &[Cell], columns: usize) -> Drawing {
    assert!(columns > 0, "a picture grid needs at least one column");
    let n_lines = cells.first().map_or(0, |cell| cell.lines.len());
    let layout = Layout::new(header, cells.len(), n_lines, columns);
    let mut canvas = header.sheet(layout.width, layout.height);
    for (index, cell) in (0..).zip(cells) {
        let n_bytes = cell.pixels.len();
        assert_eq!(n_bytes, PICTURE_BYTES, "picture {index} has a wrong number of bytes");
        let place = layout.cell(index);
        canvas.picture(place.x, place.y, cell.pixels, layout.scale);
        for (line, (text, style)) in (0..).zip(&cell.lines) {
            canvas.text(layout.caption(index, line), text, Align::Centre, *style);
        }
    }
    canvas.into_drawing()
}

struct Layout {
    columns: u32,
    scale: u32,
    /// Height of the lines under a picture; 0 where there are none.
    caption_height: u32,
    /// Top left corner of the first picture.
    origin: (u32, u32),
    /// Of the whole picture.
    width: u32,
    height: u32,
}

impl Layout {
    fn new(header: &Header, n_pictures: usize, n_lines: usize, columns: usize) -> Self {
        let columns = columns.min(n_pictures).max(1) as u32;
        let n_rows = (n_pictures as u32).div_ceil(columns);
        let grid_width = |scale| columns * (PICTURE_SIDE * scale + CELL_GAP) - CELL_GAP;
        let scale = SCALES
            .rev()
            .find(|&scale| grid_width(scale) <= TARGET_WIDTH)
            .unwrap_or(*SCALES.start());
        let caption_height = n_lines as u32 * ROW;
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

    /// Where a line under it goes.
    fn caption(&self, index: u32, line: u32) -> Rect {
        let cell = self.cell(index);
        Rect { y: cell.bottom() + line * ROW, height: ROW, ..cell }
    }
}

#[cfg(test)]
mod tests;
