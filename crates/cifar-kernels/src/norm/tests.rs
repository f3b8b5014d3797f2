use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const EPS: f64 = 1e-5;

/// The values of one channel in the order of the images, in f64.
fn channel_of(x: &[f32], shape: NormShape, channel: usize) -> Vec<f64> {
    let inside = |i: &usize| i / shape.plane_len % shape.channels == channel;
    (0..x.len()).filter(inside).map(|i| f64::from(x[i])).collect()
}

fn mean_of(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn variance_of(values: &[f64]) -> f64 {
    let mean = mean_of(values);
    mean_of(&values.iter().map(|v| (v - mean) * (v - mean)).collect::<Vec<_>>())
}

fn close(got: f32, want: f64, scale: f64) -> bool {
    (f64::from(got) - want).abs() <= 2e-6 * scale.max(want.abs())
}

#[derive(Debug)]
struct Problem {
    shape: NormShape,
    x: Vec<f32>,
    dy: Vec<f32>,
    weight: Vec<f32>,
    bias: Vec<f32>,
}

fn problem() -> impl Strategy<Value = Problem> {
    let dims = (1usize..5, 1usize..5, prop_oneof![1usize..80, Just(128)], -30f32..30.0);
    dims.prop_filter("one value has no variance", |(n, _, len, _)| n * len > 1).prop_flat_map(
        |(n, channels, plane_len, offset)| {
            let shape = NormShape { channels, plane_len };
            let len = n * channels * plane_len;
            let values =
                vec(-2f32..2.0, len).prop_map(move |x| x.iter().map(|v| v + offset).collect());
            let per_channel = || vec(-2f32..2.0, channels);
            (values, vec(-2f32..2.0, len), per_channel(), per_channel())
                .prop_map(move |(x, dy, weight, bias)| Problem { shape, x, dy, weight, bias })
        },
    )
}

impl Problem {
    fn statistics(&self) -> (Vec<f32>, Vec<f32>) {
        let zeros = || vec![f32::NAN; self.shape.channels];
        let (mut mean, mut variance) = (zeros(), zeros());
        statistics(&self.x, self.shape, &mut mean, &mut variance);
        (mean, variance)
    }

    fn inv_std(variance: &[f32]) -> Vec<f32> {
        variance.iter().map(|&v| (1.0 / (f64::from(v) + EPS).sqrt()) as f32).collect()
    }

    /// `Σ dy·y` of one channel, in f64, with the statistics of `x`.
    fn objective(&self, x: &[f32], channel: usize, weight: f64, bias: f64) -> f64 {
        let values = channel_of(x, self.shape, channel);
        let (mean, std) = (mean_of(&values), (variance_of(&values) + EPS).sqrt());
        let dy = channel_of(&self.dy, self.shape, channel);
        values.iter().zip(dy).map(|(v, dy)| dy * ((v - mean) / std * weight + bias)).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn statistics_match_two_passes_in_f64(problem in problem()) {
        let (mean, variance) = problem.statistics();
        for channel in 0..problem.shape.channels {
            let values = channel_of(&problem.x, problem.shape, channel);
            // A mean near 0 is what is left of values up to 2 away from it.
            prop_assert!(close(mean[channel], mean_of(&values), 2.0));
            prop_assert!(close(variance[channel], variance_of(&values), 1e-3));
        }
    }

    #[test]
    fn apply_follows_the_formula(problem in problem()) {
        let (mean, variance) = problem.statistics();
        let inv_std = Problem::inv_std(&variance);
        let scale: Vec<f32> = inv_std.iter().zip(&problem.weight).map(|(s, w)| s * w).collect();
        let mut y = vec![f32::NAN; problem.x.len()];
        apply(&problem.x, problem.shape, &mean, &scale, &problem.bias, &mut y);
        for (i, y) in y.into_iter().enumerate() {
            let c = i / problem.shape.plane_len % problem.shape.channels;
            let std = (f64::from(variance[c]) + EPS).sqrt();
            let normalised = (f64::from(problem.x[i]) - f64::from(mean[c])) / std;
            let want = normalised * f64::from(problem.weight[c]) + f64::from(problem.bias[c]);
            prop_assert!(close(y, want, 10.0), "value {}: {} {}", i, y, want);
        }
    }

    #[test]
    fn parameter_gradients_match_the_definition(problem in problem()) {
        let (mean, variance) = problem.statistics();
        let inv_std = Problem::inv_std(&variance);
        let shape = problem.shape;
        let (mut dweight, mut dbias) = (vec![0.0; shape.channels], vec![0.0; shape.channels]);
        let forward = Normalised { mean: &mean, inv_std: &inv_std, weight: &problem.weight };
        parameter_gradients(&problem.x, &problem.dy, shape, forward, &mut dweight, &mut dbias);
        for c in 0..shape.channels {
            // The objective is linear in both, so a difference of any size is the derivative.
            let by_weight = problem.objective(&problem.x, c, 1.0, 0.0);
            let by_bias = problem.objective(&problem.x, c, 0.0, 1.0);
            let size = (problem.x.len() / shape.channels) as f64;
            // The mean is handed over in f32: its rounding counts in deviations.
            let rounding = f64::from(mean[c].abs() * inv_std[c]);
            let scale = (3.0 + rounding) * size;
            prop_assert!(close(dweight[c], by_weight, scale), "{} {}", dweight[c], by_weight);
            prop_assert!(close(dbias[c], by_bias, 3.0 * size));
        }
    }
}

/// Central differences need steps that f32 cannot take, so the objective is evaluated on f64
/// copies of the input.
#[test]
fn input_gradient_matches_finite_differences() {
    let shape = NormShape { channels: 2, plane_len: 3 };
    let x: Vec<f32> = (0..12).map(|i| ((i * 7 % 11) as f32 - 4.0) / 3.0).collect();
    let dy: Vec<f32> = (0..12).map(|i| ((i * 5 % 13) as f32 - 6.0) / 4.0).collect();
    let problem = Problem { shape, x, dy, weight: vec![1.5, -0.5], bias: vec![0.25, 1.0] };
    let (mean, variance) = problem.statistics();
    let inv_std = Problem::inv_std(&variance);
    let (mut dx, mut dweight, mut dbias) = ([0.0; 12], [0.0; 2], [0.0; 2]);
    let forward = Normalised { mean: &mean, inv_std: &inv_std, weight: &problem.weight };
    parameter_gradients(&problem.x, &problem.dy, shape, forward, &mut dweight, &mut dbias);
    input_gradient(&problem.x, &problem.dy, shape, forward, (&dweight, &dbias), &mut dx);
    for (i, &got) in dx.iter().enumerate() {
        let channel = i / 3 % 2;
        let objective = |step: f32| {
            let mut moved = problem.x.clone();
            moved[i] += step;
            let taken = f64::from(moved[i]) - f64::from(problem.x[i]);
            (taken, problem.objective(&moved, channel, f64::from(problem.weight[channel]), 0.0))
        };
        let ((up, high), (down, low)) = (objective(1e-3), objective(-1e-3));
        let want = (high - low) / (up - down);
        assert!((f64::from(got) - want).abs() < 1e-5, "value {i}: got {got}, want {want}");
    }
}

#[test]
fn a_large_mean_costs_no_digits_of_the_variance() {
    let shape = NormShape { channels: 1, plane_len: 1024 };
    let x: Vec<f32> = (0..4096).map(|i| 4096.0 + (i % 2) as f32).collect();
    let (mut mean, mut variance) = ([0.0], [0.0]);
    statistics(&x, shape, &mut mean, &mut variance);
    assert_eq!((mean[0], variance[0]), (4096.5, 0.25));
}

#[test]
fn a_constant_channel_has_no_variance() {
    let shape = NormShape { channels: 1, plane_len: 5 };
    let (mut mean, mut variance) = ([0.0], [9.0]);
    statistics(&[0.1; 15], shape, &mut mean, &mut variance);
    assert_eq!((mean[0], variance[0]), (0.1, 0.0));
}

#[test]
fn one_nan_spoils_its_channel_only() {
    let shape = NormShape { channels: 2, plane_len: 2 };
    let (mut mean, mut variance) = ([0.0; 2], [0.0; 2]);
    statistics(&[f32::NAN, 1.0, 3.0, 5.0], shape, &mut mean, &mut variance);
    assert!(mean[0].is_nan() && variance[0].is_nan());
    assert_eq!((mean[1], variance[1]), (4.0, 1.0));
}

#[test]
#[should_panic(expected = "no values")]
fn an_empty_batch_is_a_bug() {
    let shape = NormShape { channels: 1, plane_len: 4 };
    statistics(&[], shape, &mut [0.0], &mut [0.0]);
}
