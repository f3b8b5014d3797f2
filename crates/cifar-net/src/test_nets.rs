//! Small nets for this crate's tests.

use crate::{
    Activation, AvgPool2d, BatchNorm2d, Conv2d, Layer, Linear, MaxPool2d, Net, Node, Residual,
    Sequential,
};

/// Every kind of layer once or more: a block with a projection, one without, an odd image.
pub(crate) fn residual() -> Net {
    let stem = Sequential::of([
        Conv2d::new(3, 4, 3).padding(1).without_bias().into(),
        BatchNorm2d::new(4).into(),
        Activation::Relu.into(),
    ]);
    let body =
        Sequential::of([Conv2d::new(4, 6, 3).stride(2).padding(1).into(), Layer::Scale(0.5)]);
    let projection = Sequential::of([
        Conv2d::new(4, 6, 1).stride(2).without_bias().into(),
        BatchNorm2d::new(6).into(),
    ]);
    let identity_body = Sequential::of([Conv2d::new(6, 6, 3).padding(1).without_bias().into()]);
    let relu = Activation::Relu;
    Net {
        name: "residual".into(),
        input: [3, 9, 8],
        n_classes: 5,
        layers: vec![
            Node::new("stem", stem),
            Node::new(
                "block",
                Residual::new(Node::new("conv", body), relu)
                    .shortcut(Node::new("shortcut", projection)),
            ),
            Node::new("again", Residual::new(Node::new("conv", identity_body), relu)),
            Node::new("max", MaxPool2d::new(2)),
            Node::new("mean", AvgPool2d { kernel: 2, stride: 1 }),
            Node::new("pool", Layer::GlobalAvgPool),
            Node::new("flatten", Layer::Flatten),
            Node::new("fc", Linear::new(6, 5)),
        ],
    }
}
