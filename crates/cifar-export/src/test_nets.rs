//! Random networks for property tests.

use cifar_net::{
    Activation, AvgPool2d, BatchNorm2d, Conv2d, Layer, Linear, MaxPool2d, Net, Node, Residual,
    Sequential,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// A layer or block, to be put wherever it fits.
#[derive(Clone, Copy, Debug)]
enum Piece {
    Conv {
        width: usize,
        groups: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        bias: bool,
    },
    BatchNorm {
        eps: f64,
    },
    Activation(Activation),
    MaxPool {
        kernel: usize,
        stride: usize,
    },
    AvgPool {
        kernel: usize,
        stride: usize,
    },
    Scale(f64),
    Dropout(f64),
    /// A convolution with its batch norm and activation.
    Block {
        width: usize,
        activation: Activation,
    },
    Residual {
        width: usize,
        stride: usize,
        activation: Activation,
    },
}

/// Networks of up to eight layers or blocks of any kind in any order, for colour images of 4 to 12
/// pixels a side, with 2 to 6 classes.
pub(crate) fn any_net() -> impl Strategy<Value = Net> {
    let sides = (4usize..12, 4usize..12);
    (sides, vec(piece(), 1..8), any::<bool>(), any::<bool>(), 2usize..6).prop_map(
        |((height, width), pieces, pooled, bias, n_classes)| {
            let mut net = Growing { layers: Vec::new(), shape: [3, height, width] };
            pieces.into_iter().for_each(|piece| net.push(piece));
            if pooled {
                net.layer(Layer::GlobalAvgPool);
                net.shape = [net.shape[0], 1, 1];
            }
            net.layer(Layer::Flatten);
            let linear = Linear::new(net.shape.iter().product(), n_classes);
            net.layer(if bias { linear } else { linear.without_bias() });
            Net { name: "random".into(), input: [3, height, width], n_classes, layers: net.layers }
        },
    )
}

fn piece() -> impl Strategy<Value = Piece> {
    let activation = || prop::sample::select(&Activation::ALL);
    let conv = (1usize..4, 1usize..4, 1usize..5, 1usize..4, 0usize..3, any::<bool>());
    let pool = || (1usize..4, 1usize..4);
    prop_oneof![
        3 => conv.prop_map(|(width, groups, kernel, stride, padding, bias)| {
            Piece::Conv { width: width * groups, groups, kernel, stride, padding, bias }
        }),
        2 => prop::sample::select(&[1e-5, 1e-3, 1e-12]).prop_map(|eps| Piece::BatchNorm { eps }),
        2 => activation().prop_map(Piece::Activation),
        1 => pool().prop_map(|(kernel, stride)| Piece::MaxPool { kernel, stride }),
        1 => pool().prop_map(|(kernel, stride)| Piece::AvgPool { kernel, stride }),
        1 => (-2.0..2.0).prop_map(Piece::Scale),
        1 => (0.0..1.0).prop_map(Piece::Dropout),
        2 => (1usize..5, activation()).prop_map(|(width, activation)| {
            Piece::Block { width, activation }
        }),
        2 => (1usize..5, 1usize..3, activation()).prop_map(|(width, stride, activation)| {
            Piece::Residual { width, stride, activation }
        }),
    ]
}

struct Growing {
    layers: Vec<Node>,
    /// What the layers make of an image, `[C, H, W]`.
    shape: [usize; 3],
}

impl Growing {
    fn layer(&mut self, layer: impl Into<Layer>) {
        self.layers.push(Node::new(format!("layer{}", self.layers.len()), layer));
    }

    /// Adds a piece; leaves out what does not fit.
    fn push(&mut self, piece: Piece) {
        let [channels, height, width] = self.shape;
        match piece {
            Piece::Conv { width: out, groups, kernel, stride, padding, bias } => {
                let groups = if channels.is_multiple_of(groups) { groups } else { 1 };
                let conv = Conv2d::new(channels, out, kernel)
                    .stride(stride)
                    .padding(padding)
                    .groups(groups);
                let conv = if bias { conv } else { conv.without_bias() };
                self.windows(conv.into(), kernel, stride, padding, out);
            }
            Piece::BatchNorm { eps } => self.layer(BatchNorm2d::new(channels).eps(eps)),
            Piece::Activation(activation) => self.layer(activation),
            Piece::MaxPool { kernel, stride } => {
                self.windows(MaxPool2d { kernel, stride }.into(), kernel, stride, 0, channels);
            }
            Piece::AvgPool { kernel, stride } => {
                self.windows(AvgPool2d { kernel, stride }.into(), kernel, stride, 0, channels);
            }
            Piece::Scale(factor) => self.layer(Layer::Scale(factor)),
            Piece::Dropout(p) => self.layer(Layer::Dropout(p)),
            Piece::Block { width: out, activation } => {
                let conv = Conv2d::new(channels, out, 3).padding(1).without_bias();
                let norm = BatchNorm2d::new(out);
                self.layer(Sequential::of([conv.into(), norm.into(), activation.into()]));
                self.shape = [out, height, width];
            }
            Piece::Residual { width: out, stride, activation } => {
                let conv = Conv2d::new(channels, out, 3).stride(stride).padding(1).without_bias();
                let body = Sequential::of([conv.into(), BatchNorm2d::new(out).into()]);
                let block = Residual::new(Node::new("conv", body), activation);
                let projection = Conv2d::new(channels, out, 1).stride(stride);
                let identity = stride == 1 && out == channels;
                self.layer(if identity {
                    block
                } else {
                    block.shortcut(Node::new("shortcut", projection))
                });
                self.shape = [out, height.div_ceil(stride), width.div_ceil(stride)];
            }
        }
    }

    fn windows(&mut self, layer: Layer, kernel: usize, stride: usize, padding: usize, out: usize) {
        let [_, height, width] = self.shape;
        let side = |side: usize| Some((side + 2 * padding).checked_sub(kernel)? / stride + 1);
        if let (Some(height), Some(width)) = (side(height), side(width)) {
            self.layer(layer);
            self.shape = [out, height, width];
        }
    }
}
