//! A sheet of pixels to draw on. Everything is placed by rectangles, and what lies outside the
//! sheet is left out: a slip in a layout must not end a run that trained for hours.

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::get_raster;

use crate::rect::Rect;
use crate::text::{ELLIPSIS, TextStyle, shorten};
use crate::theme;

/// Side of a CIFAR picture in pixels.
pub(crate) const PICTURE_SIDE: u32 = 32;
/// Bytes of a CIFAR picture: planes R, G, B of `PICTURE_SIDE` squared, each row-major.
pub(crate) const PICTURE_BYTES: usize = 3 * PLANE;
const PLANE: usize = (PICTURE_SIDE * PICTURE_SIDE) as usize;

/// Where text stands along its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Start,
    Centre,
    End,
}

#[derive(Debug)]
pub(crate) struct Canvas {
    image: RgbImage,
}

impl Canvas {
    /// An empty sheet.
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self { image: RgbImage::from_pixel(width, height, theme::PAPER) }
    }

    pub(crate) fn into_image(self) -> RgbImage {
        self.image
    }

    pub(crate) fn fill(&mut self, rect: Rect, colour: Rgb<u8>) {
        for y in rect.y..rect.bottom().min(self.image.height()) {
            for x in rect.x..rect.right().min(self.image.width()) {
                self.image.put_pixel(x, y, colour);
            }
        }
    }

    /// A line one pixel high along the top edge of `rect`.
    pub(crate) fn line(&mut self, rect: Rect, colour: Rgb<u8>) {
        self.fill(Rect { height: 1, ..rect }, colour);
    }

    /// A CIFAR picture (`pixels`: 3072 bytes, planes R, G, B) with its top left corner at `(x, y)`,
    /// every pixel as a square of `scale` pixels.
    pub(crate) fn picture(&mut self, x: u32, y: u32, pixels: &[u8], scale: u32) {
        for row in 0..PICTURE_SIDE {
            for column in 0..PICTURE_SIDE {
                let at = (row * PICTURE_SIDE + column) as usize;
                let colour = Rgb([pixels[at], pixels[PLANE + at], pixels[2 * PLANE + at]]);
                self.fill(Rect::new(x + column * scale, y + row * scale, scale, scale), colour);
            }
        }
    }

    /// One line of text inside `rect`, centred between its top and bottom and shortened to its
    /// width.
    pub(crate) fn text(&mut self, rect: Rect, text: &str, align: Align, style: TextStyle) {
        let line = Line::new(text, rect.width, rect.height, align, style);
        let origin = (i64::from(rect.x), i64::from(rect.y));
        line.draw(|along, across, coverage| {
            self.blend(origin.0 + along, origin.1 + across, style.colour, coverage);
        });
    }

    /// Like [`text`](Self::text), reading upwards: turned by a quarter to the left, so that the line
    /// starts at the bottom of `rect`.
    pub(crate) fn text_upward(&mut self, rect: Rect, text: &str, align: Align, style: TextStyle) {
        let line = Line::new(text, rect.height, rect.width, align, style);
        let origin = (i64::from(rect.x), i64::from(rect.bottom()) - 1);
        line.draw(|along, across, coverage| {
            self.blend(origin.0 + across, origin.1 - along, style.colour, coverage);
        });
    }

    fn blend(&mut self, x: i64, y: i64, colour: Rgb<u8>, coverage: u8) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if let Some(pixel) = self.image.get_pixel_mut_checked(x, y) {
            *pixel = theme::mix(*pixel, colour, f64::from(coverage) / 255.0);
        }
    }
}

/// A line of text laid out in a box of `length` along the text times `breadth` across it.
struct Line {
    text: String,
    style: TextStyle,
    /// Start of the first character, and top of the line box.
    start: i64,
    top: i64,
}

impl Line {
    fn new(text: &str, length: u32, breadth: u32, align: Align, style: TextStyle) -> Self {
        let text = shorten(text, (length / style.char_width()) as usize).into_owned();
        let free = i64::from(length - style.width_of(&text));
        let start = match align {
            Align::Start => 0,
            Align::Centre => free / 2,
            Align::End => free,
        };
        let (capitals_top, capitals_height) = style.capitals();
        let top = (i64::from(breadth) - i64::from(capitals_height)).div_euclid(2)
            - i64::from(capitals_top);
        Self { text, style, start, top }
    }

    /// Calls `blend(along, across, coverage)` for every pixel that the text touches.
    fn draw(&self, mut blend: impl FnMut(i64, i64, u8)) {
        let mut start = self.start;
        for character in self.text.chars() {
            glyph(character, self.style, |x, y, coverage| {
                blend(start + i64::from(x), self.top + i64::from(y), coverage);
            });
            start += i64::from(self.style.char_width());
        }
    }
}

/// Calls `blend(x, y, coverage)` for every pixel of a character that is not empty.
fn glyph(character: char, style: TextStyle, mut blend: impl FnMut(u32, u32, u8)) {
    if let Some(raster) = get_raster(character, style.weight, style.size) {
        for (y, row) in (0..).zip(raster.rows()) {
            for (x, &coverage) in (0..).zip(row).filter(|&(_, &coverage)| coverage > 0) {
                blend(x, y, coverage);
            }
        }
        return;
    }
    let width = style.char_width();
    let (top, height) = style.capitals();
    if character == ELLIPSIS {
        // The font's Latin part has none: three dots on the baseline.
        (0..3).for_each(|dot| blend(width * (2 * dot + 1) / 6, top + height - 1, 255));
        return;
    }
    for y in top..top + height {
        for x in 1..width - 1 {
            if y == top || y == top + height - 1 || x == 1 || x == width - 2 {
                blend(x, y, 255);
            }
        }
    }
}

#[cfg(test)]
mod tests;
