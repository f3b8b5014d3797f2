//! What is fuzzed: each function reads bytes that anyone may have written. It must neither panic
//! nor allocate beyond what the size of the input explains; whether it refuses them is its own
//! affair.
//!
//! A new target is a function here, a file in `fuzz_targets`, a folder of seeds in `corpus`, and a
//! line in [`TARGETS`] and in `Cargo.toml`.

use std::path::Path;
use std::sync::LazyLock;

use candle_core::Device;
use cifar_models::{Model, ModelError, torch_file};
use cifar_net::{BatchNorm2d, Conv2d, Layer, Linear, Net, Node};

/// The targets by name.
pub const TARGETS: [(&str, fn(&[u8])); 5] = [
    ("pickle", pickle),
    ("torch_archive", torch_archive),
    ("weights", weights),
    ("pickled_batch", pickled_batch),
    ("image_file", image_file),
];

/// A pickle with PyTorch's vocabulary, which has everything that a vocabulary can.
pub fn pickle(bytes: &[u8]) {
    let _ = cifar_pickle::load(bytes, &torch_file::Torch);
}

/// What `torch.save` or `torch.jit.save` wrote.
pub fn torch_archive(bytes: &[u8]) {
    let _ = torch_file::read(bytes);
}

/// Weights for a network, in any format.
pub fn weights(bytes: &[u8]) {
    static TINY: LazyLock<Option<Model>> = LazyLock::new(|| tiny().ok());
    let model = TINY.as_ref().expect("a network of 44 numbers");
    let _ = model.load_weights_from(bytes, Path::new("fuzzed"));
}

/// The network whose weights are the seeds of [`weights`].
///
/// # Errors
/// candle's, where there is no memory.
pub fn tiny() -> Result<Model, ModelError> {
    let layers = vec![
        Node::new("conv", Conv2d::new(2, 3, 1).without_bias()),
        Node::new("norm", BatchNorm2d::new(3)),
        Node::new("flatten", Layer::Flatten),
        Node::new("fc", Linear::new(12, 2)),
    ];
    let net = Net { name: "tiny".to_owned(), input: [2, 2, 2], n_classes: 2, layers };
    Model::initialise(net, 0, &Device::Cpu)
}

/// A batch of CIFAR-10's Python version with one picture.
pub fn pickled_batch(bytes: &[u8]) {
    let _ = cifar_data::pickled_records(bytes, Path::new("fuzzed"), 1);
}

/// A picture of any format.
pub fn image_file(bytes: &[u8]) {
    let _ = cifar_data::image_file::decode(bytes, Path::new("fuzzed"), 32, 32);
}
