//! What text needs before it is drawn: its size, its shortened form, numbers as words.

use std::borrow::Cow;

use image::Rgb;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};

/// Stands for what was cut off.
pub(crate) const ELLIPSIS: char = '…';

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
