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

pub use cifar_net::{Activation, Net, Variable};
use cifar_net::{Layer, Node};
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
    build_variant(name, n_classes, Variant::default())
}

/// What is changed of an architecture; what is absent stays as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Variant {
    /// In the place of every activation.
    pub activation: Option<Activation>,
    /// Whether each convolution has a batch norm behind it.
    pub batch_norm: Option<bool>,
    /// The probability of the dropout in front of the classifier, in `0..1`; of 0 there is none.
    pub dropout: Option<f64>,
}

/// As [`build`], changed as `variant` says.
///
/// # Errors
/// Those of [`build`]; [`ModelError::Variant`] for a change that the architecture does not take.
pub fn build_variant(name: &str, n_classes: usize, variant: Variant) -> Result<Net, ModelError> {
    let Variant { activation, batch_norm, dropout } = variant;
    let refuse = |key, takes| Err(ModelError::Variant { model: name.to_owned(), key, takes });
    let mut net = match (name, activation, batch_norm) {
        ("simplenet", ..) => simple_net::simple_net(n_classes, batch_norm.unwrap_or(false)),
        ("small-resnet", _, Some(_)) => return refuse("batch-norm", "`activation` and `dropout`"),
        ("small-resnet", ..) => small_resnet::small_resnet(n_classes),
        ("airnet94", Some(_), _) => return refuse("activation", "none of them"),
        ("airnet94", _, Some(_)) => return refuse("batch-norm", "none of them"),
        ("airnet94", ..) if dropout.is_some() => return refuse("dropout", "none of them"),
        ("airnet94", ..) => airnet94::airnet94(n_classes),
        _ => return Err(ModelError::Unknown { name: name.to_owned() }),
    };
    if let Some(activation) = activation {
        net = net.with_activation(activation);
    }
    if let Some(p) = dropout.filter(|&p| p != 0.0) {
        let classifier = net.layers.len() - 1;
        net.layers.insert(classifier, Node::new("dropout", Layer::Dropout(p)));
    }
    net.steps()?;
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variant_changes_what_it_names_alone() {
        let gelu = Variant { activation: Some(Activation::Gelu), ..Variant::default() };
        let net = build_variant("small-resnet", 10, gelu).unwrap();
        assert_eq!(net, build("small-resnet", 10).unwrap().with_activation(Activation::Gelu));
        let normed = Variant { batch_norm: Some(true), ..Variant::default() };
        let net = build_variant("simplenet", 10, normed).unwrap();
        // Weight and bias of 16 and of 32 channels.
        assert_eq!(net.n_parameters(), 25_578 + 2 * (16 + 32));
        let plain = Variant { batch_norm: Some(false), dropout: Some(0.0), ..Variant::default() };
        assert_eq!(build_variant("simplenet", 10, plain).unwrap(), build("simplenet", 10).unwrap());
        let thinned = Variant { dropout: Some(0.3), ..Variant::default() };
        for (name, classifier) in [("simplenet", "fc1"), ("small-resnet", "fc")] {
            let (net, plain) =
                (build_variant(name, 10, thinned).unwrap(), build(name, 10).unwrap());
            assert_eq!(net.parameters(), plain.parameters());
            let steps = net.steps().unwrap();
            let at = steps.iter().position(|step| *step.layer == Layer::Dropout(0.3)).unwrap();
            assert_eq!(steps[at + 1].path, classifier);
        }
    }

    #[test]
    fn what_an_architecture_does_not_take_is_refused() {
        let normed = Variant { batch_norm: Some(true), ..Variant::default() };
        for (name, takes) in [("small-resnet", "`dropout`"), ("airnet94", "none")] {
            let error = build_variant(name, 10, normed).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("network.batch-norm"), "{error}");
            assert!(error.contains(takes), "{error}");
        }
        let dropout = |p| Variant { dropout: Some(p), ..Variant::default() };
        let error = build_variant("airnet94", 10, dropout(0.1)).unwrap_err().to_string();
        assert!(error.contains("network.dropout"), "{error}");
        for p in [1.0, -0.5, f64::NAN] {
            let error = build_variant("small-resnet", 10, dropout(p)).unwrap_err().to_string();
            assert!(error.contains("a dropout of"), "{error}");
        }
    }
}
