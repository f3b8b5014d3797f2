//! Every operation's gradient against finite differences.

use candle_core::{Device, Result, Tensor};
use proptest::prelude::*;

use crate::testing::{direction, gradients, noise, values};
use crate::{Activation, activate, conv_bn_act, cross_entropy, global_avg_pool2d, max_pool2d};
use crate::{Conv2dParams, avg_pool2d, batch_norm_eval, batch_norm_train, conv2d};

/// Compares each gradient of `Σ f·r` with a central difference of width `2·step`; the sum is taken
/// in f64, so what is lost is the rounding of `f` itself.
fn check(inputs: &[Tensor], step: f32, tolerance: f64, f: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let (_, gradients) = gradients(inputs, &f);
    let objective = |inputs: &[Tensor]| -> f64 {
        let y = f(inputs).unwrap();
        let products = values(&y).into_iter().zip(values(&direction(&y)));
        products.map(|(y, r)| f64::from(y) * f64::from(r)).sum()
    };
    for (which, (input, gradient)) in inputs.iter().zip(&gradients).enumerate() {
        for (i, got) in values(gradient).into_iter().enumerate() {
            let moved = |by: f32| {
                let mut moved = values(input);
                moved[i] += by;
                let width = f64::from(moved[i]) - f64::from(values(input)[i]);
                let mut inputs = inputs.to_vec();
                inputs[which] = Tensor::from_vec(moved, input.shape(), &Device::Cpu).unwrap();
                (width, objective(&inputs))
            };
            let ((up, high), (down, low)) = (moved(step), moved(-step));
            let want = (high - low) / (up - down);
            assert!(
                (f64::from(got) - want).abs() <= tolerance * want.abs().max(1.0),
                "input {which}, value {i}: got {got}, want {want}"
            );
        }
    }
}

/// Values at least `2 / len` apart, in no order, so that a small step changes no maximum and no
/// sign.
fn distinct(dims: &[usize], seed: u32) -> Tensor {
    let noise = values(&noise(dims, seed));
    let mut order: Vec<usize> = (0..noise.len()).collect();
    order.sort_by(|&a, &b| noise[a].total_cmp(&noise[b]));
    let mut spaced = vec![0.0; noise.len()];
    for (rank, at) in order.into_iter().enumerate() {
        spaced[at] = (2 * rank + 1) as f32 / noise.len() as f32 - 1.0;
    }
    spaced.iter_mut().filter(|v| **v == 0.0).for_each(|v| *v = 0.01);
    Tensor::from_vec(spaced, dims, &Device::Cpu).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    // Linear in each input, so the step may be large.
    #[test]
    fn conv2d_of_any_shape(
        [n, c, k] in [1usize..3, 1usize..3, 1usize..4],
        [h, w] in [1usize..7, 1usize..7],
        [kh, kw] in [1usize..4, 1usize..4],
        stride in 1usize..4,
        padding in 0usize..4,
        groups in 1usize..3,
        seed in any::<u32>(),
    ) {
        prop_assume!(h + 2 * padding >= kh && w + 2 * padding >= kw);
        let inputs = [
            noise(&[n, groups * c, h, w], seed),
            noise(&[groups * k, c, kh, kw], seed ^ 1),
            noise(&[groups * k], seed ^ 2),
        ];
        let params = Conv2dParams { stride, padding, groups, algorithm: crate::Algorithm::Direct };
        check(&inputs, 0.5, 2e-5, |t| conv2d(&t[0], &t[1], Some(&t[2]), params));
        check(&inputs[..2], 0.5, 2e-5, |t| conv2d(&t[0], &t[1], None, params));
    }

    #[test]
    fn max_pool2d_of_any_shape(
        [n, c] in [1usize..3, 1usize..3],
        [h, w] in [1usize..7, 1usize..7],
        [kernel, stride, padding] in [1usize..4, 1usize..4, 0usize..2],
        seed in any::<u32>(),
    ) {
        let padding = padding.min(kernel / 2);
        prop_assume!(h.min(w) + 2 * padding >= kernel);
        let x = distinct(&[n, c, h, w], seed);
        check(&[x], 2e-3, 1e-3, |t| max_pool2d(&t[0], kernel, stride, padding));
    }
}

#[test]
fn batch_norm_train_with_the_statistics_moving() {
    let inputs = [noise(&[3, 2, 2, 3], 1), noise(&[2], 2), noise(&[2], 3)];
    check(&inputs, 1e-2, 2e-3, |t| Ok(batch_norm_train(&t[0], &t[1], &t[2], 1e-5)?.y));
}

#[test]
fn batch_norm_eval_with_the_statistics_fixed() {
    let inputs = [noise(&[3, 2, 2, 3], 1), noise(&[2], 2), noise(&[2], 3)];
    let mean = noise(&[2], 4);
    let variance = Tensor::new(&[0.5f32, 2.0], &Device::Cpu).unwrap();
    check(&inputs, 0.5, 1e-5, |t| batch_norm_eval(&t[0], &mean, &variance, &t[1], &t[2], 1e-5));
}

#[test]
fn average_pools() {
    let x = [noise(&[2, 3, 5, 4], 5)];
    check(&x, 0.5, 1e-5, |t| avg_pool2d(&t[0], 2, 2));
    check(&x, 0.5, 1e-5, |t| avg_pool2d(&t[0], 3, 1));
    check(&x, 0.5, 1e-5, |t| global_avg_pool2d(&t[0]));
}

#[test]
fn relu_and_leaky_relu_away_from_zero() {
    for activation in [Activation::Relu, Activation::LeakyRelu] {
        check(&[distinct(&[2, 3, 4], 6)], 2e-3, 1e-3, |t| activate(&t[0], activation));
    }
}

#[test]
fn gelu_and_silu() {
    let x = [(noise(&[4, 5, 6], 8) * 4.0).unwrap()];
    for activation in [Activation::Gelu, Activation::Silu] {
        check(&x, 1e-2, 2e-4, |t| activate(&t[0], activation));
    }
}

#[test]
fn convolution_batch_norm_and_activation_at_once() {
    let inputs = [noise(&[3, 2, 3, 3], 1), noise(&[2, 2, 2, 2], 2), noise(&[2], 3), noise(&[2], 4)];
    let params =
        Conv2dParams { padding: 1, algorithm: crate::Algorithm::Direct, ..Conv2dParams::default() };
    for activation in [None, Some(Activation::Gelu), Some(Activation::Silu)] {
        check(&inputs, 1e-2, 2e-3, |t| {
            Ok(conv_bn_act(&t[0], &t[1], params, &t[2], &t[3], 1e-5, activation)?.y)
        });
    }
}

#[test]
fn cross_entropy_with_and_without_smoothing() {
    let labels = Tensor::new(&[2u32, 0, 3], &Device::Cpu).unwrap();
    for smoothing in [0.0, 0.1, 1.0] {
        check(&[noise(&[3, 4], 7)], 1e-2, 1e-4, |t| cross_entropy(&t[0], &labels, smoothing));
    }
}
