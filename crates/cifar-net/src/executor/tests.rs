use candle_core::{Device, ModuleT};
use candle_nn::{VarBuilder, VarMap};
use cifar_kernels::isa::Isa;
use cifar_ops::with_image_keys;

use super::*;
use crate::dropout::Dropout;
use crate::test_nets;
use crate::{
    Activation, BatchNorm2d, CandleNet, Conv2d, Layer, Linear, MaxPool2d, Node, Residual,
    Sequential,
};

/// The same values for the same seed, in `-1..1`.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Fresh variables of a net, every one filled with noise, and the candle reader over them.
fn build(net: &Net, seed: u64) -> (Vec<Variable>, CandleNet) {
    let map = VarMap::new();
    let module =
        CandleNet::new(net, VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu)).unwrap();
    let data = map.data().lock().unwrap();
    let variables = net.parameters().into_iter().enumerate().map(|(at, spec)| {
        let var = data[&spec.name].clone();
        if spec.dtype == DType::F32 {
            let around = if spec.name.ends_with("var") || spec.name.ends_with("1.weight") {
                1.5
            } else {
                0.0
            };
            let fan = spec.shape.iter().skip(1).product::<usize>().max(1) as f32;
            let values = noise(spec.n_values(), seed + at as u64);
            let values = values.into_iter().map(|v| around + v / fan.sqrt()).collect::<Vec<_>>();
            var.set(&Tensor::from_vec(values, spec.shape, &Device::Cpu).unwrap()).unwrap();
        }
        Variable { name: spec.name, var, trainable: spec.kind == crate::ParameterKind::Weight }
    });
    (variables.collect(), module)
}

