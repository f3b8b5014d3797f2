//! A drawing as pixels.

use image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::get_raster;

use crate::drawing::{DASHES, Drawing, Mark, Path, Point};
use crate::rect::Rect;
use crate::text::{ELLIPSIS, TextLine, TextStyle};
use crate::theme;

pub(crate) fn draw(drawing: &Drawing) -> RgbImage {
    let image = RgbImage::from_pixel(drawing.width, drawing.height, theme::PAPER);
    let mut sheet = Sheet { image };
    for mark in &drawing.marks {
        sheet.draw(mark);
    }
    sheet.image
}

struct Sheet {
    image: RgbImage,
}

impl Sheet {
    fn draw(&mut self, mark: &Mark) {
        match mark {
            Mark::Fill { rect, colour } => self.fill(*rect, *colour),
            Mark::Path(path) => self.stroke(path),
            Mark::Dot { centre, radius, colour } => {
                self.shape([(*centre, *centre)].into_iter(), *radius, *colour)
            }
            Mark::Text(line) => self.text(line),
            Mark::Picture { x, y, scale, pixels } => {
                for (column, row, &colour) in pixels.enumerate_pixels() {
                    let square = Rect::new(x + column * scale, y + row * scale, *scale, *scale);
                    self.fill(square, colour);
                }
            }
        }
    }

    fn fill(&mut self, rect: Rect, colour: Rgb<u8>) {
        for y in rect.y..rect.bottom().min(self.image.height()) {
            for x in rect.x..rect.right().min(self.image.width()) {
                self.image.put_pixel(x, y, colour);
            }
        }
    }

    fn stroke(&mut self, path: &Path) {
        let segments = path.points.windows(2).map(|pair| (pair[0], pair[1]));
        let (half, colour) = (path.stroke.width / 2.0, path.stroke.colour);
        if path.stroke.dashed {
            self.shape(segments.flat_map(dashes), half, colour);
        } else {
            self.shape(segments, half, colour);
        }
    }

    /// All that lies within `radius` of one of the `segments`, in one coat: where segments meet,
    /// nothing is painted twice.
    fn shape(
        &mut self,
        segments: impl Iterator<Item = (Point, Point)>,
        radius: f64,
        colour: Rgb<u8>,
    ) {
        let (width, height) = self.image.dimensions();
        let mut coverage = vec![0.0_f32; width as usize * height as usize];
        for (from, to) in segments {
            let reach = radius + 1.0;
            let span = |a: f64, b: f64, end: u32| {
                let first = (a.min(b) - reach).max(0.0) as u32;
                first..((a.max(b) + reach).max(0.0) as u32 + 1).min(end)
            };
            for y in span(from.1, to.1, height) {
                for x in span(from.0, to.0, width) {
                    let centre = (f64::from(x) + 0.5, f64::from(y) + 0.5);
                    let inside = radius + 0.5 - distance(centre, from, to);
                    let cell = &mut coverage[(y * width + x) as usize];
                    *cell = cell.max(inside.clamp(0.0, 1.0) as f32);
                }
            }
        }
        for (pixel, covered) in self.image.pixels_mut().zip(coverage) {
            if covered > 0.0 {
                *pixel = theme::mix(*pixel, colour, f64::from(covered));
            }
        }
    }

    fn text(&mut self, line: &TextLine) {
        let mut start = line.start;
        for character in line.text.chars() {
            glyph(character, line.style, |x, y, coverage| {
                let (along, across) = (start + i64::from(x), line.top + i64::from(y));
                let (x, y) = line.pixel(along, across);
                self.blend(x, y, line.style.colour, coverage);
            });
            start += i64::from(line.style.char_width());
        }
    }

    fn blend(&mut self, x: i64, y: i64, colour: Rgb<u8>, coverage: u8) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if let Some(pixel) = self.image.get_pixel_mut_checked(x, y) {
            *pixel = theme::mix(*pixel, colour, f64::from(coverage) / 255.0);
        }
    }
}

