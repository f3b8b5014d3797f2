use candle_core::{DType, Device};
use candle_nn::{ModuleT, VarBuilder, VarMap};
use cifar_net::{Activation, AvgPool2d, BatchNorm2d, Conv2d, Layer, Linear, Net, Node, Sequential};

use super::*;

fn set(variables: &VarMap, name: &str, values: &[f32]) {
    let variable = variables.data().lock().unwrap()[name].clone();
    let value = Tensor::from_slice(values, variable.shape(), &Device::Cpu).unwrap();
    variable.set(&value).unwrap();
}

fn built(net: &Net) -> (CandleNet, VarMap) {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    (CandleNet::new(net, vb).unwrap(), variables)
}

/// A 1x1 convolution to two maps, ReLU, mean, and two classes: the first adds up both maps, the
/// second takes the second map three times and the first one off.
fn known() -> (Net, CandleNet) {
    let net = Net {
        name: "known".into(),
        input: [1, 2, 2],
        n_classes: 2,
        layers: vec![
            Node::new("conv", Conv2d::new(1, 2, 1)),
            Node::new("relu", Activation::Relu),
            Node::new("pool", Layer::GlobalAvgPool),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc", Linear::new(2, 2)),
        ],
    };
    let (module, variables) = built(&net);
    set(&variables, "conv.weight", &[1.0, -2.0]);
    set(&variables, "conv.bias", &[0.0, 2.0]);
    set(&variables, "fc.weight", &[1.0, 1.0, -1.0, 3.0]);
    set(&variables, "fc.bias", &[0.0, 0.0]);
    (net, module)
}

fn image(values: [f32; 4]) -> Tensor {
    Tensor::from_slice(&values, (1, 1, 2, 2), &Device::Cpu).unwrap()
}

#[test]
fn a_net_worked_out_by_hand() {
    let (net, module) = known();
    let stages = net.stages().unwrap();
    let xs = image([0.0, 0.5, 2.0, -1.0]);
    // Maps behind the ReLU: 0, .5, 2, 0 and 2, 1, 0, 4; means .625 and 1.75.
    let first = explain(&module, &stages, &xs, Some(0)).unwrap();
    assert_eq!(first.logits, [0.625 + 1.75, -0.625 + 3.0 * 1.75]);
    assert_eq!(first.stages[0].activations, [0.0, 0.5, 2.0, 0.0, 2.0, 1.0, 0.0, 4.0]);
    // Both maps weigh 1/4: 2, 1.5, 2, 4 quarters.
    assert_eq!(first.stages[0].grad_cam.values(), [0.5, 0.375, 0.5, 1.0]);
    assert_eq!(first.stages[0].grad_cam.peak(), 1.0);
    // 1/4 through the first map where it is positive, -2/4 through the second likewise.
    assert_eq!(first.saliency.values(), [1.0, 0.5, 0.5, 1.0]);
    assert_eq!(first.saliency.peak(), 0.5);

    // The second class has the higher score, so it is explained unasked. The weights are -1/4 and
    // 3/4: 6, 2.5, -2, 12 quarters, and what is negative is cut off.
    let second = explain(&module, &stages, &xs, None).unwrap();
    assert_eq!(second.class, 1);
    assert_eq!(second.stages[0].grad_cam.values(), [0.5, 2.5 / 12.0, 0.0, 1.0]);
    assert_eq!(second.saliency.values(), [1.5 / 1.75, 1.0, 0.25 / 1.75, 1.5 / 1.75]);
}

#[test]
fn a_class_that_nothing_speaks_for_has_a_blank_map_and_no_nan() {
    // Every gradient is negative, every activation positive.
    let map = grad_cam(&[1.0, 2.0, 3.0, 4.0], &[-1.0, -1.0, -0.5, -0.5], [2, 1, 2]);
    assert_eq!((map.values(), map.is_blank()), (&[0.0, 0.0][..], true));
    // No gradient at all reaches the image through a dead ReLU.
    let (net, module) = known();
    let dead = explain(&module, &net.stages().unwrap(), &image([-1.0; 4]), Some(0)).unwrap();
    assert!(!dead.saliency.is_blank(), "the second map is alive");
    assert!(saliency(&[0.0; 12], [3, 2, 2]).is_blank());
}

#[test]
fn saliency_takes_the_strongest_colour() {
    let map = saliency(&[1.0, 0.0, -4.0, 0.5, 2.0, -1.0], [3, 1, 2]);
    assert_eq!(map.values(), [1.0, 0.25]);
}

