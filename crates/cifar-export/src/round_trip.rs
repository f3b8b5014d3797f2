//! Any net, written and read back in every format, is the same net.

use cifar_net::{
    Activation, AvgPool2d, BatchNorm2d, Conv2d, Layer, Linear, MaxPool2d, Net, Node, Residual,
    Sequential,
};
use proptest::prelude::*;

use crate::reread::RereadNet;
use crate::{Dtype, Format, Options, Reread, Subject, test_models};

/// A layer to add: its kind, a width and a variant.
type Choice = (u8, usize, usize);

/// What the layers so far give.
struct Builder {
    layers: Vec<Node>,
    channels: usize,
    side: usize,
}

impl Builder {
    /// Adds what `choice` says, where it fits.
    fn add(&mut self, (kind, width, variant): Choice) {
        let channels = self.channels;
        let activation = Activation::ALL[variant];
        let conv = |out| Conv2d::new(channels, out, 3).padding(1);
        let layer: Layer = match kind {
            0 => {
                let conv =
                    Conv2d { bias: width.is_multiple_of(2), ..conv(width).stride(1 + variant % 2) };
                self.channels = width;
                self.side = (self.side - 1) / conv.stride + 1;
                conv.into()
            }
            1 => conv(channels).groups(channels).into(),
            2 => BatchNorm2d::new(channels).eps(1e-3).momentum(0.4).into(),
            3 => activation.into(),
            4 if self.side >= 2 => {
                self.side /= 2;
                MaxPool2d::new(2).into()
            }
            5 if self.side >= 2 => {
                self.side -= 1;
                AvgPool2d { kernel: 2, stride: 1 }.into()
            }
            6 => Layer::Scale(0.1 + width as f64 / 3.0),
            7 => {
                let body =
                    [conv(channels).without_bias().into(), BatchNorm2d::new(channels).into()];
                Residual::new(Node::new("conv", Sequential::of(body)), activation).into()
            }
            8 => {
                self.channels = width;
                let body = Sequential::of([conv(width).into(), activation.into()]);
                let shortcut = Conv2d::new(channels, width, 1);
                Residual::new(Node::new("conv", body), activation)
                    .shortcut(Node::new("shortcut", shortcut))
                    .into()
            }
            9 => {
                self.channels = width;
                let norm = BatchNorm2d::new(width);
                Sequential::of([conv(width).into(), norm.into(), activation.into()]).into()
            }
            _ => return,
        };
        self.layers.push(Node::new(format!("layer-{}", self.layers.len()), layer));
    }
}

fn net(channels: usize, side: usize, n_classes: usize, choices: &[Choice]) -> Net {
    let mut builder = Builder { layers: Vec::new(), channels, side };
    choices.iter().for_each(|choice| builder.add(*choice));
    let Builder { mut layers, channels: last, .. } = builder;
    layers.extend([
        Node::new("pool", Layer::GlobalAvgPool),
        Node::new("flatten", Layer::Flatten),
        Node::new("fc", Linear { bias: side.is_multiple_of(2), ..Linear::new(last, n_classes) }),
    ]);
    Net { name: "any-net".to_owned(), input: [channels, side, side], n_classes, layers }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_net_is_read_back_as_it_was_written(
        channels in 1usize..4,
        side in 4usize..12,
        n_classes in 1usize..6,
        choices in prop::collection::vec((0u8..10, 1usize..9, 0usize..3), 0..8),
        fold_batch_norm: bool,
        half: bool,
    ) {
        let model = test_models::trained(net(channels, side, n_classes, &choices));
        let dtype = if half { Dtype::F16 } else { Dtype::F32 };
        let subject =
            Subject::new(&model, &Options { fold_batch_norm, preprocess: None, dtype }).unwrap();
        let images = test_models::images(&model.net, 2);
        let tensors = subject.tensors.iter().cloned().collect();
        let rows = |net: &dyn Reread| net.logits(&images).unwrap().to_vec2::<f32>().unwrap();
        let want = rows(&RereadNet::new(&subject.net, tensors).unwrap());
        for format in [Format::Safetensors, Format::TorchScript] {
            let bytes = format.write(&subject, &test_models::metadata()).unwrap();
            let got = rows(&*format.reread(&bytes, &subject).unwrap());
            prop_assert_eq!(&got, &want, "{}", format.name());
        }
    }

    /// Whatever bytes a file consists of, reading it ends, without a panic.
    #[test]
    fn a_damaged_file_is_refused_or_read(
        at in 0usize..100_000,
        bytes in prop::collection::vec(any::<u8>(), 1..8),
    ) {
        let model = test_models::of("simplenet");
        let subject = Subject::new(&model, &test_models::options()).unwrap();
        for format in Format::ALL {
            let mut file = format.write(&subject, &test_models::metadata()).unwrap();
            let at = at % (file.len() - bytes.len());
            file[at..at + bytes.len()].copy_from_slice(&bytes);
            let _ = format.reread(&file, &subject);
        }
    }
}