/// The dashes of one straight line.
fn dashes((from, to): (Point, Point)) -> impl Iterator<Item = (Point, Point)> {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let [dash, gap] = DASHES;
    let at = move |along: f64| {
        let share = (along / length).min(1.0);
        (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
    };
    let n_dashes = (length / (dash + gap)).ceil() as usize;
    (0..n_dashes).map(move |index| {
        let start = index as f64 * (dash + gap);
        (at(start), at(start + dash))
    })
}

/// Distance of `point` from the straight line between `from` and `to`.
fn distance(point: Point, from: Point, to: Point) -> f64 {
    let along = (to.0 - from.0, to.1 - from.1);
    let offset = (point.0 - from.0, point.1 - from.1);
    let squared = along.0 * along.0 + along.1 * along.1;
    let share = if squared > 0.0 {
        ((offset.0 * along.0 + offset.1 * along.1) / squared).clamp(0.0, 1.0)
    } else {
        0.0
    };
    (offset.0 - share * along.0).hypot(offset.1 - share * along.1)
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
mod tests {
    use super::*;
    use crate::canvas::Canvas;
    use crate::drawing::Stroke;
    use crate::probe::ink;
    use crate::theme::{DATA, PAPER};

    const SHEET: Rect = Rect { x: 0, y: 0, width: 60, height: 40 };

    fn stroked(points: &[Point], width: f64, dashed: bool) -> RgbImage {
        let mut canvas = Canvas::new("", SHEET.width, SHEET.height);
        canvas.path("", points.to_vec(), Stroke { colour: DATA, width, dashed });
        canvas.into_drawing().to_image()
    }

    #[test]
    fn a_level_line_covers_exactly_its_rows() {
        let image = stroked(&[(10.0, 20.0), (50.0, 20.0)], 2.0, false);
        let bounds = ink(&image, SHEET, PAPER).unwrap();
        assert_eq!((bounds.y, bounds.height), (19, 2));
        assert_eq!((*image.get_pixel(30, 19), *image.get_pixel(30, 20)), (DATA, DATA));
        assert!(bounds.x >= 8 && bounds.right() <= 52, "round ends: {bounds:?}");
    }

    #[test]
    fn where_segments_meet_the_colour_stays() {
        let bent = stroked(&[(10.0, 10.0), (30.0, 25.0), (30.0, 25.0), (50.0, 10.0)], 4.0, false);
        assert_eq!(*bent.get_pixel(30, 25), DATA);
        let partly = |image: &RgbImage| {
            image.pixels().filter(|&&pixel| pixel != PAPER && pixel != DATA).count()
        };
        let twice = stroked(&[(10.0, 10.0), (50.0, 30.0), (10.0, 10.0)], 2.0, false);
        assert_eq!(twice, stroked(&[(10.0, 10.0), (50.0, 30.0)], 2.0, false));
        assert!(partly(&twice) > 20, "edges are anti-aliased");
    }

    #[test]
    fn a_dashed_line_has_gaps() {
        let image = stroked(&[(0.5, 20.0), (60.0, 20.0)], 2.0, true);
        let inked: Vec<bool> = (0..60).map(|x| *image.get_pixel(x, 20) != PAPER).collect();
        let n_starts = inked.windows(2).filter(|pair| !pair[0] && pair[1]).count();
        assert!((4..=6).contains(&n_starts), "{inked:?}");
    }

    #[test]
    fn points_off_the_sheet_and_without_length_do_no_harm() {
        stroked(&[(-50.0, -50.0), (500.0, 700.0)], 2.0, true);
        let image = stroked(&[(20.0, 20.0), (20.0, 20.0)], 4.0, false);
        let bounds = ink(&image, SHEET, PAPER).unwrap();
        assert!(bounds.width <= 6 && bounds.height <= 6, "{bounds:?}");
    }
}
