use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A shape, planes with many equal values and a NaN here and there, and an output gradient.
fn problem(max_padding: usize) -> impl Strategy<Value = (PoolShape, Vec<f32>, Vec<f32>)> {
    let shape = (1usize..9, 1usize..9, 1usize..5, 1usize..5, 0..=max_padding).prop_map(
        |(height, width, kernel, stride, padding)| PoolShape {
            height,
            width,
            kernel,
            stride,
            padding: padding.min(kernel / 2),
        },
    );
    let fits = shape.prop_filter("no window fits", |shape| shape.out_len() > 0);
    (fits, 1usize..5).prop_flat_map(|(shape, n_planes)| {
        let value = prop_oneof![
            20 => (-3i8..3).prop_map(f32::from),
            1 => Just(f32::NAN),
            1 => Just(f32::NEG_INFINITY),
        ];
        let gradient = (-8i8..8).prop_map(f32::from);
        (
            Just(shape),
            vec(value, n_planes * shape.plane_len()),
            vec(gradient, n_planes * shape.out_len()),
        )
    })
}

/// The pixels under window `at` of a plane, in row-major order.
fn seen(shape: PoolShape, at: usize) -> impl Iterator<Item = usize> {
    let (oy, ox) = (at / shape.out_width(), at % shape.out_width());
    (0..shape.kernel * shape.kernel).filter_map(move |k| {
        let inside = |at: usize, len| at.checked_sub(shape.padding).filter(|&at| at < len);
        let row = inside(oy * shape.stride + k / shape.kernel, shape.height)?;
        let column = inside(ox * shape.stride + k % shape.kernel, shape.width)?;
        Some(row * shape.width + column)
    })
}

/// Where the maximum lies by PyTorch's rule: the first of equals, the last NaN.
fn naive_argmax(plane: &[f32], shape: PoolShape, at: usize) -> usize {
    let mut best = None;
    for i in seen(shape, at) {
        if best.is_none_or(|b: usize| plane[i] > plane[b] || plane[i].is_nan()) {
            best = Some(i);
        }
    }
    best.unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn max_pool_matches_a_search_of_every_window((shape, x, dy) in problem(2)) {
        let (mut y, mut argmax) = (vec![0.0; dy.len()], vec![0; dy.len()]);
        max_pool(&x, &shape, &mut y, &mut argmax);
        let mut want_dx = vec![0.0; x.len()];
        for at in 0..dy.len() {
            let plane = at / shape.out_len();
            let values = &x[plane * shape.plane_len()..][..shape.plane_len()];
            let best = naive_argmax(values, shape, at % shape.out_len());
            prop_assert_eq!(argmax[at] as usize, best);
            prop_assert_eq!(y[at].to_bits(), values[best].to_bits());
            want_dx[plane * shape.plane_len() + best] += dy[at];
        }
        let mut dx = vec![f32::NAN; x.len()];
        max_pool_backward(&dy, &argmax, &shape, &mut dx);
        prop_assert_eq!(bits(&dx), bits(&want_dx));
    }

    #[test]
    fn avg_pool_matches_a_mean_of_every_window((shape, mut x, dy) in problem(0)) {
        x.iter_mut().for_each(|v| *v = if v.is_finite() { *v } else { 0.5 });
        let mut y = vec![0.0; dy.len()];
        avg_pool(&x, &shape, &mut y);
        let mut want_dx = vec![0.0; x.len()];
        let area = (shape.kernel * shape.kernel) as f32;
        for at in 0..dy.len() {
            let first = at / shape.out_len() * shape.plane_len();
            let sum: f32 = seen(shape, at % shape.out_len()).map(|i| x[first + i]).sum();
            prop_assert_eq!(y[at], sum / area);
            seen(shape, at % shape.out_len()).for_each(|i| want_dx[first + i] += dy[at] / area);
        }
        let mut dx = vec![f32::NAN; x.len()];
        avg_pool_backward(&dy, &shape, &mut dx);
        prop_assert_eq!(bits(&dx), bits(&want_dx));
    }
}

#[test]
fn planes_beyond_the_first_task_are_pooled_too() {
    let shape = PoolShape { height: 8, width: 8, kernel: 2, stride: 2, padding: 0 };
    let n_planes = 2 * shape.planes_per_task() + 3;
    let x: Vec<f32> = (0..n_planes * 64).map(|i| i as f32).collect();
    let (mut y, mut argmax) = (vec![0.0; n_planes * 16], vec![0; n_planes * 16]);
    max_pool(&x, &shape, &mut y, &mut argmax);
    assert!((0..n_planes).all(|plane| y[plane * 16 + 15] == (plane * 64 + 63) as f32));
    let mut dx = vec![f32::NAN; x.len()];
    max_pool_backward(&y, &argmax, &shape, &mut dx);
    assert!((0..n_planes).all(|plane| dx[plane * 64 + 63] == (plane * 64 + 63) as f32));
}

#[test]
#[should_panic(expected = "more than half")]
fn a_window_that_could_see_only_padding_is_refused() {
    let shape = PoolShape { height: 4, width: 4, kernel: 2, stride: 1, padding: 2 };
    max_pool(&[0.0; 16], &shape, &mut [0.0; 49], &mut [0; 49]);
}
