//! The kernels against candle's own operations, value and gradient.

use candle_core::Var;
use proptest::prelude::*;

use super::*;
use crate::testing::{assert_close, gradients, noise, whole};

/// Runs both on equal variables and compares the output and every gradient.
fn agree(
    inputs: &[Tensor],
    tolerance: f64,
    kernels: impl Fn(&[Tensor]) -> Result<Tensor>,
    portable: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let (got, got_gradients) = gradients(inputs, kernels);
    let (want, want_gradients) = gradients(inputs, portable);
    assert_close("output", &got, &want, tolerance);
    for (i, (got, want)) in got_gradients.iter().zip(&want_gradients).enumerate() {
        assert_close(&format!("gradient {i}"), got, want, tolerance);
    }
}

fn image_dims() -> impl Strategy<Value = [usize; 4]> {
    [1usize..4, 1usize..5, 1usize..9, 1usize..9]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    // candle's own gradient takes what the windows leave of the height to be left of the width
    // too, so only such shapes are drawn.
    #[test]
    fn conv2d_agrees(
        [n, c, filters] in [1usize..4, 1usize..5, 1usize..5],
        windows in [1usize..6, 1usize..6],
        kernel in [1usize..4, 1usize..4],
        [stride, padding, left] in [1usize..3, 0usize..2, 0usize..2],
        groups in 1usize..3,
        seed in any::<u32>(),
    ) {
        let left = left.min(stride - 1);
        let side = |i: usize| ((windows[i] - 1) * stride + kernel[i] + left).checked_sub(2 * padding);
        let (h, w) = (side(0).unwrap_or(0), side(1).unwrap_or(0));
        prop_assume!(h > 0 && w > 0);
        let x = noise(&[n, groups * c, h, w], seed);
        let weight = noise(&[groups * filters, c, kernel[0], kernel[1]], seed ^ 1);
        let bias = noise(&[groups * filters], seed ^ 2);
        let params = Conv2dParams { stride, padding, groups, algorithm: crate::Algorithm::Direct };
        agree(
            &[x, weight, bias],
            1e-5,
            |t| crate::conv2d(&t[0], &t[1], Some(&t[2]), params),
            |t| conv2d(&t[0], &t[1], Some(&t[2]), params),
        );
    }

    #[test]
    fn batch_norm_train_agrees(dims in image_dims(), seed in any::<u32>()) {
        prop_assume!(dims[0] * dims[2] * dims[3] > 3); // of two values the variance can vanish
        let channels = [dims[1]];
        agree(
            &[noise(&dims, seed), noise(&channels, seed ^ 1), noise(&channels, seed ^ 2)],
            3e-4,
            |t| Ok(crate::batch_norm_train(&t[0], &t[1], &t[2], 1e-5)?.y),
            |t| Ok(batch_norm_train(&t[0], &t[1], &t[2], 1e-5)?.y),
        );
    }

    #[test]
    fn batch_norm_eval_agrees(dims in image_dims(), seed in any::<u32>()) {
        let channels = [dims[1]];
        let mean = noise(&channels, seed ^ 3);
        let variance = (noise(&channels, seed ^ 4).abs().unwrap() + 0.1).unwrap();
        agree(
            &[noise(&dims, seed), noise(&channels, seed ^ 1), noise(&channels, seed ^ 2)],
            2e-5,
            |t| crate::batch_norm_eval(&t[0], &mean, &variance, &t[1], &t[2], 1e-5),
            |t| batch_norm_eval(&t[0], &mean, &variance, &t[1], &t[2], 1e-5),
        );
    }

    #[test]
    fn max_pool2d_agrees_with_ties(
        dims in image_dims(),
        kernel in 1usize..4,
        stride in 1usize..4,
        padding in 0usize..2,
        seed in any::<u32>(),
    ) {
        let padding = padding.min(kernel / 2);
        prop_assume!(dims[2].min(dims[3]) + 2 * padding >= kernel);
        agree(
            &[whole(&dims, seed)],
            1e-6, // overlapping windows add up in another order
            |t| crate::max_pool2d(&t[0], kernel, stride, padding),
            |t| max_pool2d(&t[0], kernel, stride, padding),
        );
    }

    #[test]
    fn avg_pool2d_agrees(
        dims in image_dims(),
        kernel in 1usize..4,
        stride in 1usize..4,
        seed in any::<u32>(),
    ) {
        prop_assume!(dims[2].min(dims[3]) >= kernel);
        agree(
            &[noise(&dims, seed)],
            1e-6,
            |t| crate::avg_pool2d(&t[0], kernel, stride),
            |t| avg_pool2d(&t[0], kernel, stride),
        );
    }

    #[test]
    fn relu_and_leaky_relu_agree(dims in image_dims(), seed in any::<u32>()) {
        for activation in [Activation::Relu, Activation::LeakyRelu] {
            let portable = |t: &[Tensor]| activate(&t[0], activation);
            agree(&[whole(&dims, seed)], 0.0, |t| crate::activate(&t[0], activation), portable);
        }
    }

    // Candle's derivative of GELU has 1/√(2π) to six digits; that of SiLU takes one number as large
    // as the argument from another.
    #[test]
    fn gelu_and_silu_agree(dims in image_dims(), size in 0.1f64..20.0, seed in any::<u32>()) {
        let x = [(noise(&dims, seed) * size).unwrap()];
        agree(&x, 2e-6, |t| crate::gelu(&t[0]), |t| activate(&t[0], Activation::Gelu));
        agree(&x, 5e-6, |t| crate::silu(&t[0]), |t| activate(&t[0], Activation::Silu));
    }

    #[test]
    fn cross_entropy_agrees(
        n in 1usize..6,
        k in 1usize..12,
        smoothing in prop_oneof![Just(0.0), 0.0..1.0],
        seed in any::<u32>(),
    ) {
        let labels: Vec<u32> = (0..n as u32).map(|i| seed.wrapping_add(i * 7) % k as u32).collect();
        let labels = Tensor::from_vec(labels, n, &Device::Cpu).unwrap();
        agree(
            &[noise(&[n, k], seed)],
            2e-6,
            |t| crate::cross_entropy(&t[0], &labels, smoothing),
            |t| cross_entropy(&t[0], &labels, smoothing),
        );
    }
}

#[test]
fn a_nan_wins_and_takes_the_gradient() {
    let x = Tensor::new(&[[[[1f32, f32::NAN], [3.0, 2.0]]]], &Device::Cpu).unwrap();
    for pool in [crate::max_pool2d, max_pool2d] {
        let x = Var::from_tensor(&x).unwrap();
        let y = pool(&x, 2, 2, 0).unwrap();
        assert!(y.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0].is_nan());
        let dx = y.backward().unwrap().remove(&x).unwrap();
        assert_eq!(dx.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [0.0, 1.0, 0.0, 0.0]);
    }
}