/// A net without kinks, so that differences of its scores are close to their slopes.
fn deep() -> Net {
    let block = Sequential::of([
        Conv2d::new(3, 8, 3).padding(1).without_bias().into(),
        BatchNorm2d::new(8).into(),
        Activation::Silu.into(),
    ]);
    Net {
        name: "deep".into(),
        input: [3, 6, 6],
        n_classes: 4,
        layers: vec![
            Node::new("stem", block),
            Node::new("pool", AvgPool2d::new(2)),
            Node::new("conv", Conv2d::new(8, 5, 3).padding(1)),
            Node::new("gelu", Activation::Gelu),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc", Linear::new(45, 4)),
        ],
    }
}

fn pixels(n: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 + 11) as f32 * 0.7).sin()).collect()
}

/// The score's answer to each value of the image, by central differences.
#[test]
fn saliency_agrees_with_finite_differences() {
    let net = deep();
    let (module, variables) = built(&net);
    for spec in net.parameters() {
        if spec.shape.len() > 1 {
            let values = pixels(spec.shape.iter().product());
            set(&variables, &spec.name, &values.iter().map(|v| 0.3 * v).collect::<Vec<_>>());
        }
    }
    let values = pixels(108);
    let tensor = |values: &[f32]| Tensor::from_slice(values, (1, 3, 6, 6), &Device::Cpu).unwrap();
    let score = |values: &[f32]| {
        let logits = module.forward_t(&tensor(values), false).unwrap();
        f64::from(logits.i((0, 2)).unwrap().to_scalar::<f32>().unwrap())
    };
    const STEP: f32 = 4e-3;
    let slopes: Vec<f32> = (0..values.len())
        .map(|i| {
            let moved = |by: f32| {
                let mut moved = values.clone();
                moved[i] += by;
                score(&moved)
            };
            ((moved(STEP) - moved(-STEP)) / f64::from(2.0 * STEP)) as f32
        })
        .collect();
    let want = saliency(&slopes, net.input);
    let got = explain(&module, &[], &tensor(&values), Some(2)).unwrap().saliency;
    assert!((got.peak() / want.peak() - 1.0).abs() < 5e-3, "{} and {}", got.peak(), want.peak());
    for (at, (got, want)) in got.values().iter().zip(want.values()).enumerate() {
        assert!((got - want).abs() < 5e-3, "pixel {at}: {got}, by differences {want}");
    }
}

#[test]
fn looking_changes_neither_scores_nor_weights() {
    let net = deep();
    let (module, variables) = built(&net);
    let image = Tensor::from_vec(pixels(108), (1, 3, 6, 6), &Device::Cpu).unwrap();
    let before: Vec<Vec<f32>> = variables
        .all_vars()
        .iter()
        .map(|v| floats(&v.to_dtype(DType::F32).unwrap()).unwrap())
        .collect();
    let plain = floats(&module.forward_t(&image, false).unwrap()).unwrap();
    let explained = explain(&module, &net.stages().unwrap(), &image, None).unwrap();
    assert_eq!(explained.logits, plain);
    let names: Vec<&str> = explained.stages.iter().map(|s| s.stage.name.as_str()).collect();
    assert_eq!(names, ["stem", "conv"]);
    let after: Vec<Vec<f32>> = variables
        .all_vars()
        .iter()
        .map(|v| floats(&v.to_dtype(DType::F32).unwrap()).unwrap())
        .collect();
    assert_eq!(before, after);
}

#[test]
fn the_strongest_maps_come_first() {
    let stage = Stage { name: "s".into(), path: "s".into(), channels: 3, height: 1, width: 2 };
    let activations = vec![1.0, 1.0, 0.0, 5.0, 2.0, 0.0];
    let grad_cam = HeatMap::new(1, 2, vec![0.0; 2]);
    let stage = ExplainedStage { stage, activations, grad_cam };
    assert_eq!(stage.strongest(2), [1, 0], "equal means keep the order of the channels");
    assert_eq!(stage.strongest(9), [1, 0, 2]);
    assert_eq!(stage.feature_map(1), [0.0, 5.0]);
}

#[test]
fn what_cannot_be_explained_is_told() {
    let (net, module) = known();
    let stages = net.stages().unwrap();
    let message =
        |values, class| explain(&module, &stages, &image(values), class).unwrap_err().to_string();
    assert_eq!(
        message([0.0; 4], Some(2)),
        "class 2 is to be explained, and the network knows 2: 0 to 1"
    );
    assert!(message([f32::NAN; 4], None).contains("not finite (NaN): its training diverged"));
    let other = deep().stages().unwrap();
    let error = explain(&module, &other, &image([0.0; 4]), None).unwrap_err().to_string();
    assert!(error.contains("no layer `stem`"), "{error}");
}
