//! One picture of a class: two colours in stripes, under noise.

use crate::random::Random;

const SIDE: usize = 32;

/// Bytes of a picture: the planes red, green, blue of 32 × 32.
pub(crate) const PICTURE_LEN: usize = 3 * SIDE * SIDE;

/// Red, green and blue of each class's stripes; the colour between them is a third of it.
const COLOURS: [[u8; 3]; 10] = [
    [90, 150, 220],
    [200, 60, 60],
    [110, 180, 90],
    [190, 140, 90],
    [120, 90, 60],
    [210, 200, 110],
    [70, 200, 160],
    [160, 80, 180],
    [60, 90, 200],
    [200, 200, 200],
];

/// Largest change that noise makes to a value, either way.
const NOISE: i32 = 32;

/// Appends a picture of class `label`: stripes whose direction and width follow from the class,
/// whose place follows from `random`.
pub(crate) fn paint(label: u8, random: &mut Random, out: &mut Vec<u8>) {
    let class = usize::from(label);
    let width = 2 + class % 5;
    let shift = random.below(2 * width);
    for channel in COLOURS[class] {
        for y in 0..SIDE {
            for x in 0..SIDE {
                let across = [x, y, x + y][class % 3];
                let in_stripe = ((across + shift) / width).is_multiple_of(2);
                let plain = i32::from(if in_stripe { channel } else { channel / 3 });
                let noise = random.below(2 * NOISE as usize + 1) as i32 - NOISE;
                out.push((plain + noise).clamp(0, 255) as u8);
            }
        }
    }
}
