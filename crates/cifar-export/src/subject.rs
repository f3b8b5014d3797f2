//! What is exported.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use cifar_models::Model;
use cifar_net::Net;

use crate::fold::{Folding, fold};
use crate::{Dtype, ExportError, Options};

/// A network and its tensors as every writer takes them: what the options ask for is done already,
/// except preprocessing, which each writer puts into its graph.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The architecture. A folded batch norm is gone from it; its convolution has a bias.
    pub net: Net,
    /// The tensors in the order of PyTorch's `state_dict`, on the CPU: f32, i64 for a batch norm's
    /// counter, and f16 for what [`Dtype::F16`] says.
    pub tensors: Vec<(String, Tensor)>,
    /// What was asked for.
    pub options: Options,
    /// What became of the batch norms.
    pub folding: Folding,
}

impl Subject {
    /// The model as it is now.
    ///
    /// # Errors
    /// [`ExportError::Range`] for a weight that f16 cannot hold.
    pub fn new(model: &Model, options: &Options) -> Result<Self, ExportError> {
        let on_cpu = |v: &cifar_net::Variable| {
            Ok((v.name.clone(), v.var.as_tensor().detach().to_device(&Device::Cpu)?))
        };
        let mut tensors: HashMap<String, Tensor> =
            model.variables.iter().map(on_cpu).collect::<Result<_, ExportError>>()?;
        let (net, folding) = if options.fold_batch_norm {
            fold(&model.net, &mut tensors)?
        } else {
            (model.net.clone(), Folding::none(&model.net))
        };
        let mut in_order = Vec::new();
        for spec in net.parameters() {
            let tensor = tensors.remove(&spec.name).ok_or_else(|| {
                candle_core::Error::CannotFindTensor { path: spec.name.clone() }.bt()
            })?;
            let is_weight = spec.dtype == DType::F32 && spec.shape.len() > 1;
            let tensor = match options.dtype {
                Dtype::F16 if is_weight => to_f16(&spec.name, &tensor)?,
                Dtype::F16 | Dtype::F32 => tensor,
            };
            in_order.push((spec.name, tensor.contiguous()?));
        }
        Ok(Self { net, tensors: in_order, options: options.clone(), folding })
    }

    /// Values in the file that PyTorch counts as parameters.
    pub fn n_parameters(&self) -> usize {
        self.net.n_parameters()
    }
}

fn to_f16(name: &str, tensor: &Tensor) -> Result<Tensor, ExportError> {
    let half = tensor.to_dtype(DType::F16)?;
    let values = half.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let value = tensor.flatten_all()?.to_vec1::<f32>()?[at];
        return Err(ExportError::Range { tensor: name.to_owned(), value });
    }
    Ok(half)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_models;

    #[test]
    fn f16_rounds_the_weights_of_convolutions_and_linear_layers_alone() {
        let model = test_models::residual(1.0);
        let options = Options { fold_batch_norm: false, preprocess: None, dtype: Dtype::F16 };
        let subject = Subject::new(&model, &options).unwrap();
        for ((name, tensor), variable) in subject.tensors.iter().zip(&model.variables) {
            assert_eq!(*name, variable.name);
            let weight = tensor.rank() > 1;
            let counter = name.ends_with("num_batches_tracked");
            let want = if counter {
                DType::I64
            } else if weight {
                DType::F16
            } else {
                DType::F32
            };
            assert_eq!(tensor.dtype(), want, "{name}");
        }
    }

    #[test]
    fn a_weight_beyond_f16_is_refused_by_name() {
        let model = test_models::residual(1.0);
        let (name, first) = (&model.variables[0].name, &model.variables[0].var);
        first.set(&(first.as_tensor() * 1e9).unwrap()).unwrap();
        let options = Options { fold_batch_norm: false, preprocess: None, dtype: Dtype::F16 };
        let error = Subject::new(&model, &options).unwrap_err().to_string();
        assert!(error.starts_with(name.as_str()) && error.contains("export it as f32"), "{error}");
    }
}
