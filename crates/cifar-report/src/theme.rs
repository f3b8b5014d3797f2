//! The one look of all pictures: colours, fonts, distances.
//!
//! Blue carries the data, because a single hue that only changes in lightness reads the same for
//! every kind of colour vision and in grey print. Where several things are compared, vermilion and
//! green join it, of the palette of Okabe and Ito (2008), "Color Universal Design", which is safe
//! for every kind of colour vision.

use image::Rgb;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight};

use crate::text::TextStyle;

/// Space around every picture, in pixels; nothing is ever drawn there.
pub(crate) const MARGIN: u32 = 32;
/// Distance between things that belong together: a bar and its name, an axis and its ticks.
pub(crate) const GAP: u32 = 8;
/// Distance between things that stand apart: the header and the drawing, the drawing and its legend.
pub(crate) const SPACE: u32 = 24;
/// Height of a row of ordinary text.
pub(crate) const ROW: u32 = 24;

/// The background.
pub(crate) const PAPER: Rgb<u8> = Rgb([255, 255, 255]);
/// Titles and numbers.
pub(crate) const INK: Rgb<u8> = Rgb([31, 35, 40]);
/// What explains rather than shows: subtitles, ticks, axis titles.
pub(crate) const MUTED: Rgb<u8> = Rgb([89, 96, 105]);
/// Axes.
pub(crate) const AXIS: Rgb<u8> = Rgb([140, 147, 155]);
/// Grid lines behind the data.
pub(crate) const GRID: Rgb<u8> = Rgb([229, 232, 236]);
/// The data: Okabe and Ito's blue.
pub(crate) const DATA: Rgb<u8> = Rgb([0, 114, 178]);
/// What the data are compared with, and what is wrong: Okabe and Ito's vermilion.
pub(crate) const SECOND: Rgb<u8> = Rgb([213, 94, 0]);
/// A third thing: Okabe and Ito's bluish green.
pub(crate) const THIRD: Rgb<u8> = Rgb([0, 158, 115]);
/// More things to compare, each dark enough for a line on paper.
pub(crate) const FOURTH: Rgb<u8> = Rgb([162, 72, 128]);
pub(crate) const FIFTH: Rgb<u8> = Rgb([138, 105, 0]);
/// Share of a colour that is left where it stands for something lesser.
const PALE: f64 = 0.35;

/// Width of the pictures whose content would fit any width.
pub(crate) const PAGE_WIDTH: u32 = 800;

/// The title of a picture.
pub(crate) const TITLE: TextStyle = style(FontWeight::Bold, RasterHeight::Size24, INK);
/// The line under the title.
pub(crate) const SUBTITLE: TextStyle = style(FontWeight::Regular, RasterHeight::Size16, MUTED);
/// Names and numbers next to the data.
pub(crate) const LABEL: TextStyle = style(FontWeight::Regular, RasterHeight::Size16, INK);
/// The heading of a part of a picture, and a name that stands out among others.
pub(crate) const STRONG: TextStyle = style(FontWeight::Bold, RasterHeight::Size16, INK);
/// Numbers on an axis or a legend.
pub(crate) const TICK: TextStyle = style(FontWeight::Regular, RasterHeight::Size16, MUTED);
/// What an axis or a legend shows.
pub(crate) const AXIS_TITLE: TextStyle = style(FontWeight::Bold, RasterHeight::Size16, MUTED);

const fn style(weight: FontWeight, size: RasterHeight, colour: Rgb<u8>) -> TextStyle {
    TextStyle { weight, size, colour }
}

/// The ramp from a share of 0 to a share of 1: the hue of [`DATA`], ever darker.
const RAMP: [Rgb<u8>; 4] = [Rgb([243, 248, 252]), Rgb([123, 184, 220]), DATA, Rgb([0, 44, 82])];
/// The same hue on a dark page, ever lighter.
const DARK_RAMP: [Rgb<u8>; 4] =
    [Rgb([30, 36, 43]), Rgb([13, 71, 107]), Rgb([43, 138, 196]), Rgb([190, 226, 247])];

/// Colour of a share in `0..=1`; a bigger share is darker. Small shares are spread out (a square
/// root), because the rare mistakes are what a reader looks for in a good model's matrix.
pub(crate) fn share_colour(share: f64) -> Rgb<u8> {
    ramp_colour(&RAMP, share)
}

