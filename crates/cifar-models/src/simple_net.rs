//! SimpleNet: two convolutions, two poolings, one linear layer; 25,578 parameters.

use cifar_net::{Activation, BatchNorm2d, Conv2d, Layer, Linear, MaxPool2d, Net, Node};

/// The first network of many tutorials:
/// conv 3→16, ReLU, pool, conv 16→32, ReLU, pool, linear 2048→`n_classes`; with `batch_norm` one
/// behind each convolution, `norm1` and `norm2`.
pub(crate) fn simple_net(n_classes: usize, batch_norm: bool) -> Net {
    let mut net = Net {
        name: "simplenet".to_owned(),
        input: [3, 32, 32],
        n_classes,
        layers: vec![
            Node::new("conv1", Conv2d::new(3, 16, 3).padding(1)),
            Node::new("relu1", Activation::Relu),
            Node::new("pool1", MaxPool2d::new(2)),
            Node::new("conv2", Conv2d::new(16, 32, 3).padding(1)),
            Node::new("relu2", Activation::Relu),
            Node::new("pool2", MaxPool2d::new(2)),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc1", Linear::new(32 * 8 * 8, n_classes)),
        ],
    };
    if batch_norm {
        // From the last to the first, so that the places count.
        net.layers.insert(4, Node::new("norm2", BatchNorm2d::new(32)));
        net.layers.insert(1, Node::new("norm1", BatchNorm2d::new(16)));
    }
    net
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_shapes_and_counts_are_those_of_the_pytorch_module() {
        let net = simple_net(10, false);
        let specs: Vec<_> = net.parameters().into_iter().map(|s| (s.name, s.shape)).collect();
        let want: [(&str, &[usize]); 6] = [
            ("conv1.weight", &[16, 3, 3, 3]),
            ("conv1.bias", &[16]),
            ("conv2.weight", &[32, 16, 3, 3]),
            ("conv2.bias", &[32]),
            ("fc1.weight", &[10, 2048]),
            ("fc1.bias", &[10]),
        ];
        assert_eq!(specs, want.map(|(name, shape)| (name.to_owned(), shape.to_vec())));
        assert_eq!(net.n_parameters(), 25_578);
        // Times 6 (forward and two backward passes, two operations each): 0.0099 GFLOP an image.
        assert_eq!(net.multiply_adds().unwrap(), 16 * 27 * 1024 + 32 * 144 * 256 + 20_480);
    }
}
