//! Small models for this crate's tests.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{DType, Device, Tensor};
use cifar_models::{Model, build};
use cifar_net::{
    Activation, AvgPool2d, BatchNorm2d, Conv2d, Layer, Linear, MaxPool2d, Net, Node, Residual,
    Sequential,
};

use crate::reread::{Reread, RereadNet};
use crate::{Dtype, Metadata, Normalization, Options};

/// As nothing is asked for.
pub(crate) fn options() -> Options {
    Options { fold_batch_norm: false, preprocess: None, dtype: Dtype::F32 }
}

/// Of no particular run.
pub(crate) fn metadata() -> Metadata {
    Metadata {
        model: "residual".to_owned(),
        parameters: 1000,
        class_names: (0..5).map(|class| format!("class {class}")).collect(),
        normalization: Normalization { mean: [0.5; 3], std: [0.25; 3] },
        test_accuracy: Some(0.5),
        reported: None,
        recipe: "test".to_owned(),
        recipe_sha256: "00".to_owned(),
        checkpoint: "best".to_owned(),
        licence: "MIT OR Apache-2.0".to_owned(),
        producer: "cifar".to_owned(),
    }
}

/// Every kind of layer once or more.
pub(crate) fn residual(factor: f64) -> Model {
    let stem = Sequential::of([
        Conv2d::new(3, 4, 3).padding(1).without_bias().into(),
        BatchNorm2d::new(4).into(),
        Activation::Relu.into(),
    ]);
    let body = Sequential::of([
        Conv2d::new(4, 6, 3).stride(2).padding(1).into(),
        BatchNorm2d::new(6).eps(1e-3).into(),
        Layer::Scale(0.5),
    ]);
    let projection = Sequential::of([
        Conv2d::new(4, 6, 1).stride(2).without_bias().into(),
        BatchNorm2d::new(6).into(),
    ]);
    let identity_body = Sequential::of([Conv2d::new(6, 6, 3).padding(1).without_bias().into()]);
    let grouped = vec![
        Node::new("conv", Conv2d::new(6, 6, 3).padding(1).groups(3)),
        Node::new("mean", AvgPool2d { kernel: 2, stride: 1 }),
        Node::new("mean_norm", BatchNorm2d::new(6)),
        Node::new("gelu", Activation::Gelu),
        Node::new("leaky", Activation::LeakyRelu),
        Node::new("late", BatchNorm2d::new(6).momentum(0.4)),
    ];
    let net = Net {
        name: "residual".into(),
        input: [3, 11, 10],
        n_classes: 5,
        layers: vec![
            Node::new("stem", stem),
            Node::new(
                "block",
                Residual::new(Node::new("conv", body), Activation::Silu)
                    .shortcut(Node::new("shortcut", projection)),
            ),
            Node::new("again", Residual::new(Node::new("conv", identity_body), Activation::Gelu)),
            Node::new("grouped", Sequential { nodes: grouped }),
            Node::new("max", MaxPool2d::new(2)),
            Node::new("pool", Layer::GlobalAvgPool),
            Node::new("flatten", Layer::Flatten),
            Node::new("dropout", Layer::Dropout(0.25)),
            Node::new("fc", Linear::new(6, 5)),
            Node::new("scale", Layer::Scale(factor)),
        ],
    };
    trained(net)
}

/// A network of the zoo.
pub(crate) fn of(name: &str) -> Model {
    trained(build(name, 10).unwrap())
}

/// A model whose batch norms have statistics, weights and biases that change something.
pub(crate) fn trained(net: Net) -> Model {
    let model = Model::initialise(net, 7, &Device::Cpu).unwrap();
    for variable in &model.variables {
        let (shape, dtype) = (variable.var.shape().clone(), variable.var.dtype());
        let last = variable.name.rsplit('.').next().unwrap();
        let value = match last {
            "running_var" => uniform(&shape, 0.3, 2.0),
            "running_mean" => uniform(&shape, -0.3, 0.3),
            "num_batches_tracked" => Tensor::full(12345i64, shape, &Device::Cpu).unwrap(),
            "bias" => uniform(&shape, -0.2, 0.2),
            "weight" if shape.rank() == 1 => uniform(&shape, 0.5, 1.5),
            _ => continue,
        };
        assert_eq!(value.dtype(), dtype);
        variable.var.set(&value).unwrap();
    }
    model
}

/// Normalised images for `net`.
pub(crate) fn images(net: &Net, n: usize) -> Tensor {
    let [c, h, w] = net.input;
    uniform(&(n, c, h, w).into(), -2.0, 2.0)
}

fn uniform(shape: &candle_core::Shape, low: f32, high: f32) -> Tensor {
    static STATE: AtomicU64 = AtomicU64::new(1);
    let next = |_| {
        // A linear congruential generator (Knuth's MMIX constants).
        let step = |s: u64| {
            s.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
        };
        let state = STATE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |s| Some(step(s)));
        let unit = (state.unwrap_or_default() >> 40) as f32 / (1u64 << 24) as f32;
        low + (high - low) * unit
    };
    let values: Vec<f32> = (0..shape.elem_count()).map(next).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap().to_dtype(DType::F32).unwrap()
}

/// The logits of `model` by what files are read back with, so that the bits can be compared.
pub(crate) fn logits(model: &Model, images: &Tensor) -> Tensor {
    let tensors = model.variables.iter().map(|v| (v.name.clone(), v.var.as_tensor().clone()));
    RereadNet::new(&model.net, tensors.collect()).unwrap().logits(images).unwrap()
}
