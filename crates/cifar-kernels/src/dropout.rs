//! Dropout: some of the values are left out at random (Srivastava et al. 2014, "Dropout: a simple
//! way to prevent neural networks from overfitting").
//!
//! What is left out of an image follows from its key and the place in it alone, so a pass can be
//! done again, in other parts, with other values beside them and on any number of threads.

use rayon::prelude::*;

use crate::element::Element;
use crate::random::{GOLDEN, split_mix64, unit};

/// What a value is multiplied by: 0 with probability `p`, in `0..1`, else `1 / (1 - p)`, so that the
/// mean stays, as `torch.nn.functional.dropout` has it. `at`: its index in an image `(C, H, W)`.
#[inline]
pub fn factor(p: f64, key: u64, at: usize) -> f32 {
    let draw = split_mix64(key.wrapping_add((at as u64).wrapping_mul(GOLDEN)));
    if unit(draw) < p { 0.0 } else { (1.0 / (1.0 - p)) as f32 }
}

/// Multiplies each of `values`, `(N, H, W, C)`, by its [`factor`]; `keys`: one for each image. A NaN
/// stays NaN. The gradient of the input is the same function of that of the result.
///
/// # Panics
/// If `values` are not as many whole images, or pixels, as there are keys and channels for.
pub fn apply<E: Element>(p: f64, keys: &[u64], channels: usize, values: &mut [E]) {
    let image_len = values.len().checked_div(keys.len()).unwrap_or(0);
    let fits = keys.len() * image_len == values.len() && image_len.is_multiple_of(channels);
    assert!(fits, "dropout: {} values for {} keys", values.len(), keys.len());
    let n_pixels = image_len / channels;
    values.par_chunks_mut(image_len.max(1)).zip(keys).for_each(|(image, &key)| {
        for (pixel, values) in image.chunks_exact_mut(channels).enumerate() {
            for (channel, value) in values.iter_mut().enumerate() {
                let factor = factor(p, key, channel * n_pixels + pixel);
                *value = E::from_f32(value.to_f32() * factor);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::bf16;

    const KEYS: [u64; 3] = [3, 4, 0xdead_beef];

    #[test]
    fn as_many_are_left_out_as_asked_for_and_the_mean_stays() {
        for p in [0.1, 0.5, 0.9] {
            let mut values = vec![1.0f32; 3 * 20_000];
            apply(p, &KEYS, 20_000, &mut values);
            let n = values.len() as f64;
            let zeros = values.iter().filter(|&&value| value == 0.0).count() as f64 / n;
            // Five standard deviations of a share.
            assert!((zeros - p).abs() < 5.0 * (p * (1.0 - p) / n).sqrt(), "{zeros} for {p}");
            let kept = (1.0 / (1.0 - p)) as f32;
            assert!(values.iter().all(|&value| value == 0.0 || value == kept));
        }
    }

    #[test]
    fn images_differ_and_neighbours_are_independent() {
        let mut values = vec![1.0f32; 3 * 10_000];
        apply(0.5, &KEYS, 10_000, &mut values);
        let images: Vec<&[f32]> = values.chunks_exact(10_000).collect();
        let agree = |a: &[f32], b: &[f32]| a.iter().zip(b).filter(|(a, b)| a == b).count();
        // 5,000 expected, standard deviation 50.
        assert!(agree(images[0], images[1]).abs_diff(5000) < 250);
        assert!(agree(images[1], images[2]).abs_diff(5000) < 250);
        assert!(agree(&images[0][1..], &images[0][..9999]).abs_diff(5000) < 250);
    }

    #[test]
    fn what_is_left_out_depends_on_the_place_in_the_image_alone() {
        let (channels, n_pixels) = (5, 7);
        let mut maps = vec![1.0f32; 3 * channels * n_pixels];
        apply(0.4, &KEYS, channels, &mut maps);
        let mut second = vec![1.0f32; channels * n_pixels];
        apply(0.4, &KEYS[1..2], channels, &mut second);
        assert_eq!(maps[35..70], second);
        let mut vector = vec![1.0f32; channels * n_pixels];
        apply(0.4, &KEYS[1..2], channels * n_pixels, &mut vector);
        for channel in 0..channels {
            for pixel in 0..n_pixels {
                let map = second[pixel * channels + channel];
                assert_eq!(map, vector[channel * n_pixels + pixel]);
            }
        }
    }

    #[test]
    fn a_probability_of_zero_changes_nothing_and_nan_travels() {
        let mut values = [1.5f32, f32::NAN, -0.25, f32::INFINITY];
        apply(0.0, &[9], 4, &mut values);
        assert!(values[0] == 1.5 && values[1].is_nan() && values[3] == f32::INFINITY);
        let mut all = [bf16::NAN; 64];
        apply(0.5, &[9], 64, &mut all);
        assert!(all.iter().all(|value| value.is_nan()));
        apply::<f32>(0.5, &[], 4, &mut []);
    }

    #[test]
    #[should_panic(expected = "dropout: 10 values for 3 keys")]
    fn values_that_are_no_whole_images_are_refused() {
        apply(0.5, &KEYS, 2, &mut [1.0f32; 10]);
    }
}
