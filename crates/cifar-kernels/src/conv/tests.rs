use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A shape with at least one window, a number of images and a number of filters.
fn case() -> impl Strategy<Value = (ConvShape, usize, usize)> {
    let axes = (1usize..4, 1usize..8, 1usize..8);
    let window = (1usize..5, 1usize..5, 1usize..4, 0usize..4);
    let shape =
        (axes, window).prop_map(|((channels, height, width), (kh, kw, stride, padding))| {
            let (kernel_height, kernel_width) = (kh, kw);
            ConvShape { channels, height, width, kernel_height, kernel_width, stride, padding }
        });
    let fits = shape.prop_filter("no window fits", |shape| shape.out_len() > 0);
    (fits, 1usize..4, 1usize..4)
}

/// Small whole numbers, of which every sum here is exact.
fn values(len: usize) -> impl Strategy<Value = Vec<f32>> {
    vec((-8i8..8).prop_map(f32::from), len)
}

fn problem() -> impl Strategy<Value = (ConvShape, usize, Vec<f32>, Vec<f32>, Vec<f32>)> {
    case().prop_flat_map(|(shape, n, k)| {
        let images = values(n * shape.image_len());
        let weight = values(k * shape.patch_len());
        let dy = values(n * k * shape.out_len());
        (Just(shape), Just(n), images, weight, dy)
    })
}

fn columns(images: &[f32], n: usize, shape: &ConvShape) -> Vec<f32> {
    let mut columns = vec![f32::NAN; shape.patch_len() * n * shape.out_len()];
    im2col(images, shape, &mut columns);
    columns
}

/// `Σ a[i, k]·b[k, j]`, given the two as functions.
fn product(
    (rows, inner, cols): (usize, usize, usize),
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let entry = |i, j| (0..inner).map(|k| a(i, k) * b(k, j)).sum();
    (0..rows * cols).map(|at| entry(at / cols, at % cols)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn weights_times_columns_is_the_convolution((shape, n, images, weight, _) in problem()) {
        let (k, patch, len) = (weight.len() / shape.patch_len(), shape.patch_len(), shape.out_len());
        let columns = columns(&images, n, &shape);
        let by_filter = product(
            (k, patch, n * len),
            |i, t| weight[i * patch + t],
            |t, j| columns[t * n * len + j],
        );
        let want = direct::forward(&images, &weight, &shape);
        for (at, want) in want.into_iter().enumerate() {
            let (image, filter, window) = (at / (k * len), at / len % k, at % len);
            prop_assert_eq!(by_filter[(filter * n + image) * len + window], want);
        }
    }

    #[test]
    fn folding_the_columns_gradient_is_the_images_gradient((shape, n, _, weight, dy) in problem()) {
        let (k, patch, len) = (weight.len() / shape.patch_len(), shape.patch_len(), shape.out_len());
        let columns = product(
            (patch, k, n * len),
            |t, i| weight[i * patch + t],
            |i, j| dy[(j / len * k + i) * len + j % len],
        );
        let mut got = vec![f32::NAN; n * shape.image_len()];
        col2im(&columns, &shape, &mut got);
        prop_assert_eq!(got, direct::backward_data(&dy, &weight, &shape));
    }

    #[test]
    fn output_gradient_times_columns_is_the_weights_gradient(
        (shape, n, images, weight, dy) in problem(),
    ) {
        let (k, patch, len) = (weight.len() / shape.patch_len(), shape.patch_len(), shape.out_len());
        let columns = columns(&images, n, &shape);
        let got = product(
            (k, n * len, patch),
            |i, j| dy[(j / len * k + i) * len + j % len],
            |j, t| columns[t * n * len + j],
        );
        prop_assert_eq!(got, direct::backward_weight(&images, &dy, &shape));
    }
}

#[test]
fn a_window_that_never_touches_a_column_of_the_image_sees_zeros() {
    // One pixel, padded to 5 × 5, under 3 × 3 windows two apart: the corners see only padding.
    let shape = ConvShape {
        channels: 1,
        height: 1,
        width: 1,
        kernel_height: 2,
        kernel_width: 2,
        stride: 3,
        padding: 2,
    };
    assert_eq!((shape.out_height(), shape.out_width()), (2, 2));
    assert_eq!(columns(&[7.0], 1, &shape), [0.0; 16]);
}

#[test]
#[should_panic(expected = "do not fit")]
fn columns_of_another_size_are_a_bug() {
    let shape = ConvShape {
        channels: 1,
        height: 3,
        width: 3,
        kernel_height: 3,
        kernel_width: 3,
        stride: 1,
        padding: 0,
    };
    im2col(&[0.0; 9], &shape, &mut [0.0; 8]);
}