fn distance(got: &[f32], want: &[f32]) -> f64 {
    assert_eq!(got.len(), want.len());
    let square = |v: f32| f64::from(v) * f64::from(v);
    let apart: f64 = got.iter().zip(want).map(|(a, b)| square(a - b)).sum();
    let norm: f64 = want.iter().copied().map(square).sum();
    (apart / norm.max(1e-20)).sqrt()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Logits, every gradient, running statistics and evaluation against the candle reader's.
fn check(net: &Net, n: usize, bound: f64) {
    let (variables, module) = build(net, 1);
    let (twins, _) = build(net, 1);
    let mut executor = Executor::new(net, &twins, Arithmetic::default()).unwrap();
    // Twice, with another batch size, so that what the first step left would show.
    for (round, n) in [n + 3, n].into_iter().enumerate() {
        let images = noise(n * net.input.iter().product::<usize>(), 77 + round as u64);
        let dlogits = noise(n * net.n_classes, 99);
        let [c, h, w] = net.input;
        let tensor = Tensor::from_slice(&images, (n, c, h, w), &Device::Cpu).unwrap();
        let keys: Vec<u64> = (0..n as u64).map(|image| 1000 * round as u64 + image).collect();
        let logits = with_image_keys(&keys, || module.forward_t(&tensor, true)).unwrap();
        let direction = Tensor::from_slice(&dlogits, (n, net.n_classes), &Device::Cpu).unwrap();
        let store = (&logits * direction).unwrap().sum_all().unwrap().backward().unwrap();

        let got = with_image_keys(&keys, || executor.forward(&images)).unwrap();
        assert!(distance(got, &values(&logits)) < bound, "{}: logits", net.name);
        executor.backward(&dlogits).unwrap();
        let trained = variables.iter().filter(|variable| variable.trainable);
        let mut n_compared = 0;
        for ((name, got), variable) in executor.weight_gradients().zip(trained) {
            assert_eq!(name, variable.name);
            let want = values(store.get(variable.var.as_tensor()).unwrap());
            let apart = distance(got, &want);
            assert!(apart < bound, "{}: gradient of {name}: {apart:e}", net.name);
            n_compared += 1;
        }
        assert_eq!(n_compared, variables.iter().filter(|v| v.trainable).count());
    }
    for (variable, twin) in variables.iter().zip(&twins) {
        let apart = distance(&values(twin.var.as_tensor()), &values(variable.var.as_tensor()));
        assert!(apart < bound, "{}: {} after a step: {apart:e}", net.name, variable.name);
    }

    let mut inference = Inference::new(net, &variables, Arithmetic::default()).unwrap();
    let [c, h, w] = net.input;
    for n in [n, 1, n + 2] {
        let images = noise(n * c * h * w, 5);
        let tensor = Tensor::from_slice(&images, (n, c, h, w), &Device::Cpu).unwrap();
        let want = values(&module.forward_t(&tensor, false).unwrap());
        let apart = distance(inference.logits(&images).unwrap(), &want);
        assert!(apart < bound, "{}: evaluation of {n}: {apart:e}", net.name);
    }
}

/// bf16 against f32: relative distances (L2) of logits, gradients and evaluation.
fn bf16_distances(net: &Net, n: usize, convolution: Algorithm) -> [f64; 3] {
    let run = |precision| {
        let arithmetic = Arithmetic { convolution, precision };
        let (variables, _) = build(net, 1);
        let images = noise(n * net.input.iter().product::<usize>(), 7);
        let mut inference = Inference::new(net, &variables, arithmetic).unwrap();
        let evaluated = inference.logits(&images).unwrap().to_vec();
        let mut executor = Executor::new(net, &variables, arithmetic).unwrap();
        let logits = executor.forward(&images).unwrap().to_vec();
        executor.backward(&noise(n * net.n_classes, 9)).unwrap();
        [logits, executor.flat_gradient().to_vec(), evaluated]
    };
    let (wide, narrow) = (run(Precision::F32), run(Precision::Bf16));
    std::array::from_fn(|i| distance(&narrow[i], &wide[i]))
}

/// A value is rounded to 8 bits, 4e-3, at every operation. Gradients pass the gates of ReLUs,
/// some of which fall to the other side.
#[test]
fn bf16_is_near_f32() {
    for convolution in [Algorithm::Direct, Algorithm::Winograd] {
        let silu = resnet().with_activation(Activation::Silu);
        for (net, n) in [(resnet(), 6), (test_nets::residual(), 5), (separable(), 6), (silu, 6)] {
            for isa in Isa::available() {
                let [logits, gradients, evaluated] =
                    isa.force(|| bf16_distances(&net, n, convolution));
                let what = format!("{} {convolution:?} {isa}", net.name);
                assert!(logits < 3e-2, "{what}: logits {logits:e}");
                assert!(evaluated < 3e-2, "{what}: evaluation {evaluated:e}");
                assert!(gradients < 1e-1, "{what}: gradients {gradients:e}");
                assert!(logits > 1e-4, "{what}: not bf16 at all? {logits:e}");
            }
        }
    }
}

/// The shape of SmallResNet, small: batch norms that end bodies and projections.
fn resnet() -> Net {
    let conv_norm = |conv: Conv2d| -> [Layer; 2] {
        let channels = conv.out_channels;
        [conv.without_bias().into(), BatchNorm2d::new(channels).into()]
    };
    let body = |from, to, stride| {
        let [conv, norm] = conv_norm(Conv2d::new(from, to, 3).stride(stride).padding(1));
        let [conv2, norm2] = conv_norm(Conv2d::new(to, to, 3).padding(1));
        Node::new("conv", Sequential::of([conv, norm, Activation::Relu.into(), conv2, norm2]))
    };
    let projection = |from, to, stride| {
        Node::new("shortcut", Sequential::of(conv_norm(Conv2d::new(from, to, 1).stride(stride))))
    };
    let [stem, stem_norm] = conv_norm(Conv2d::new(3, 16, 3).padding(1));
    let relu = Activation::Relu;
    Net {
        name: "resnet".into(),
        input: [3, 8, 8],
        n_classes: 4,
        layers: vec![
            Node::new("stem", Sequential::of([stem, stem_norm, relu.into()])),
            Node::new("a", Residual::new(body(16, 16, 1), relu)),
            Node::new("b", Residual::new(body(16, 32, 2), relu).shortcut(projection(16, 32, 2))),
            Node::new("c", Residual::new(body(32, 32, 1), relu)),
            Node::new("pool", Layer::GlobalAvgPool),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc", Linear::new(32, 4)),
        ],
    }
}

/// The shape of SimpleNet, and blocks that begin with their activation.
fn others() -> [Net; 2] {
    let relu = || Layer::from(Activation::Relu);
    let simple = Net {
        name: "simple".into(),
        input: [3, 8, 8],
        n_classes: 5,
        layers: vec![
            Node::new("conv1", Conv2d::new(3, 8, 3).padding(1)),
            Node::new("relu1", relu()),
            Node::new("pool", MaxPool2d::new(2)),
            Node::new("conv2", Conv2d::new(8, 7, 3).padding(1)),
            Node::new("relu2", relu()),
            Node::new("pool2", MaxPool2d { kernel: 3, stride: 1 }),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc1", Linear::new(28, 5)),
        ],
    };
    let body = || {
        Sequential::of([
            BatchNorm2d::new(6).into(),
            relu(),
            // A bias here would be cancelled, and its gradient nothing but rounding.
            Conv2d::new(6, 6, 3).padding(1).without_bias().into(),
            BatchNorm2d::new(6).into(),
            relu(),
            Conv2d::new(6, 6, 3).padding(1).into(),
        ])
    };
    let preactivated = Net {
        name: "preactivated".into(),
        input: [2, 6, 5],
        n_classes: 3,
        layers: vec![
            Node::new("stem", Conv2d::new(2, 6, 1)),
            Node::new("a", Residual::new(Node::new("body", body()), Activation::Relu)),
            Node::new("b", Residual::new(Node::new("body", body()), Activation::Relu)),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc", Linear::new(180, 3)),
        ],
    };
    [simple, preactivated]
}

/// Dropouts of pictures, of maps, in both ways of a block and of a vector; without batch norm, so that
/// a batch goes through it in shards.
fn thinned() -> Net {
    let body = Sequential::of([
        Conv2d::new(6, 6, 3).padding(1).into(),
        Layer::Dropout(0.5),
        Activation::Relu.into(),
    ]);
    let projection = Sequential::of([Layer::Dropout(0.2), Conv2d::new(6, 6, 1).into()]);
    let block = Residual::new(Node::new("body", body), Activation::Relu);
    Net {
        name: "thinned".into(),
        input: [3, 6, 5],
        n_classes: 3,
        layers: vec![
            Node::new("seen", Layer::Dropout(0.1)),
            Node::new("conv", Conv2d::new(3, 6, 3)),
            Node::new("block", block.shortcut(Node::new("shortcut", projection))),
            Node::new("flatten", Layer::Flatten),
            Node::new("dropout", Layer::Dropout(0.4)),
            Node::new("fc", Linear::new(72, 3)),
        ],
    }
}

/// Depthwise and pointwise convolutions by turns, as in MobileNet, and one in two groups.
fn separable() -> Net {
    let conv_norm_relu = |conv: Conv2d| -> [Layer; 3] {
        let channels = conv.out_channels;
        [conv.without_bias().into(), BatchNorm2d::new(channels).into(), Activation::Relu.into()]
    };
    let layers = [
        Conv2d::new(3, 12, 3).padding(1),
        Conv2d::new(12, 12, 3).stride(2).padding(1).groups(12),
        Conv2d::new(12, 20, 1),
        Conv2d::new(20, 8, 3).groups(2),
    ];
    Net {
        name: "separable".into(),
        input: [3, 8, 9],
        n_classes: 4,
        layers: vec![
            Node::new("features", Sequential::of(layers.into_iter().flat_map(conv_norm_relu))),
            Node::new("pool", Layer::GlobalAvgPool),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc", Linear::new(8, 4)),
        ],
    }
}

#[test]
fn equals_the_candle_reader() {
    check(&separable(), 6, 2e-5);
    check(&test_nets::residual(), 4, 2e-5);
    check(&resnet(), 6, 2e-5);
    check(&thinned(), 5, 2e-5);
    for net in others() {
        check(&net, 5, 2e-5);
    }
}

/// Each layer and each image loses values of its own, and the same ones under the same key.
#[test]
fn dropout_follows_from_key_and_layer() {
    let net = Net {
        layers: vec![
            Node::new("flatten", Layer::Flatten),
            Node::new("a", Layer::Dropout(0.5)),
            Node::new("fc", Linear::new(90, 90)),
            Node::new("b", Layer::Dropout(0.5)),
        ],
        n_classes: 90,
        ..thinned()
    };
    let (variables, _) = build(&net, 1);
    let mut executor = Executor::new(&net, &variables, Arithmetic::default()).unwrap();
    let images = vec![1.0; 2 * 90];
    let mut run = |keys: &[u64]| {
        with_image_keys(keys, || executor.forward(&images).map(<[f32]>::to_vec)).unwrap()
    };
    let (first, swapped) = (run(&[7, 8]), run(&[8, 7]));
    assert_eq!(first, run(&[7, 8]));
    assert_eq!(first[..90], swapped[90..]);
    assert_eq!(first[90..], swapped[..90]);
    let zeros = |values: &[f32]| -> Vec<bool> { values.iter().map(|&v| v == 0.0).collect() };
    assert_ne!(zeros(&first[..90]), zeros(&first[90..]));
    // Had both layers the same draws, the second would leave out what the first does.
    let a: Vec<u64> = Dropout::new(0.5, "a").keys(&[7]).collect();
    let b: Vec<u64> = Dropout::new(0.5, "b").keys(&[7]).collect();
    assert_ne!(a, b);
}

/// Batches of several shards, the last one smaller; a net with batch norm sees its batch whole.
#[test]
fn shards_give_what_the_whole_batch_gives() {
    let [simple, preactivated] = others();
    let shard_len = |net: &Net, n: usize| {
        let (variables, _) = build(net, 1);
        let executor = Executor::new(net, &variables, Arithmetic::default()).unwrap();
        executor.memory_report(n).shard_len
    };
    let n = 2 * shard_len(&simple, 1 << 20) + 3;
    assert!(shard_len(&simple, n) < n);
    check(&simple, n, 2e-5);
    let n = 2 * shard_len(&thinned(), 1 << 20) + 3;
    check(&thinned(), n, 2e-5);
    assert_eq!(shard_len(&preactivated, n), n);
}

/// Alone, behind a batch norm, and behind a batch norm's addition, in each of the nets' places.
#[test]
fn equals_the_candle_reader_with_other_activations() {
    for activation in [Activation::Gelu, Activation::Silu, Activation::LeakyRelu] {
        check(&test_nets::residual().with_activation(activation), 4, 2e-5);
        check(&resnet().with_activation(activation), 6, 2e-5);
        for net in others() {
            check(&net.with_activation(activation), 5, 2e-5);
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_net() {
    for isa in Isa::available() {
        for activation in Activation::ALL {
            isa.force(|| check(&resnet().with_activation(activation), 3, 2e-5));
        }
    }
}

/// Two images at a time and one that is left: the gradients of the parts are added up.
#[test]
fn a_pooling_behind_a_large_convolution_is_done_in_parts() {
    let [mut net, _] = others();
    net.input = [3, 64, 64];
    let last = net.layers.len() - 1;
    net.layers[last] = Node::new("fc1", Linear::new(7 * 30 * 30, 5));
    check(&net, 5, 2e-5);
}

#[test]
fn the_plan_names_what_it_fuses() {
    let [simple, _] = others();
    let kinds = |net: &Net| -> Vec<String> {
        let (variables, _) = build(net, 1);
        let executor = Executor::new(net, &variables, Arithmetic::default()).unwrap();
        executor.memory_report(1).operations.into_iter().map(|operation| operation.kind).collect()
    };
    // The ReLU between the two has fewer values behind the pooling.
    assert_eq!(kinds(&simple)[0], "conv3x3 direct + max pool 2x2 + relu");
    let gelu = kinds(&simple.with_activation(Activation::Gelu));
    assert_eq!(gelu[..3], ["conv3x3 direct", "gelu", "max pool 2x2"]);
    let silu = kinds(&resnet().with_activation(Activation::Silu));
    assert_eq!(silu[1], "batch norm + silu");
    assert_eq!(silu[5], "batch norm + add + silu");
}

#[test]
fn gradients_that_nobody_wants_are_zero_and_the_others_as_they_were() {
    let net = resnet();
    let (variables, _) = build(&net, 5);
    let mut executor = Executor::new(&net, &variables, Arithmetic::default()).unwrap();
    let images = noise(4 * net.input.iter().product::<usize>(), 1);
    let mut gradients = |wanted: &dyn Fn(&str) -> bool| -> Vec<(String, Vec<f32>)> {
        executor.require_gradients(wanted);
        let n = executor.forward(&images).unwrap().len();
        executor.backward(&noise(n, 2)).unwrap();
        executor.weight_gradients().map(|(name, g)| (name.to_owned(), g.to_vec())).collect()
    };
    let all = gradients(&|_| true);
    let names: Vec<String> = all.iter().map(|(name, _)| name.clone()).collect();
    // Each tensor as the first that is wanted, which is where the backward pass ends.
    for first in 0..=names.len() {
        let some = gradients(&|name| names[first..].iter().any(|wanted| wanted == name));
        for (at, ((name, got), (_, want))) in some.iter().zip(&all).enumerate() {
            if at < first {
                assert!(got.iter().all(|&value| value == 0.0), "{name} from {first}");
            } else {
                assert!(got == want && want.iter().any(|&value| value != 0.0), "{name}");
            }
        }
    }
    assert!(gradients(&|_| true) == all);
}

#[test]
fn errors_say_what_is_wrong() {
    let net = resnet();
    let (mut variables, _) = build(&net, 1);
    let mut executor = Executor::new(&net, &variables, Arithmetic::default()).unwrap();
    let error = executor.forward(&[0.0; 7]).unwrap_err().to_string();
    assert!(error.contains("resnet") && error.contains("[N, 3, 8, 8]"), "{error}");
    let error = executor.backward(&[]).unwrap_err().to_string();
    assert!(error.contains("0 logits"), "{error}");
    let (thin, _) = build(&thinned(), 1);
    let mut executor = Executor::new(&thinned(), &thin, Arithmetic::default()).unwrap();
    let error = executor.forward(&[0.0; 180]).unwrap_err().to_string();
    assert!(error.contains("each of 2 images") && error.contains("with_image_keys"), "{error}");
    variables.remove(0);
    let error = Executor::new(&net, &variables, Arithmetic::default()).unwrap_err().to_string();
    assert!(error.contains("stem.0.weight"), "{error}");
}

#[test]
fn one_value_per_channel_has_no_variance() {
    let net = Net {
        name: "dot".into(),
        input: [2, 1, 1],
        n_classes: 2,
        layers: vec![
            Node::new("norm", BatchNorm2d::new(2)),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc", Linear::new(2, 2)),
        ],
    };
    let (variables, _) = build(&net, 1);
    let error = Executor::new(&net, &variables, Arithmetic::default())
        .unwrap()
        .forward(&[1.0, 2.0])
        .unwrap_err();
    let error = error.to_string();
    assert!(error.contains("`norm`") && error.contains("larger batch"), "{error}");
}
