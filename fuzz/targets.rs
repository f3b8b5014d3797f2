//! What is fuzzed: each function reads bytes that anyone may have written. It must neither panic
//! nor allocate beyond what the size of the input explains; whether it refuses them is its own
//! affair.
//!
//! A new target is a function here, a file in `fuzz_targets`, a folder of seeds in `corpus`, and a
//! line in [`TARGETS`] and in `Cargo.toml`.

use std::path::Path;
use std::sync::LazyLock;

use candle_core::Device;
use cifar_data::ImageFolder;
use cifar_export::{Dtype, Format, Options, Subject};
use cifar_models::{Model, ModelError, torch_file};
use cifar_net::{BatchNorm2d, Conv2d, Layer, Linear, Net, Node};

/// A name, and what reads the bytes.
pub type Target = (&'static str, fn(&[u8]));

/// The targets by name.
pub const TARGETS: [Target; 8] = [
    ("pickle", pickle),
    ("torch_archive", torch_archive),
    ("weights", weights),
    ("pickled_batch", pickled_batch),
    ("image_file", image_file),
    ("image_folder", image_folder),
    ("onnx", onnx),
    ("torchscript", torchscript),
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

/// A folder of folders of pictures: for each file a byte for its class and the format its name
/// claims, two for its length, and its bytes.
pub fn image_folder(mut bytes: &[u8]) {
    const ENDINGS: [&str; 8] = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "PNG", "txt"];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut n = 0;
    while let [what, low, high, rest @ ..] = bytes {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(rest.len());
        let (class, ending) = (what % 4, ENDINGS[usize::from(what / 4 % 8)]);
        let class = folder.path().join(format!("class {class}"));
        std::fs::create_dir_all(&class).expect("a folder");
        std::fs::write(class.join(format!("{n}.{ending}")), &rest[..len]).expect("a file");
        (bytes, n) = (&rest[len..], n + 1);
    }
    let _ = ImageFolder::open(folder.path()).map(|pictures| pictures.read());
}

/// An ONNX file that `cifar verify` is to trust.
pub fn onnx(bytes: &[u8]) {
    reread(Format::Onnx, bytes);
}

/// A TorchScript archive that `cifar verify` is to trust.
pub fn torchscript(bytes: &[u8]) {
    reread(Format::TorchScript, bytes);
}

fn reread(format: Format, bytes: &[u8]) {
    static TINY: LazyLock<Option<Subject>> = LazyLock::new(|| exported().ok());
    let subject = TINY.as_ref().expect("a network of 44 numbers");
    let _ = format.reread(bytes, subject);
}

/// The network that the seeds of [`onnx`] and [`torchscript`] were exported from.
///
/// # Errors
/// candle's, where there is no memory.
pub fn exported() -> Result<Subject, Box<dyn std::error::Error>> {
    let options = Options { fold_batch_norm: false, preprocess: None, dtype: Dtype::F32 };
    Ok(Subject::new(&tiny()?, &options)?)
}
