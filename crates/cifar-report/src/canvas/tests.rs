use super::*;
use crate::probe::ink;
use crate::theme::{AXIS_TITLE, DATA, INK, LABEL, PAPER, SUBTITLE, TITLE};

fn sheet(rect: Rect) -> Rect {
    Rect::new(0, 0, rect.right() + 20, rect.bottom() + 20)
}

/// The picture of one line of text in `rect`, on a sheet that is larger on every side.
fn text(rect: Rect, text: &str, align: Align, style: TextStyle) -> RgbImage {
    let sheet = sheet(rect);
    let mut canvas = Canvas::new("", sheet.width, sheet.height);
    canvas.text(rect, text, align, style);
    canvas.into_drawing().to_image()
}

#[test]
fn a_picture_pixel_becomes_a_square_of_its_colour() {
    let pixels: Vec<u8> = (0..PICTURE_BYTES).map(|i| (i * 31 % 251) as u8).collect();
    let mut canvas = Canvas::new("", 110, 120);
    canvas.picture(5, 7, &pixels, 3);
    let image = canvas.into_drawing().to_image();
    for (x, y, &got) in image.enumerate_pixels() {
        let inside = (5..5 + 96).contains(&x) && (7..7 + 96).contains(&y);
        let want = if inside {
            let at = ((y - 7) / 3 * 32 + (x - 5) / 3) as usize;
            Rgb([pixels[at], pixels[1024 + at], pixels[2048 + at]])
        } else {
            PAPER
        };
        assert_eq!(got, want, "at ({x}, {y})");
    }
}

#[test]
fn text_stands_where_its_alignment_says() {
    let rect = Rect::new(20, 20, 120, 24);
    let bounds = |align| {
        let image = text(rect, "HHHH", align, LABEL);
        ink(&image, sheet(rect), PAPER).unwrap()
    };
    let (start, centre, end) = (bounds(Align::Start), bounds(Align::Centre), bounds(Align::End));
    let width = LABEL.width_of("HHHH");
    let free = rect.width - width;
    assert!(start.x >= rect.x && start.right() <= rect.x + width, "{start:?}");
    assert_eq!(centre, Rect { x: start.x + free / 2, ..start });
    assert_eq!(end, Rect { x: start.x + free, ..start });
}

#[test]
fn capitals_are_centred_between_top_and_bottom() {
    for style in [TITLE, SUBTITLE, LABEL, AXIS_TITLE] {
        let rect = Rect::new(20, 20, 60, 32);
        let image = text(rect, "H8", Align::Centre, style);
        let ink = ink(&image, sheet(rect), PAPER).unwrap();
        let (above, below) = (ink.y - rect.y, rect.bottom() - ink.bottom());
        // An anti-aliased row may stick out on one side.
        assert!(above.abs_diff(below) <= 2, "{style:?}: {above} above, {below} below");
    }
}

#[test]
fn text_is_shortened_to_its_rectangle() {
    for width in 0..100 {
        let rect = Rect::new(20, 20, width, 24);
        let image = text(rect, "automobile", Align::Centre, LABEL);
        let found = ink(&image, sheet(rect), PAPER);
        if let Some(ink) = found {
            assert!(ink.x >= rect.x && ink.right() <= rect.right(), "{ink:?} in {rect:?}");
        }
        assert_eq!(found.is_some(), width >= LABEL.char_width(), "{width} pixels");
    }
}

#[test]
fn upward_text_is_level_text_turned_to_the_left() {
    let (length, breadth) = (90, 25);
    for align in [Align::Start, Align::Centre, Align::End] {
        let level = text(Rect::new(0, 0, length, breadth), "true class", align, AXIS_TITLE);
        let mut canvas = Canvas::new("", breadth, length);
        canvas.text_upward(Rect::new(0, 0, breadth, length), "true class", align, AXIS_TITLE);
        let upward = canvas.into_drawing().to_image();
        for (x, y, pixel) in upward.enumerate_pixels() {
            assert_eq!(pixel, level.get_pixel(length - 1 - y, x), "({x}, {y}) {align:?}");
        }
    }
}

#[test]
fn characters_that_the_font_lacks_are_still_seen() {
    let rect = Rect::new(0, 0, 7, 24);
    let n_inked = |character: &str| {
        let image = text(rect, character, Align::Start, LABEL);
        image.pixels().filter(|&&pixel| pixel != PAPER).count()
    };
    assert_eq!(n_inked(" "), 0);
    assert_eq!(n_inked("…"), 3, "three dots");
    let (_, height) = LABEL.capitals();
    assert_eq!(n_inked("é"), 2 * height as usize + 2 * 3, "the outline of a box 5 wide");
}

#[test]
fn text_covers_fully_in_its_middle_and_partly_at_its_edges() {
    let rect = Rect::new(0, 0, 60, 32);
    let image = text(rect, "I", Align::Start, TITLE);
    assert!(image.pixels().any(|&pixel| pixel == INK));
    assert!(image.pixels().any(|&pixel| pixel != INK && pixel != PAPER), "anti-aliased");
}

#[test]
fn what_lies_outside_the_sheet_is_left_out() {
    let mut canvas = Canvas::new("", 10, 10);
    canvas.fill(Rect::new(8, 8, 40, 40), DATA);
    canvas.fill(Rect::new(30, 0, 40, 40), DATA);
    let image = canvas.drawing.to_image();
    assert_eq!((*image.get_pixel(8, 8), *image.get_pixel(7, 8)), (DATA, PAPER));
    canvas.picture(9, 9, &[7; PICTURE_BYTES], 3);
    canvas.text(Rect::new(5, 5, 100, 24), "text", Align::Start, LABEL);
    canvas.text_upward(Rect::new(5, 5, 2, 100), "text", Align::End, LABEL);
    let image = canvas.into_drawing().to_image();
    assert_eq!(*image.get_pixel(0, 0), PAPER);
    assert_ne!(*image.get_pixel(9, 9), DATA, "the part on the sheet is drawn");
}