fn ramp_colour(ramp: &[Rgb<u8>; 4], share: f64) -> Rgb<u8> {
    let position = share.clamp(0.0, 1.0).sqrt() * (ramp.len() - 1) as f64;
    let lower = (position as usize).min(ramp.len() - 2);
    mix(ramp[lower], ramp[lower + 1], position - lower as f64)
}

/// The CSS variable that a web page defines for a colour of the theme, once for light and once for
/// dark surroundings; none for a colour that is not the theme's own.
pub(crate) fn css_variable(colour: Rgb<u8>) -> Option<&'static str> {
    let names = [
        (PAPER, "--paper"),
        (INK, "--ink"),
        (MUTED, "--muted"),
        (AXIS, "--axis"),
        (GRID, "--grid"),
        (DATA, "--data"),
        (SECOND, "--second"),
        (THIRD, "--third"),
        (FOURTH, "--fourth"),
        (FIFTH, "--fifth"),
        (pale(DATA), "--pale-data"),
        (pale(SECOND), "--pale-second"),
    ];
    names.into_iter().find(|(known, _)| *known == colour).map(|(_, name)| name)
}

/// [`share_colour`] for dark surroundings: a bigger share is lighter.
pub(crate) fn dark_share_colour(share: f64) -> Rgb<u8> {
    ramp_colour(&DARK_RAMP, share)
}

/// A light form of `colour`.
pub(crate) fn pale(colour: Rgb<u8>) -> Rgb<u8> {
    mix(PAPER, colour, PALE)
}

/// `from` at a `weight` of 0, `to` at 1.
pub(crate) fn mix(from: Rgb<u8>, to: Rgb<u8>, weight: f64) -> Rgb<u8> {
    let channel = |c: usize| {
        let (from, to) = (f64::from(from.0[c]), f64::from(to.0[c]));
        (from + (to - from) * weight).round() as u8
    };
    Rgb([channel(0), channel(1), channel(2)])
}

/// Black or white, whichever is easier to read on `background`.
pub(crate) fn text_on(background: Rgb<u8>) -> Rgb<u8> {
    let (black, white) = (Rgb([0, 0, 0]), Rgb([255, 255, 255]));
    if contrast(black, background) >= contrast(white, background) { black } else { white }
}

/// Contrast ratio of two colours, 1 to 21 (WCAG 2.2, "contrast ratio").
pub(crate) fn contrast(one: Rgb<u8>, two: Rgb<u8>) -> f64 {
    let (one, two) = (luminance(one), luminance(two));
    (one.max(two) + 0.05) / (one.min(two) + 0.05)
}

/// Relative luminance in `0..=1` of an sRGB colour (WCAG 2.2, "relative luminance").
pub(crate) fn luminance(colour: Rgb<u8>) -> f64 {
    let linear = |c: usize| {
        let value = f64::from(colour.0[c]) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * linear(0) + 0.7152 * linear(1) + 0.0722 * linear(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bigger_share_is_darker_all_the_way() {
        let luminances: Vec<_> =
            (0..=100).map(|percent| luminance(share_colour(f64::from(percent) / 100.0))).collect();
        assert!(luminances.windows(2).all(|pair| pair[1] < pair[0]), "{luminances:?}");
        assert_eq!((share_colour(0.0), share_colour(1.0)), (RAMP[0], RAMP[3]));
        let dark: Vec<_> = (0..=100)
            .map(|percent| luminance(dark_share_colour(f64::from(percent) / 100.0)))
            .collect();
        assert!(dark.windows(2).all(|pair| pair[1] > pair[0]), "{dark:?}");
    }

    #[test]
    fn text_is_legible_on_every_share_and_on_paper() {
        for permille in 0..=1000 {
            let colour = share_colour(f64::from(permille) / 1000.0);
            assert!(contrast(text_on(colour), colour) >= 4.5, "{permille} permille");
            let colour = dark_share_colour(f64::from(permille) / 1000.0);
            assert!(contrast(text_on(colour), colour) >= 4.5, "{permille} permille, dark");
        }
        for colour in [INK, MUTED] {
            assert!(contrast(colour, PAPER) >= 4.5);
        }
        assert!(contrast(MUTED, share_colour(0.0)) >= 4.5, "the zeros of a matrix");
        assert_eq!(contrast(Rgb([0, 0, 0]), PAPER), 21.0);
    }
}
