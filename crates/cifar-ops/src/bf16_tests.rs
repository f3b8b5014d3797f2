//! Every operation on bf16 against candle's own in f32 on the same values.

use candle_core::{DType, Device, Result, Tensor};

use crate::testing::{gradients, noise, values, whole};
use crate::{Activation, activate, cross_entropy, global_avg_pool2d, max_pool2d, portable};
use crate::{Algorithm, Conv2dParams, avg_pool2d, batch_norm_eval, batch_norm_train, conv2d};

/// Relative distance (L2) that is allowed: values are rounded to 8 bits.
const BOUND: f64 = 1e-2;

fn stored(x: &Tensor) -> Tensor {
    x.to_dtype(DType::BF16).unwrap()
}

fn near(what: &str, got: &Tensor, want: &Tensor) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let square = |v: f32| f64::from(v) * f64::from(v);
    let (got, want) = (values(got), values(want));
    let apart: f64 = got.iter().zip(&want).map(|(a, b)| square(a - b)).sum();
    let norm: f64 = want.iter().copied().map(square).sum();
    let distance = (apart / norm).sqrt();
    assert!(distance <= BOUND, "{what}: {distance:e}");
}

/// Compares value and gradients of `f` with those of `reference`. The first input is bf16; so are
/// the others, or with `f32_weights` they are f32. Gradients have the dtype of their inputs.
fn agree(
    inputs: &[Tensor],
    f32_weights: bool,
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
    reference: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let n_stored = if f32_weights { 1 } else { inputs.len() };
    let mut given = inputs.to_vec();
    given[..n_stored].iter_mut().for_each(|input| *input = stored(input));
    let wide: Vec<Tensor> = given.iter().map(|x| x.to_dtype(DType::F32).unwrap()).collect();
    let (got, got_gradients) = gradients(&given, f);
    let (want, want_gradients) = gradients(&wide, reference);
    assert_eq!(got.dtype(), DType::BF16);
    near("output", &got, &want);
    for (i, (got, want)) in got_gradients.iter().zip(&want_gradients).enumerate() {
        assert_eq!(got.dtype(), given[i].dtype(), "gradient {i}");
        near(&format!("gradient {i}"), got, want);
    }
}

#[test]
fn conv2d_of_every_algorithm() {
    for (channels, algorithm, stride) in
        [(32, Algorithm::Winograd, 1), (32, Algorithm::Direct, 1), (21, Algorithm::Direct, 2)]
    {
        let x = noise(&[3, channels, 9, 9], 1);
        let (weight, bias) = (noise(&[48, channels, 3, 3], 2), noise(&[48], 3));
        let params = Conv2dParams { stride, padding: 1, groups: 1, algorithm };
        agree(
            &[x, weight, bias],
            false,
            |t| conv2d(&t[0], &t[1], Some(&t[2]), params),
            |t| portable::conv2d(&t[0], &t[1], Some(&t[2]), params),
        );
    }
}

#[test]
fn batch_norm_with_weights_of_either_dtype() {
    let inputs = [noise(&[4, 5, 6, 6], 1), noise(&[5], 2), noise(&[5], 3)];
    let mean = noise(&[5], 4);
    let variance = Tensor::new(&[0.5f32, 2.0, 1.0, 0.25, 4.0], &Device::Cpu).unwrap();
    for f32_weights in [true, false] {
        agree(
            &inputs,
            f32_weights,
            |t| Ok(batch_norm_train(&t[0], &t[1], &t[2], 1e-5)?.y),
            |t| Ok(portable::batch_norm_train(&t[0], &t[1], &t[2], 1e-5)?.y),
        );
        agree(
            &inputs,
            f32_weights,
            |t| batch_norm_eval(&t[0], &mean, &variance, &t[1], &t[2], 1e-5),
            |t| portable::batch_norm_eval(&t[0], &mean, &variance, &t[1], &t[2], 1e-5),
        );
    }
}

#[test]
fn the_statistics_of_a_bf16_batch_are_f32() {
    let x = stored(&noise(&[4, 5, 6, 6], 1));
    let (weight, bias) = (noise(&[5], 2), noise(&[5], 3));
    let got = batch_norm_train(&x, &weight, &bias, 1e-5).unwrap();
    let wide = x.to_dtype(DType::F32).unwrap();
    let want = batch_norm_train(&wide, &weight, &bias, 1e-5).unwrap();
    assert_eq!(values(&got.mean), values(&want.mean));
    assert_eq!(values(&got.variance), values(&want.variance));
    assert_eq!((got.mean.dtype(), got.variance.dtype()), (DType::F32, DType::F32));
}

#[test]
fn pools_and_relu() {
    let x = [whole(&[3, 4, 7, 7], 5)];
    for activation in Activation::ALL {
        let candles = |t: &[Tensor]| portable::activate(&t[0], activation);
        agree(&x, true, |t| activate(&t[0], activation), candles);
    }
    let noise = [noise(&[3, 4, 7, 7], 6)];
    agree(&noise, true, |t| max_pool2d(&t[0], 3, 2, 1), |t| portable::max_pool2d(&t[0], 3, 2, 1));
    agree(&noise, true, |t| avg_pool2d(&t[0], 2, 2), |t| portable::avg_pool2d(&t[0], 2, 2));
    agree(&noise, true, |t| global_avg_pool2d(&t[0]), |t| t[0].mean_keepdim((2, 3)));
}

#[test]
fn cross_entropy_with_smoothing() {
    let labels = Tensor::new(&[2u32, 0, 3], &Device::Cpu).unwrap();
    agree(
        &[noise(&[3, 4], 7)],
        true,
        |t| cross_entropy(&t[0], &labels, 0.2),
        |t| portable::cross_entropy(&t[0], &labels, 0.2),
    );
}
