//! SmallResNet: a stem and three stages of two residual blocks; 2,777,674 parameters.

use cifar_net::{Activation, BatchNorm2d, Conv2d, Layer, Linear, Net, Node, Residual, Sequential};

/// A residual network (He et al. 2015, arXiv:1512.03385) of widths 64, 128 and 256.
pub(crate) fn small_resnet(n_classes: usize) -> Net {
    let stem = Sequential::of([
        Conv2d::new(3, 64, 3).padding(1).without_bias().into(),
        BatchNorm2d::new(64).into(),
        Activation::Relu.into(),
    ]);
    let stage = |c_in, c_out, stride| {
        Sequential::of([res_block(c_in, c_out, stride), res_block(c_out, c_out, 1)])
    };
    Net {
        name: "small-resnet".to_owned(),
        input: [3, 32, 32],
        n_classes,
        layers: vec![
            Node::new("stem", stem),
            Node::new("layer1", stage(64, 64, 1)),
            Node::new("layer2", stage(64, 128, 2)),
            Node::new("layer3", stage(128, 256, 2)),
            Node::new("pool", Layer::GlobalAvgPool),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc", Linear::new(256, n_classes)),
        ],
    }
}

/// Two 3×3 convolutions beside a shortcut, which is a 1×1 projection where the shape changes.
fn res_block(c_in: usize, c_out: usize, stride: usize) -> Layer {
    let conv = Sequential::of([
        Conv2d::new(c_in, c_out, 3).stride(stride).padding(1).without_bias().into(),
        BatchNorm2d::new(c_out).into(),
        Activation::Relu.into(),
        Conv2d::new(c_out, c_out, 3).padding(1).without_bias().into(),
        BatchNorm2d::new(c_out).into(),
    ]);
    let block = Residual::new(Node::new("conv", conv), Activation::Relu);
    if stride == 1 && c_in == c_out {
        return block.into();
    }
    let shortcut = Sequential::of([
        Conv2d::new(c_in, c_out, 1).stride(stride).without_bias().into(),
        BatchNorm2d::new(c_out).into(),
    ]);
    block.shortcut(Node::new("shortcut", shortcut)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NORM: [&str; 5] =
        ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"];

    fn block(path: &str, projected: bool) -> Vec<String> {
        let norm = |at: &str| NORM.map(|name| format!("{path}.{at}.{name}"));
        let mut names = vec![format!("{path}.conv.0.weight")];
        names.extend(norm("conv.1"));
        names.push(format!("{path}.conv.3.weight"));
        names.extend(norm("conv.4"));
        if projected {
            names.push(format!("{path}.shortcut.0.weight"));
            names.extend(norm("shortcut.1"));
        }
        names
    }

    #[test]
    fn names_are_those_of_the_pytorch_module_in_its_order() {
        let mut want = vec!["stem.0.weight".to_owned()];
        want.extend(NORM.map(|name| format!("stem.1.{name}")));
        for (stage, projected) in [("layer1", false), ("layer2", true), ("layer3", true)] {
            want.extend(block(&format!("{stage}.0"), projected));
            want.extend(block(&format!("{stage}.1"), false));
        }
        want.extend(["fc.weight", "fc.bias"].map(String::from));
        let names: Vec<String> =
            small_resnet(10).parameters().into_iter().map(|s| s.name).collect();
        assert_eq!(names, want);
    }

    #[test]
    fn parameters_and_multiply_adds_are_as_designed() {
        let net = small_resnet(10);
        assert_eq!(net.n_parameters(), 2_777_674);
        // Two operations each: 0.84 GFLOP forward an image.
        let gflop = 2.0 * net.multiply_adds().unwrap() as f64 / 1e9;
        assert!((gflop - 0.84).abs() < 0.005, "{gflop}");
    }
}
