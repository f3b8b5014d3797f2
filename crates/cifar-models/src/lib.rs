//! The networks, each a dozen lines of layer graph, with their first and their saved weights.
//!
//! ```
//! use candle_core::Device;
//! use cifar_models::{Model, build};
//!
//! let net = build("simplenet", 10)?;
//! assert_eq!(net.n_parameters(), 25_578);
//! let model = Model::initialise(net, 0, &Device::Cpu)?;
//! assert_eq!(model.variables[0].name, "conv1.weight");
//! # Ok::<(), cifar_models::ModelError>(())
//! ```
//!
//! Names and shapes are PyTorch's, so weights travel both ways as safetensors files; files of
//! `torch.save` and TorchScript are read as well.

mod airnet94;
mod compare;
mod error;
mod init;
mod model;
mod simple_net;
mod small_resnet;
mod stored;
pub mod torch_file;
mod weights;
mod whitening;

pub use cifar_net::{Net, Variable};
pub use error::ModelError;
pub use model::Model;
pub use stored::StoredTensor;

/// Names that [`build`] knows.
pub const NAMES: &[&str] = &["simplenet", "small-resnet", "airnet94"];

/// The architecture called `name`, for pictures of 3×32×32 and `n_classes` classes.
///
/// # Errors
/// [`ModelError::Unknown`], with the names there are; [`ModelError::Net`] for 0 classes.
pub fn build(name: &str, n_classes: usize) -> Result<Net, ModelError> {
    let net = match name {
        "simplenet" => simple_net::simple_net(n_classes),
        "small-resnet" => small_resnet::small_resnet(n_classes),
        "airnet94" => airnet94::airnet94(n_classes),
        _ => return Err(ModelError::Unknown { name: name.to_owned() }),
    };
    net.steps()?;
    Ok(net)
}
