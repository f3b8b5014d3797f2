//! Heat maps as colours, alone and over the picture they explain.

use image::{Rgb, RgbImage};

use crate::explain::HeatMap;
use crate::theme;

/// The colour map "magma" of matplotlib (van der Walt and Smith 2015, CC0) in 16 equal steps: dark
/// to light all the way, with even steps to the eye, for every kind of colour vision.
const MAGMA: [[u8; 3]; 16] = [
    [0, 0, 4],
    [11, 9, 36],
    [32, 17, 75],
    [59, 15, 112],
    [87, 21, 126],
    [114, 31, 129],
    [140, 41, 129],
    [168, 50, 125],
    [196, 60, 117],
    [222, 73, 104],
    [241, 96, 93],
    [250, 127, 94],
    [254, 159, 109],
    [254, 191, 132],
    [253, 222, 159],
    [252, 253, 191],
];

/// How much of the heat covers the picture.
const COVER: f64 = 0.5;

/// Colour of a value in `0..=1`: the lighter, the higher.
pub(crate) fn heat_colour(value: f64) -> Rgb<u8> {
    let position = value.clamp(0.0, 1.0) * (MAGMA.len() - 1) as f64;
    let lower = (position as usize).min(MAGMA.len() - 2);
    theme::mix(Rgb(MAGMA[lower]), Rgb(MAGMA[lower + 1]), position - lower as f64)
}

/// Planes red, green, blue of `height` by `width` bytes as a picture.
///
/// # Panics
/// If there are not three such planes.
pub fn rgb_image(planes: &[u8], height: usize, width: usize) -> RgbImage {
    let plane = height * width;
    assert_eq!(planes.len(), 3 * plane, "three planes of {height}x{width}");
    RgbImage::from_fn(width as u32, height as u32, |column, row| {
        let at = row as usize * width + column as usize;
        Rgb([planes[at], planes[plane + at], planes[2 * plane + at]])
    })
}

/// `heat` over `picture`, enlarged `scale` times: the picture in grey with crisp pixels, the heat
/// smoothed between its values. Where the heat is 0 the picture is merely darkened.
pub fn overlay(picture: &RgbImage, heat: &HeatMap, scale: u32) -> RgbImage {
    let size = (picture.width() * scale, picture.height() * scale);
    RgbImage::from_fn(size.0, size.1, |x, y| {
        let Rgb([r, g, b]) = *picture.get_pixel(x / scale, y / scale);
        // Luma of sRGB values (ITU-R BT.601).
        let grey = (0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b)).round();
        let value = f64::from(heat.at((x, y), size));
        theme::mix(Rgb([grey as u8; 3]), heat_colour(value), COVER)
    })
}

/// `heat` alone, one pixel a value.
pub(crate) fn heat_image(heat: &HeatMap) -> RgbImage {
    let size = (heat.width() as u32, heat.height() as u32);
    RgbImage::from_fn(size.0, size.1, |x, y| heat_colour(f64::from(heat.at((x, y), size))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::theme::luminance;

    #[test]
    fn more_heat_is_lighter_all_the_way() {
        let colours = (0..=150).map(|step| heat_colour(f64::from(step) / 150.0));
        let lightness: Vec<f64> = colours.map(luminance).collect();
        assert!(lightness.windows(2).all(|pair| pair[1] > pair[0]), "{lightness:?}");
        assert_eq!(heat_colour(5.0 / 15.0), Rgb([114, 31, 129]), "a step of the table");
    }

    #[test]
    fn an_overlay_is_the_picture_enlarged_and_lit_where_it_is_hot() {
        // Left half black, right half white; the heat is all on the lower left.
        let planes = [[0, 255, 0, 255]; 3].concat();
        let heat = HeatMap::new(2, 2, vec![0.0, 0.0, 7.0, 0.0]);
        let lit = overlay(&rgb_image(&planes, 2, 2), &heat, 10);
        assert_eq!(lit.dimensions(), (20, 20));
        let at = |x, y| *lit.get_pixel(x, y);
        assert_eq!(at(0, 0), theme::mix(Rgb([0; 3]), heat_colour(0.0), COVER));
        assert_eq!(at(19, 0), theme::mix(Rgb([255; 3]), heat_colour(0.0), COVER));
        assert_eq!(at(0, 19), theme::mix(Rgb([0; 3]), heat_colour(1.0), COVER));
        assert!(luminance(at(0, 9)) < luminance(at(0, 12)), "smooth between the values");
        assert!(luminance(at(9, 19)) < luminance(at(10, 19)), "crisp in the picture");
    }

    #[test]
    fn planes_become_colours() {
        let image =
            rgb_image(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18], 2, 3);
        assert_eq!((image.dimensions(), *image.get_pixel(2, 1)), ((3, 2), Rgb([6, 12, 18])));
    }
}
