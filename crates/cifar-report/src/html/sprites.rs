//! Many small pictures in a few large ones, each stored once however often it is shown.

use std::collections::BTreeMap;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::CompressionType;
use image::{Rgb, RgbImage};

use crate::canvas::{PICTURE_BYTES, PICTURE_SIDE};
use crate::drawing::write_png;

/// Most pictures of a page: at no more than 4.2 kB each as text, they leave it under 5 MB.
const MAX_PICTURES: usize = 1000;
/// Pictures in a row of a sheet.
const COLUMNS: usize = 16;

/// The pictures of a page, on one sheet for each true class.
#[derive(Debug)]
pub(super) struct Sprites<'a> {
    pixels: &'a [u8],
    /// Samples of each sheet, in order.
    sheets: BTreeMap<usize, Vec<usize>>,
    places: BTreeMap<usize, Place>,
}

/// Where a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    sheet: usize,
    column: usize,
    row: usize,
}

impl Place {
    /// The class that shows the sheet.
    pub(super) fn css_class(self) -> String {
        format!("sheet-{}", self.sheet)
    }

    /// The properties that move it to the picture.
    pub(super) fn css(self) -> String {
        format!("--x:{};--y:{}", self.column, self.row)
    }
}

impl<'a> Sprites<'a> {
    /// No picture yet; `pixels` holds 3072 bytes for each sample.
    pub(super) fn new(pixels: &'a [u8]) -> Self {
        Self { pixels, sheets: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// The place of a sample's picture on the sheet of its class; none once the page is full.
    pub(super) fn place(&mut self, sample: usize, class: usize) -> Option<Place> {
        if let Some(&place) = self.places.get(&sample) {
            return Some(place);
        }
        if self.places.len() == MAX_PICTURES {
            return None;
        }
        let sheet = self.sheets.entry(class).or_default();
        let place =
            Place { sheet: class, column: sheet.len() % COLUMNS, row: sheet.len() / COLUMNS };
        sheet.push(sample);
        self.places.insert(sample, place);
        Some(place)
    }

    /// The sheets as CSS.
    pub(super) fn css(&self) -> String {
        let rule = |(class, samples): (&usize, &Vec<usize>)| {
            let png = self.png(samples);
            format!(
                ".sheet-{class}{{--columns:{};background-image:url(data:image/png;base64,{})}}\n",
                COLUMNS.min(samples.len()),
                Base64Display::new(&png, &STANDARD)
            )
        };
        self.sheets.iter().map(rule).collect()
    }

    fn png(&self, samples: &[usize]) -> Vec<u8> {
        let (columns, rows) = (COLUMNS.min(samples.len()), samples.len().div_ceil(COLUMNS));
        let (width, height) = (columns as u32 * PICTURE_SIDE, rows as u32 * PICTURE_SIDE);
        let sheet = RgbImage::from_fn(width, height, |x, y| {
            let index = (y / PICTURE_SIDE) as usize * COLUMNS + (x / PICTURE_SIDE) as usize;
            let Some(sample) = samples.get(index) else { return Rgb([0; 3]) };
            let picture = &self.pixels[sample * PICTURE_BYTES..][..PICTURE_BYTES];
            let at = (y % PICTURE_SIDE * PICTURE_SIDE + x % PICTURE_SIDE) as usize;
            Rgb([0, 1, 2].map(|plane| picture[plane * PICTURE_BYTES / 3 + at]))
        });
        let mut png = Vec::new();
        // Writing to memory does not fail.
        let written = write_png(&sheet, &mut png, CompressionType::Best);
        debug_assert!(written.is_ok());
        png
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_stored_once_and_stands_where_its_place_says() {
        let pixels: Vec<u8> = (0..20_u8).flat_map(|sample| [sample; PICTURE_BYTES]).collect();
        let mut sprites = Sprites::new(&pixels);
        for sample in 0..18 {
            sprites.place(sample, 4);
        }
        let place = sprites.place(17, 4).unwrap();
        assert_eq!(place, Place { sheet: 4, column: 1, row: 1 });
        assert_eq!((place.css_class(), place.css()), ("sheet-4".into(), "--x:1;--y:1".into()));
        assert_eq!(sprites.place(19, 2), Some(Place { sheet: 2, column: 0, row: 0 }));
        let sheet = image::load_from_memory(&sprites.png(&sprites.sheets[&4])).unwrap().to_rgb8();
        assert_eq!(sheet.dimensions(), (16 * 32, 2 * 32));
        assert_eq!(
            (*sheet.get_pixel(32, 32), *sheet.get_pixel(63, 63)),
            (Rgb([17; 3]), Rgb([17; 3]))
        );
        assert_eq!(sprites.css().matches("data:image/png").count(), 2);
    }

    #[test]
    fn a_full_page_takes_no_more_pictures_but_knows_those_it_has() {
        let mut sprites = Sprites::new(&[]);
        let n_placed = (0..2000).filter(|&sample| sprites.place(sample, 0).is_some()).count();
        assert_eq!(n_placed, MAX_PICTURES);
        assert!(sprites.place(0, 0).is_some() && sprites.place(1999, 0).is_none());
    }
}
