//! What text needs before it is drawn: its size, its shortened form, its place, numbers as words.

use std::borrow::Cow;

use image::Rgb;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

use crate::rect::Rect;

/// Stands for what was cut off.
pub(crate) const ELLIPSIS: char = '…';

/// Width of a character of the font, as a part of the font's size.
const ADVANCE: f64 = 0.6;

/// Where text stands along its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Start,
    Centre,
    End,
}

/// A monospaced font in one size and colour.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextStyle {
    pub(crate) weight: FontWeight,
    pub(crate) size: RasterHeight,
    pub(crate) colour: Rgb<u8>,
}

impl TextStyle {
    /// The same font in another colour.
    pub(crate) fn in_colour(self, colour: Rgb<u8>) -> Self {
        Self { colour, ..self }
    }

    /// Distance from one character to the next, in pixels.
    pub(crate) fn char_width(self) -> u32 {
        get_raster_width(self.weight, self.size) as u32
    }

    /// Width of a line of text, in pixels.
    pub(crate) fn width_of(self, text: &str) -> u32 {
        text.chars().count() as u32 * self.char_width()
    }

    /// The size in CSS pixels at which a font of the usual proportions is as wide.
    pub(crate) fn font_size(self) -> f64 {
        f64::from(self.char_width()) / ADVANCE
    }

    pub(crate) fn css_weight(self) -> &'static str {
        match self.weight {
            FontWeight::Bold => "bold",
            _ => "normal",
        }
    }

    /// First row of the capitals and digits within the line box, and their height, in pixels: text
    /// centred by these looks centred, by its line box it would not.
    pub(crate) fn capitals(self) -> (u32, u32) {
        let Some(glyph) = get_raster('H', self.weight, self.size) else {
            return (0, self.size.val() as u32);
        };
        // Half-covered rows are the anti-aliased edge.
        let solid = |row: &[u8]| row.iter().any(|&coverage| coverage >= 128);
        let top = glyph.rows().position(solid).unwrap_or(0);
        let bottom = glyph.rows().rposition(solid).map_or(glyph.height(), |row| row + 1);
        (top as u32, (bottom - top) as u32)
    }
}

/// A line of text laid out in its rectangle, level or turned by a quarter to the left.
#[derive(Debug, Clone)]
pub(crate) struct TextLine {
    /// What fits.
    pub(crate) text: String,
    pub(crate) style: TextStyle,
    /// Start of the first character along the line, and top of the line box across it.
    pub(crate) start: i64,
    pub(crate) top: i64,
    pub(crate) upward: bool,
    /// Where the line begins: the top left corner of a level rectangle, the bottom left one of an
    /// upward one.
    origin: (i64, i64),
}

impl TextLine {
    /// `text` from left to right in `rect`, shortened to its width.
    pub(crate) fn level(rect: Rect, text: &str, align: Align, style: TextStyle) -> Self {
        let origin = (i64::from(rect.x), i64::from(rect.y));
        Self::new(origin, (rect.width, rect.height), text, align, style)
    }

    /// `text` from the bottom of `rect` to its top, shortened to its height.
    pub(crate) fn upward(rect: Rect, text: &str, align: Align, style: TextStyle) -> Self {
        let origin = (i64::from(rect.x), i64::from(rect.bottom()) - 1);
        let line = Self::new(origin, (rect.height, rect.width), text, align, style);
        Self { upward: true, ..line }
    }

    fn new(
        origin: (i64, i64),
        (length, breadth): (u32, u32),
        text: &str,
        align: Align,
        style: TextStyle,
    ) -> Self {
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
        Self { text, style, start, top, upward: false, origin }
    }

    /// The pixel at `along` the line and `across` it.
    pub(crate) fn pixel(&self, along: i64, across: i64) -> (i64, i64) {
        let (x, y) = self.origin;
        if self.upward { (x + across, y - along) } else { (x + along, y + across) }
    }

    /// Where the capitals stand, across the line.
    pub(crate) fn baseline(&self) -> i64 {
        let (top, height) = self.style.capitals();
        self.top + i64::from(top + height)
    }
}

/// `text` in at most `n_chars` characters, the last of which is an ellipsis where some were cut.
pub(crate) fn shorten(text: &str, n_chars: usize) -> Cow<'_, str> {
    if text.chars().count() <= n_chars {
        return Cow::Borrowed(text);
    }
    let Some(n_kept) = n_chars.checked_sub(1) else { return Cow::Borrowed("") };
    let kept: String = text.chars().take(n_kept).collect();
    Cow::Owned(format!("{}{ELLIPSIS}", kept.trim_end()))
}

/// A count with a comma between thousands: `50,000`.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme;

    #[test]
    fn shortens_to_what_fits() {
        let cases = [
            ("automobile", 10, "automobile"),
            ("automobile", 9, "automobi…"),
            ("new york", 5, "new…"),
            ("Bär", 3, "Bär"),
            ("Bären", 4, "Bär…"),
            ("cat", 1, "…"),
            ("cat", 0, ""),
            ("", 0, ""),
        ];
        for (text, n_chars, want) in cases {
            assert_eq!(shorten(text, n_chars), want, "{text} in {n_chars}");
        }
    }

    #[test]
    fn groups_thousands() {
        let cases =
            [(0, "0"), (999, "999"), (1000, "1,000"), (50_000, "50,000"), (1_234_567, "1,234,567")];
        for (count, want) in cases {
            assert_eq!(grouped(count), want);
        }
    }

    #[test]
    fn capitals_lie_inside_the_line_box() {
        for style in [theme::TITLE, theme::LABEL, theme::AXIS_TITLE] {
            let (top, height) = style.capitals();
            assert!(top > 0 && height > 6 && top + height < style.size.val() as u32, "{style:?}");
        }
    }
}
