//! A sheet to draw on. Everything is placed by rectangles, and what lies outside the sheet is left
//! out: a slip in a layout must not end a run that trained for hours.

use image::{Rgb, RgbImage};

use crate::drawing::{Drawing, Mark, Path, Point, Readings, Stroke};
use crate::overlay::rgb_image;
use crate::rect::Rect;
use crate::text::{Align, TextLine, TextStyle};

/// Side of a CIFAR picture in pixels.
pub(crate) const PICTURE_SIDE: u32 = 32;
/// Bytes of a CIFAR picture: planes R, G, B of `PICTURE_SIDE` squared, each row-major.
pub(crate) const PICTURE_BYTES: usize = 3 * (PICTURE_SIDE * PICTURE_SIDE) as usize;

#[derive(Debug)]
pub(crate) struct Canvas {
    drawing: Drawing,
}

impl Canvas {
    /// An empty sheet. The title is not drawn.
    pub(crate) fn new(title: &str, width: u32, height: u32) -> Self {
        let body = Rect::new(0, 0, width, height);
        let (title, marks) = (title.to_owned(), Vec::new());
        Self { drawing: Drawing { title, width, height, body, marks, n_header_marks: 0 } }
    }

    /// Ends the header: what follows lies in `body`.
    pub(crate) fn begin_body(&mut self, body: Rect) {
        self.drawing.n_header_marks = self.drawing.marks.len();
        self.drawing.body = body;
    }

    pub(crate) fn into_drawing(self) -> Drawing {
        self.drawing
    }

    pub(crate) fn fill(&mut self, rect: Rect, colour: Rgb<u8>) {
        self.drawing.marks.push(Mark::Fill { rect, colour });
    }

    /// A line one pixel high along the top edge of `rect`.
    pub(crate) fn line(&mut self, rect: Rect, colour: Rgb<u8>) {
        self.fill(Rect { height: 1, ..rect }, colour);
    }

    /// A line one pixel wide along the left edge of `rect`.
    pub(crate) fn upright(&mut self, rect: Rect, colour: Rgb<u8>) {
        self.fill(Rect { width: 1, ..rect }, colour);
    }

    /// Straight lines through `points`; `name` says what they show.
    pub(crate) fn path(&mut self, name: &str, points: Vec<Point>, stroke: Stroke) {
        self.add_path(name, points, stroke, None);
    }

    /// Like [`path`](Self::path), through data: `readings` has one pair for each point.
    pub(crate) fn curve(
        &mut self,
        name: &str,
        points: Vec<Point>,
        stroke: Stroke,
        readings: Readings,
    ) {
        self.add_path(name, points, stroke, Some(readings));
    }

    fn add_path(
        &mut self,
        name: &str,
        points: Vec<Point>,
        stroke: Stroke,
        readings: Option<Readings>,
    ) {
        let path = Path { name: name.to_owned(), points, stroke, readings };
        self.drawing.marks.push(Mark::Path(path));
    }

    /// A disc.
    pub(crate) fn dot(&mut self, centre: Point, radius: f64, colour: Rgb<u8>) {
        self.drawing.marks.push(Mark::Dot { centre, radius, colour });
    }

    /// A CIFAR picture (`pixels`: 3072 bytes, planes R, G, B) with its top left corner at `(x, y)`,
    /// every pixel as a square of `scale` pixels.
    pub(crate) fn picture(&mut self, x: u32, y: u32, pixels: &[u8], scale: u32) {
        let side = PICTURE_SIDE as usize;
        self.image(x, y, rgb_image(pixels, side, side), scale);
    }

    /// A picture of any size, likewise.
    pub(crate) fn image(&mut self, x: u32, y: u32, pixels: RgbImage, scale: u32) {
        self.drawing.marks.push(Mark::Picture { x, y, scale, pixels });
    }

    /// One line of text inside `rect`, centred between its top and bottom and shortened to its
    /// width.
    pub(crate) fn text(&mut self, rect: Rect, text: &str, align: Align, style: TextStyle) {
        self.drawing.marks.push(Mark::Text(TextLine::level(rect, text, align, style)));
    }

    /// Like [`text`](Self::text), reading upwards: turned by a quarter to the left, so that the line
    /// starts at the bottom of `rect`.
    pub(crate) fn text_upward(&mut self, rect: Rect, text: &str, align: Align, style: TextStyle) {
        self.drawing.marks.push(Mark::Text(TextLine::upward(rect, text, align, style)));
    }
}

#[cfg(test)]
mod tests;
