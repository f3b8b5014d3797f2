use image::RgbImage;

use crate::Drawing;
use crate::header::Header;
use crate::overlay::rgb_image;
use crate::theme::{GAP, MARGIN};

/// Side of a filter in the picture, at least.
const SIDE: u32 = 60;
const COLUMNS: u32 = 8;

/// The filters of a convolution that sees colours, each as a small picture: mid grey is a weight of
/// 0, full colour or black the largest weight of the layer, so that filters can be compared.
///
/// `weights`: `(K, 3, H, W)` in this order, `shape`: its four sizes.
///
/// # Panics
/// If there are no filters of three channels in `weights`.
pub fn first_layer_filters(title: &str, weights: &[f32], shape: [usize; 4]) -> Drawing {
    let [n_filters, channels, height, width] = shape;
    assert!(channels == 3 && !weights.is_empty(), "filters of shape {shape:?} see no colours");
    assert_eq!(weights.len(), n_filters * 3 * height * width, "weights of shape {shape:?}");
    let largest = largest_weight(weights);
    let header = Header { title, subtitle: format!("largest weight {largest:.3}") };
    let scale = SIDE.div_ceil(width.max(height) as u32);
    let (across, down) = (scale * width as u32 + GAP, scale * height as u32 + GAP);
    let n_columns = COLUMNS.min(n_filters as u32);
    let grid_width = n_columns * across - GAP;
    let content_width = grid_width.max(header.width());
    let n_rows = (n_filters as u32).div_ceil(n_columns);
    let height_of_all = header.bottom() + n_rows * down - GAP + MARGIN;
    let mut canvas = header.sheet(content_width + 2 * MARGIN, height_of_all);
    for (index, picture) in (0..).zip(filter_pictures(weights, shape)) {
        let left = MARGIN + index % n_columns * across;
        let top = header.bottom() + index / n_columns * down;
        canvas.image(left, top, picture, scale);
    }
    canvas.into_drawing()
}

/// Each filter as a picture with a pixel for each of its places.
pub(crate) fn filter_pictures(weights: &[f32], shape: [usize; 4]) -> Vec<RgbImage> {
    let [_, _, height, width] = shape;
    let largest = largest_weight(weights);
    let picture = |filter: &[f32]| {
        let planes: Vec<u8> = filter.iter().map(|&weight| shade(weight, largest)).collect();
        rgb_image(&planes, height, width)
    };
    weights.chunks_exact(3 * height * width).map(picture).collect()
}

/// The largest magnitude.
pub(crate) fn largest_weight(weights: &[f32]) -> f32 {
    weights.iter().fold(0f32, |most, weight| most.max(weight.abs()))
}

/// 1 to 255 for weights from `-largest` to `largest`.
fn shade(weight: f32, largest: f32) -> u8 {
    let share = if largest > 0.0 { weight / largest } else { 0.0 };
    (128.0 + 127.0 * share).round() as u8
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::probe::assert_margin_is_blank;

    #[test]
    fn every_weight_is_a_square_of_its_colour() {
        let mut weights = vec![0.0; 10 * 3 * 4];
        // Filter 9 stands second in the second row: its lower left weight, green.
        weights[9 * 12 + 4 + 2] = 0.5;
        weights[9 * 12 + 8 + 2] = -0.5;
        let picture = first_layer_filters("Filters", &weights, [10, 3, 2, 2]).to_image();
        assert_margin_is_blank(&picture);
        let header = Header { title: "Filters", subtitle: "largest weight 0.500".to_owned() };
        let (left, top) = (MARGIN + 60 + GAP, header.bottom() + 60 + GAP);
        for (x, y) in [(0, 30), (29, 59)] {
            assert_eq!(*picture.get_pixel(left + x, top + y), Rgb([128, 255, 1]));
        }
        assert_eq!(*picture.get_pixel(left + 30, top + 59), Rgb([128; 3]));
    }

    #[test]
    fn filters_that_are_all_zero_are_grey() {
        let picture = first_layer_filters("Filters", &[0.0; 3], [1, 3, 1, 1]).to_image();
        assert_margin_is_blank(&picture);
        let middle = picture.get_pixel(MARGIN + 30, picture.height() - MARGIN - 30);
        assert_eq!(*middle, Rgb([128; 3]));
    }
}
