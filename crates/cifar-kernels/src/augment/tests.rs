use proptest::prelude::*;

use super::*;
use crate::element::bf16;
use crate::test_values::narrow;

const SIZE: ImageSize = ImageSize { channels: 3, height: 32, width: 32 };

/// The specification: pad the image on every side, cut the window out, mirror it.
fn naive_crop_flip(src: &[u8], size: ImageSize, window: CropFlip) -> Vec<u8> {
    let mut out = Vec::new();
    for channel in 0..size.channels {
        for y in 0..size.height {
            for x in 0..size.width {
                let x = if window.flip { size.width - 1 - x } else { x };
                let mirror = |at: i32, len: usize| match window.border {
                    Border::Zero => at,
                    Border::Reflect => {
                        let last = len as i32 - 1;
                        last - (last - at.abs()).abs()
                    }
                };
                let row = mirror(y as i32 + window.dy, size.height);
                let column = mirror(x as i32 + window.dx, size.width);
                let inside = (0..size.height as i32).contains(&row)
                    && (0..size.width as i32).contains(&column);
                let index = (channel * size.height) as i32 + row;
                out.push(if inside {
                    src[(index * size.width as i32 + column) as usize]
                } else {
                    0
                });
            }
        }
    }
    out
}

fn case() -> impl Strategy<Value = (ImageSize, Vec<u8>, CropFlip)> {
    (1usize..4, 1usize..9, 1usize..9, any::<bool>()).prop_flat_map(
        |(channels, height, width, zero)| {
            let size = ImageSize { channels, height, width };
            let (border, beyond) = if zero { (Border::Zero, 3) } else { (Border::Reflect, -1) };
            let reach = |len: usize| -(len as i32 + beyond)..=len as i32 + beyond;
            let window = (reach(height), reach(width), any::<bool>())
                .prop_map(move |(dy, dx, flip)| CropFlip { dy, dx, flip, border });
            (Just(size), prop::collection::vec(any::<u8>(), size.len()), window)
        },
    )
}

proptest! {
    #[test]
    fn crop_flip_matches_padding_then_cutting((size, src, window) in case()) {
        let mut got = vec![1; size.len()];
        crop_flip(&src, size, window, &mut got);
        prop_assert_eq!(got, naive_crop_flip(&src, size, window));
    }

    #[test]
    fn one_pass_equals_crop_then_normalise((size, src, window) in case()) {
        let mean: Vec<f32> = (0..size.channels).map(|c| 0.4 + 0.05 * c as f32).collect();
        let std: Vec<f32> = (0..size.channels).map(|c| 0.2 + 0.03 * c as f32).collect();
        let mut cropped = vec![0; size.len()];
        let (mut want, mut got) = (vec![0.0; size.len()], vec![0.0; size.len()]);
        crop_flip(&src, size, window, &mut cropped);
        normalise(&cropped, size.plane_len(), &mean, &std, &mut want);
        crop_flip_normalise(&src, size, window, &mean, &std, &mut got);
        prop_assert_eq!(&got, &want);
        let mut rounded = vec![bf16::ONE; size.len()];
        crop_flip_normalise(&src, size, window, &mean, &std, &mut rounded);
        prop_assert_eq!(&rounded, &narrow::<bf16>(&want));
        normalise(&cropped, size.plane_len(), &mean, &std, &mut rounded);
        prop_assert_eq!(rounded, narrow::<bf16>(&want));
    }

    #[test]
    fn cutout_zeroes_the_square_and_nothing_else(
        height in 1usize..9, width in 1usize..9, top in -9i32..12, left in -9i32..12, side in 0usize..9,
    ) {
        let size = ImageSize { channels: 2, height, width };
        let mut image = vec![1.0; size.len()];
        let mut rounded = narrow::<bf16>(&image);
        cutout(&mut image, size, top, left, side);
        cutout(&mut rounded, size, top, left, side);
        prop_assert_eq!(rounded, narrow::<bf16>(&image));
        for (i, value) in image.into_iter().enumerate() {
            let (y, x) = ((i / width % height) as i32, (i % width) as i32);
            let cut = (top..top + side as i32).contains(&y) && (left..left + side as i32).contains(&x);
            prop_assert_eq!(value == 0.0, cut);
        }
    }
}

#[test]
fn flip_moves_the_left_column_to_the_right_of_the_same_channel() {
    let mut src = vec![0; SIZE.len()];
    src[2 * 1024 + 5 * 32] = 7;
    let mut dst = vec![0; SIZE.len()];
    let window = CropFlip { dy: 0, dx: 0, flip: true, border: Border::Zero };
    crop_flip(&src, SIZE, window, &mut dst);
    assert_eq!(dst.iter().position(|&v| v != 0), Some(2 * 1024 + 5 * 32 + 31));
}

#[test]
fn windows_and_squares_of_any_size_stay_inside_the_image() {
    for far in [i32::MIN, i32::MAX] {
        let window = CropFlip { dy: far, dx: far, flip: false, border: Border::Zero };
        let mut dst = vec![1; SIZE.len()];
        crop_flip(&vec![9; SIZE.len()], SIZE, window, &mut dst);
        assert!(dst.iter().all(|&v| v == 0));
        let mut image = vec![1.0; SIZE.len()];
        cutout(&mut image, SIZE, far, far, 5);
        assert!(image.iter().all(|&v| v == 1.0));
        cutout(&mut image, SIZE, i32::MIN, 0, usize::MAX);
        assert!(image.iter().all(|&v| v == 0.0));
    }
}

#[test]
fn reflection_does_not_repeat_the_edge() {
    let size = ImageSize { channels: 1, height: 1, width: 4 };
    let mut dst = [0; 4];
    let window = CropFlip { dy: 0, dx: -2, flip: false, border: Border::Reflect };
    crop_flip(&[10, 20, 30, 40], size, window, &mut dst);
    assert_eq!(dst, [30, 20, 10, 20]);
}

#[test]
fn normalise_divides_rather_than_multiplies_by_the_inverse() {
    let mut dst = [0.0; 256];
    let src: Vec<u8> = (0..=255).collect();
    normalise(&src, 256, &[0.4914], &[0.247], &mut dst);
    for (value, got) in (0u8..=255).zip(dst) {
        let scaled: f32 = f32::from(value) / 255.0;
        let centred: f32 = scaled - 0.4914;
        assert_eq!(got.to_bits(), (centred / 0.247).to_bits(), "value {value}");
    }
}

#[test]
#[should_panic(expected = "reflected border")]
fn reflecting_further_than_the_image_is_a_bug() {
    let size = ImageSize { channels: 1, height: 2, width: 2 };
    let window = CropFlip { dy: 2, dx: 0, flip: false, border: Border::Reflect };
    crop_flip(&[0; 4], size, window, &mut [0; 4]);
}
