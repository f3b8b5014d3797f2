//! The operations as a caller meets them: PyTorch's rules, odd layouts, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test reports an error by panicking")]

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::ModuleT;
use cifar_ops::{
    Algorithm, Conv2dParams, avg_pool2d, batch_norm_eval, batch_norm_train, conv2d, cross_entropy,
    global_avg_pool2d, max_pool2d, relu,
};

const PLAIN: Conv2dParams =
    Conv2dParams { stride: 1, padding: 0, groups: 1, algorithm: Algorithm::Direct };

/// `0, 1, 2, …` in this shape, times `scale`.
fn ramp(dims: &[usize], scale: f64) -> Tensor {
    let len = dims.iter().product::<usize>() as f32;
    (Tensor::arange(0f32, len, &Device::Cpu).unwrap() * scale).unwrap().reshape(dims).unwrap()
}

fn wave(dims: &[usize]) -> Tensor {
    ramp(dims, 1.7).sin().unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

fn assert_close(got: &Tensor, want: &Tensor, tolerance: f32) {
    assert_eq!(got.dims(), want.dims());
    for (i, (got, want)) in values(got).iter().zip(values(want)).enumerate() {
        assert!((got - want).abs() <= tolerance, "value {i}: got {got}, want {want}");
    }
}

/// The message of an error, which must be one.
fn refusal<T>(result: Result<T>) -> String {
    match result {
        Ok(_) => panic!("accepted"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn conv2d_gives_the_tutorials_example() {
    let image = [[1f32, 2., 3., 0.], [0., 1., 2., 3.], [3., 0., 1., 2.], [2., 3., 0., 1.]];
    let weight = [[2f32, 0., 1.], [0., 1., 2.], [1., 0., 2.]];
    let image = Tensor::new(&[[image]], &Device::Cpu).unwrap();
    let weight = Tensor::new(&[[weight]], &Device::Cpu).unwrap();
    let y = conv2d(&image, &weight, None, PLAIN).unwrap();
    assert_eq!(y.dims(), [1, 1, 2, 2]);
    assert_eq!(values(&y), [15., 16., 6., 15.]);
}

#[test]
fn max_pool2d_gives_the_tutorials_example() {
    let x = [[1f32, 3., 2., 4.], [5., 6., 8., 7.], [9., 10., 12., 11.], [13., 15., 14., 16.]];
    let y = max_pool2d(&Tensor::new(&[[x]], &Device::Cpu).unwrap(), 2, 2, 0).unwrap();
    assert_eq!(values(&y), [6., 8., 15., 16.]);
}

#[test]
fn max_pool2d_gives_the_gradient_to_the_first_of_equal_values() {
    let x = Var::new(&[[[[1f32, 4.], [4., 4.]]]], &Device::Cpu).unwrap();
    let dx = max_pool2d(&x, 2, 2, 0).unwrap().backward().unwrap().remove(&x).unwrap();
    assert_eq!(values(&dx), [0., 1., 0., 0.]);
}

#[test]
fn max_pool2d_agrees_with_candle_where_nothing_is_equal() {
    let x = Var::from_tensor(&wave(&[2, 3, 6, 4])).unwrap();
    let y = max_pool2d(&x, 2, 2, 0).unwrap();
    assert_close(&y, &x.max_pool2d(2).unwrap(), 0.0);
    let dy = ramp(&[2, 3, 3, 2], 0.1);
    let dx = (&y * &dy).unwrap().sum_all().unwrap().backward().unwrap().remove(&x).unwrap();
    // Not against candle's gradient, which is divided by the window's size.
    let spread = |t: &Tensor| t.upsample_nearest2d(6, 4).unwrap();
    let taken = x.eq(&spread(&y)).unwrap().to_dtype(DType::F32).unwrap();
    assert_close(&dx, &(taken * spread(&dy)).unwrap(), 0.0);
}

#[test]
fn relu_has_no_gradient_at_zero() {
    let x = Var::new(&[-1f32, 0., 2., f32::NAN], &Device::Cpu).unwrap();
    let y = relu(&x).unwrap();
    assert!(values(&y)[3].is_nan());
    assert_eq!(values(&y)[..3], [0., 0., 2.]);
    let dx = y.backward().unwrap().remove(&x).unwrap();
    assert_eq!(values(&dx), [0., 0., 1., 1.]);
}

#[test]
fn batch_norm_agrees_with_candle_nn_in_both_modes() {
    let vars = candle_nn::VarMap::new();
    let builder = candle_nn::VarBuilder::from_varmap(&vars, DType::F32, &Device::Cpu);
    let layer = candle_nn::batch_norm(3, 1e-5, builder).unwrap();
    let (weight, bias) = layer.weight_and_bias().unwrap();
    let (mean, variance) = (layer.running_mean().clone(), layer.running_var().clone());
    let x = wave(&[4, 3, 5, 5]);
    let eval = batch_norm_eval(&x, &mean, &variance, weight, bias, 1e-5).unwrap();
    assert_close(&eval, &layer.forward_t(&x, false).unwrap(), 1e-6);
    let train = batch_norm_train(&x, weight, bias, 1e-5).unwrap();
    assert_close(&train.y, &layer.forward_t(&x, true).unwrap(), 2e-6);
    // candle has moved its running mean a tenth of the way from 0 to the batch's.
    assert_close(&(&train.mean * 0.1).unwrap(), layer.running_mean(), 1e-6);
    assert!(!train.mean.track_op() && !train.variance.track_op());
}

#[test]
fn cross_entropy_follows_the_formula() {
    let logits = Tensor::new(&[[1f32, 2., 3.], [0., 0., 0.]], &Device::Cpu).unwrap();
    let labels = Tensor::new(&[2u32, 1], &Device::Cpu).unwrap();
    let log_total = (1f64.exp() + 2f64.exp() + 3f64.exp()).ln();
    let plain = [log_total - 3.0, 3f64.ln()];
    let uniform = [log_total - 2.0, 3f64.ln()];
    for smoothing in [0.0, 0.2, 1.0] {
        let row = |i: usize| (1.0 - smoothing) * plain[i] + smoothing * uniform[i];
        let loss = cross_entropy(&logits, &labels, smoothing).unwrap();
        assert_eq!(loss.rank(), 0);
        let got = f64::from(loss.to_scalar::<f32>().unwrap());
        assert!((got - (row(0) + row(1)) / 2.0).abs() < 1e-6, "smoothing {smoothing}: {got}");
    }
}

#[test]
fn a_gradient_scaled_after_the_loss_is_scaled() {
    let logits = Var::new(&[[1f32, 2., 3.]], &Device::Cpu).unwrap();
    let labels = Tensor::new(&[0u32], &Device::Cpu).unwrap();
    let loss = cross_entropy(&logits, &labels, 0.0).unwrap();
    let once = loss.backward().unwrap().remove(&logits).unwrap();
    let thrice = (loss * 3.0).unwrap().backward().unwrap().remove(&logits).unwrap();
    assert_close(&thrice, &(once * 3.0).unwrap(), 1e-6);
}

type ImageOperation = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

/// Each operation of one image tensor, with what else it needs.
fn image_operations() -> Vec<(&'static str, ImageOperation)> {
    let per_channel = || wave(&[3]);
    let ones = Tensor::ones(3, DType::F32, &Device::Cpu).unwrap();
    let weight = wave(&[4, 3, 3, 3]);
    let pointwise = wave(&[4, 3, 1, 1]);
    let params = Conv2dParams { stride: 2, padding: 1, ..PLAIN };
    vec![
        ("conv2d", Box::new(move |x| conv2d(x, &weight, None, params))),
        ("conv2d", Box::new(move |x| conv2d(x, &pointwise, Some(&wave(&[4])), PLAIN))),
        (
            "batch_norm_train",
            Box::new(move |x| Ok(batch_norm_train(x, &per_channel(), &per_channel(), 1e-5)?.y)),
        ),
        ("batch_norm_eval", {
            Box::new(move |x| batch_norm_eval(x, &per_channel(), &ones, &per_channel(), &ones, 0.0))
        }),
        ("max_pool2d", Box::new(|x| max_pool2d(x, 3, 1, 1))),
        ("avg_pool2d", Box::new(|x| avg_pool2d(x, 1, 1))),
        ("global_avg_pool2d", Box::new(global_avg_pool2d)),
    ]
}

#[test]
fn strided_and_offset_inputs_give_what_their_copies_give() {
    let wide = wave(&[4, 6, 3, 7]).permute((0, 2, 3, 1)).unwrap(); // (4, 3, 7, 6), strided
    let late = wave(&[5, 3, 7, 6]).narrow(0, 1, 4).unwrap(); // contiguous from an offset on
    for x in [wide, late] {
        for (name, operation) in image_operations() {
            let run = |x: Var| {
                let y = operation(&x).unwrap();
                // A gradient that is itself a broadcast and a transpose.
                let sum = y.t().unwrap().mean_all().unwrap();
                (y, sum.backward().unwrap().remove(&x).unwrap())
            };
            let (got, dgot) = run(Var::from_tensor(&x).unwrap());
            let copy = Tensor::from_vec(values(&x), x.shape(), &Device::Cpu).unwrap();
            let (want, dwant) = run(Var::from_tensor(&copy).unwrap());
            assert_close(&operation(&x).unwrap(), &want, 0.0);
            assert_close(&got, &want, 0.0);
            assert!(values(&dwant).iter().any(|v| v.is_finite()), "{name}");
            assert_close(&dgot, &dwant, 0.0);
        }
    }
}

#[test]
fn images_of_one_pixel_pass_through_every_operation() {
    let x = wave(&[5, 3, 1, 1]);
    for (name, operation) in image_operations() {
        let y = operation(&x).unwrap();
        assert_eq!(y.dims()[0], 5, "{name}");
        assert_eq!(&y.dims()[2..], [1, 1], "{name}");
        assert!(values(&y).iter().all(|v| v.is_finite()), "{name}");
    }
}

#[test]
fn wrong_dtypes_ranks_and_empty_batches_are_refused_by_name() {
    let double = wave(&[2, 3, 4, 4]).to_dtype(DType::F64).unwrap();
    let flat = wave(&[2, 48]);
    let empty = Tensor::zeros((0, 3, 4, 4), DType::F32, &Device::Cpu).unwrap();
    for (name, operation) in image_operations() {
        for (input, expected) in [(&double, "F64"), (&flat, "[2, 48]"), (&empty, "is empty")] {
            let message = refusal(operation(input));
            assert!(message.starts_with(&format!("{name}: ")), "{message}");
            assert!(message.contains(expected), "{message}");
        }
    }
    assert!(refusal(relu(&double)).contains("relu: the input is F64"));
}

#[test]
fn shapes_that_contradict_each_other_are_refused_with_both() {
    let x = wave(&[2, 3, 4, 4]);
    let conv = |weight: &[usize], bias: usize, params| {
        refusal(conv2d(&x, &wave(weight), Some(&wave(&[bias])), params))
    };
    let cases = [
        (conv(&[4, 2, 3, 3], 4, PLAIN), "the input has 3 channels, the weight is for 2"),
        (conv(&[4, 3, 3, 3], 4, Conv2dParams { groups: 3, ..PLAIN }), "3 groups do not divide 4"),
        (conv(&[4, 3, 3, 3], 4, Conv2dParams { groups: 2, ..PLAIN }), "the weight is for 6"),
        (conv(&[4, 3, 3, 3], 5, PLAIN), "the bias holds 5 values"),
        (conv(&[4, 3, 5, 5], 4, PLAIN), "kernel 5 is larger than the input of 4 padded by 0"),
        (conv(&[4, 3, 3, 3], 4, Conv2dParams { stride: 0, ..PLAIN }), "stride 0"),
        (refusal(batch_norm_train(&x, &wave(&[2]), &wave(&[3]), 1e-5)), "the weight holds 2"),
        (refusal(max_pool2d(&x, 2, 2, 2)), "padding 2 is more than half of kernel 2"),
        (refusal(max_pool2d(&x, 5, 1, 0)), "kernel 5 is larger"),
        (refusal(avg_pool2d(&x, 0, 1)), "kernel 0"),
    ];
    for (message, expected) in cases {
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_convolution_of_two_dtypes_is_refused_with_both() {
    let stored = |x: &Tensor| x.to_dtype(DType::BF16).unwrap();
    let (x, weight, bias) = (wave(&[2, 3, 4, 4]), wave(&[4, 3, 3, 3]), wave(&[4]));
    let message = refusal(conv2d(&stored(&x), &weight, None, PLAIN));
    assert!(message.contains("the input is BF16, the weight F32"), "{message}");
    let message = refusal(conv2d(&x, &weight, Some(&stored(&bias)), PLAIN));
    assert!(message.contains("the input is F32, the bias BF16"), "{message}");
}

#[test]
fn labels_out_of_range_are_refused_with_their_row() {
    let logits = wave(&[2, 3]);
    let labels = |values: &[u32]| Tensor::new(values, &Device::Cpu).unwrap();
    let refuse = |labels: &Tensor, smoothing| refusal(cross_entropy(&logits, labels, smoothing));
    assert!(refuse(&labels(&[0, 3]), 0.0).contains("label 3 in row 1"));
    assert!(refuse(&labels(&[0]), 0.0).contains("[1] for 2 rows"));
    assert!(refuse(&labels(&[0, 1]), f64::NAN).contains("smoothing of NaN"));
    assert!(refuse(&labels(&[0, 1]).to_dtype(DType::I64).unwrap(), 0.0).contains("I64"));
}
