//! Many small pictures in a few large ones, each stored once however often it is shown.

use std::collections::BTreeMap;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::CompressionType;
use image::{RgbImage, imageops};

use crate::drawing::write_png;

/// Pictures in a row of a sheet.
const COLUMNS: usize = 16;

/// Pictures of one kind on numbered sheets. Those of a sheet are squares of one size.
pub(super) struct Sprites<'a> {
    kind: &'static str,
    most: usize,
    picture: Box<Source<'a>>,
    /// Numbers of the pictures on each sheet, in order.
    sheets: BTreeMap<usize, Vec<usize>>,
    places: BTreeMap<(usize, usize), Place>,
}

/// The picture with a number on a sheet: `(sheet, number)`.
type Source<'a> = dyn Fn(usize, usize) -> RgbImage + 'a;

/// Where a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    kind: &'static str,
    sheet: usize,
    column: usize,
    row: usize,
}

impl Place {
    /// The class that shows the sheet.
    pub(super) fn css_class(self) -> String {
        format!("{}-{}", self.kind, self.sheet)
    }

    /// The properties that move it to the picture.
    pub(super) fn css(self) -> String {
        format!("--x:{};--y:{}", self.column, self.row)
    }
}

impl<'a> Sprites<'a> {
    /// No picture yet, and never more than `most`; `kind` tells their sheets from others'.
    pub(super) fn new(
        kind: &'static str,
        most: usize,
        picture: impl Fn(usize, usize) -> RgbImage + 'a,
    ) -> Self {
        let (sheets, places) = (BTreeMap::new(), BTreeMap::new());
        Self { kind, most, picture: Box::new(picture), sheets, places }
    }

    /// The place of picture `number` of `sheet`; none once there are as many as there may be.
    pub(super) fn place(&mut self, sheet: usize, number: usize) -> Option<Place> {
        if let Some(&place) = self.places.get(&(sheet, number)) {
            return Some(place);
        }
        if self.places.len() == self.most {
            return None;
        }
        let numbers = self.sheets.entry(sheet).or_default();
        let (column, row) = (numbers.len() % COLUMNS, numbers.len() / COLUMNS);
        let place = Place { kind: self.kind, sheet, column, row };
        numbers.push(number);
        self.places.insert((sheet, number), place);
        Some(place)
    }

    /// The sheets as CSS.
    pub(super) fn css(&self) -> String {
        let rule = |(&sheet, numbers): (&usize, &Vec<usize>)| {
            let png = self.png(sheet, numbers);
            format!(
                ".{}-{sheet}{{--columns:{};background-image:url(data:image/png;base64,{})}}\n",
                self.kind,
                COLUMNS.min(numbers.len()),
                Base64Display::new(&png, &STANDARD)
            )
        };
        self.sheets.iter().map(rule).collect()
    }

    fn png(&self, sheet: usize, numbers: &[usize]) -> Vec<u8> {
        let pictures: Vec<RgbImage> =
            numbers.iter().map(|&number| (self.picture)(sheet, number)).collect();
        let side = pictures.first().map_or(0, RgbImage::width);
        let (columns, rows) = (COLUMNS.min(numbers.len()), numbers.len().div_ceil(COLUMNS));
        let mut whole = RgbImage::new(columns as u32 * side, rows as u32 * side);
        for (index, picture) in pictures.iter().enumerate() {
            let (x, y) = ((index % COLUMNS) as u32 * side, (index / COLUMNS) as u32 * side);
            imageops::replace(&mut whole, picture, x.into(), y.into());
        }
        let mut png = Vec::new();
        // Writing to memory does not fail.
        let written = write_png(&whole, &mut png, CompressionType::Best);
        debug_assert!(written.is_ok());
        png
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_picture_is_stored_once_and_stands_where_its_place_says() {
        let flat = |_, number: usize| RgbImage::from_pixel(32, 32, Rgb([number as u8; 3]));
        let mut sprites = Sprites::new("image", 100, flat);
        for number in 0..18 {
            sprites.place(4, number);
        }
        let place = sprites.place(4, 17).unwrap();
        assert_eq!(place, Place { kind: "image", sheet: 4, column: 1, row: 1 });
        assert_eq!((place.css_class(), place.css()), ("image-4".into(), "--x:1;--y:1".into()));
        let other = sprites.place(2, 17).unwrap();
        assert_eq!(other, Place { kind: "image", sheet: 2, column: 0, row: 0 });
        let sheet =
            image::load_from_memory(&sprites.png(4, &sprites.sheets[&4])).unwrap().to_rgb8();
        assert_eq!(sheet.dimensions(), (16 * 32, 2 * 32));
        assert_eq!(
            (*sheet.get_pixel(32, 32), *sheet.get_pixel(63, 63)),
            (Rgb([17; 3]), Rgb([17; 3]))
        );
        assert_eq!(sprites.css().matches("data:image/png").count(), 2);
    }

    #[test]
    fn a_full_page_takes_no_more_pictures_but_knows_those_it_has() {
        let mut sprites = Sprites::new("image", 30, |_, _| RgbImage::new(1, 1));
        let n_placed = (0..50).filter(|&number| sprites.place(0, number).is_some()).count();
        assert_eq!(n_placed, 30);
        assert!(sprites.place(0, 0).is_some() && sprites.place(0, 49).is_none());
    }
}
