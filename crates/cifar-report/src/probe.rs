//! What tests ask of a picture.

use image::{Rgb, RgbImage};

use crate::drawing::{Drawing, Mark, Path};
use crate::rect::Rect;
use crate::theme::{MARGIN, PAPER};

/// All texts of a drawing, in the order drawn.
pub(crate) fn texts(drawing: &Drawing) -> Vec<&str> {
    let mut texts = Vec::new();
    for mark in &drawing.marks {
        if let Mark::Text(line) = mark
            && !line.text.is_empty()
        {
            texts.push(line.text.as_str());
        }
    }
    texts
}

/// All lines of a drawing, in the order drawn.
pub(crate) fn paths(drawing: &Drawing) -> Vec<&Path> {
    let mut paths = Vec::new();
    for mark in &drawing.marks {
        if let Mark::Path(path) = mark {
            paths.push(path);
        }
    }
    paths
}

/// The smallest rectangle inside `area` that holds every pixel other than `background`.
pub(crate) fn ink(image: &RgbImage, area: Rect, background: Rgb<u8>) -> Option<Rect> {
    let pixels = (area.y..area.bottom()).flat_map(|y| (area.x..area.right()).map(move |x| (x, y)));
    pixels.filter(|&(x, y)| *image.get_pixel(x, y) != background).fold(None, |bounds, (x, y)| {
        let Rect { x: left, y: top, .. } = bounds.unwrap_or(Rect::new(x, y, 1, 1));
        let (right, bottom) = bounds.map_or((0, 0), |b: Rect| (b.right(), b.bottom()));
        let (left, top) = (left.min(x), top.min(y));
        Some(Rect::new(left, top, right.max(x + 1) - left, bottom.max(y + 1) - top))
    })
}

/// Nothing is drawn in the margin: so nothing is cut off at the edge of the picture.
#[track_caller]
pub(crate) fn assert_margin_is_blank(image: &RgbImage) {
    let everything = Rect::new(0, 0, image.width(), image.height());
    if let Some(ink) = ink(image, everything, PAPER) {
        let inside = ink.x >= MARGIN
            && ink.y >= MARGIN
            && ink.right() + MARGIN <= image.width()
            && ink.bottom() + MARGIN <= image.height();
        assert!(inside, "{ink:?} of {}x{}", image.width(), image.height());
    }
}

/// `what` lies in the middle of `of` horizontally, to a pixel or two (a glyph need not fill its cell
/// evenly).
#[track_caller]
pub(crate) fn assert_centred(what: Rect, of: Rect) {
    let double_middle = |rect: Rect| 2 * rect.x + rect.width;
    let off = double_middle(what).abs_diff(double_middle(of));
    assert!(off <= 4, "{what:?} is off the middle of {of:?} by {off} half pixels");
}
