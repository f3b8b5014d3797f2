//! AirNet94: a whitening convolution and three groups of two convolutions; 1,972,792 parameters.

use cifar_net::{
    Activation, BatchNorm2d, Conv2d, Layer, Linear, MaxPool2d, Net, Node, Sequential, WeightInit,
};

/// The network of airbench94 (Jordan 2024, arXiv:2404.00498), which reaches 94 % in the fewest
/// operations known: no shortcuts, pooling as early as the first group, GELU.
///
/// The first convolution is frozen and is to be set to the principal directions of the training
/// images' 2×2 patches before training; until then it holds PyTorch's first values.
pub(crate) fn airnet94(n_classes: usize) -> Net {
    let whiten = Conv2d::new(3, 24, 2).freeze_weight();
    let layers = Sequential::of([
        Activation::Gelu.into(),
        group(24, 64),
        group(64, 256),
        group(256, 256),
        MaxPool2d::new(3).into(),
    ]);
    let head = Linear::new(256, n_classes).without_bias().init(WeightInit::UnitStd);
    Net {
        name: "airnet94".to_owned(),
        input: [3, 32, 32],
        n_classes,
        layers: vec![
            Node::new("whiten", whiten),
            Node::new("layers", layers),
            Node::new("flatten", Layer::Flatten),
            Node::new("head", head),
            Node::new("scale", Layer::Scale(1.0 / 256.0)),
        ],
    }
}

/// Two 3×3 convolutions with batch norm and GELU, the first followed by pooling.
fn group(c_in: usize, c_out: usize) -> Layer {
    let conv = |c_in| Conv2d::new(c_in, c_out, 3).padding(1).without_bias().init(WeightInit::Dirac);
    let norm = BatchNorm2d::new(c_out).eps(1e-12).momentum(0.4).freeze_weight();
    let nodes = vec![
        Node::new("conv1", conv(c_in)),
        Node::new("pool", MaxPool2d::new(2)),
        Node::new("norm1", norm),
        Node::new("activ1", Activation::Gelu),
        Node::new("conv2", conv(c_out)),
        Node::new("norm2", norm),
        Node::new("activ2", Activation::Gelu),
    ];
    Sequential { nodes }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cifar_net::ParameterKind;

    #[test]
    fn parameters_and_multiply_adds_are_as_published() {
        let net = airnet94(10);
        assert_eq!(net.n_parameters(), 1_972_792);
        // 118.1 million, by the shapes 31, 15, 15, 7, 7, 3.
        let convs = 961 * 288 + 961 * 13_824 + 225 * 36_864 + 225 * 147_456;
        let deeper = 49 * (589_824 + 589_824) + 9 * 589_824;
        assert_eq!(net.multiply_adds().unwrap(), convs + deeper + 2_560);
    }

    #[test]
    fn whitening_and_the_scales_of_batch_norm_are_frozen() {
        let specs = airnet94(10).parameters();
        let names = |kind: ParameterKind| -> Vec<String> {
            let of_kind = specs.iter().filter(|spec| spec.kind == kind);
            of_kind.map(|spec| spec.name.clone()).collect()
        };
        let scales =
            (1..4).flat_map(|group| [1, 2].map(|at| format!("layers.{group}.norm{at}.weight")));
        let frozen: Vec<String> =
            std::iter::once("whiten.weight".to_owned()).chain(scales).collect();
        assert_eq!(names(ParameterKind::Frozen), frozen);
        let trained = names(ParameterKind::Weight);
        assert_eq!(trained[..3], ["whiten.bias", "layers.1.conv1.weight", "layers.1.norm1.bias"]);
        assert_eq!(trained.last().unwrap(), "head.weight");
    }
}
