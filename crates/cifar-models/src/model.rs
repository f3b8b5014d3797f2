//! A network with its tensors.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use cifar_net::{CandleNet, Net, ParameterKind, ParameterSpec, Variable};

use crate::error::ModelError;
use crate::init::first_value;
use crate::weights;

/// A network that can be run, trained and saved.
#[derive(Debug)]
pub struct Model {
    /// The architecture.
    pub net: Net,
    /// What runs it: `(N, 3, 32, 32)` f32 images to `(N, K)` logits.
    pub module: CandleNet,
    /// Its tensors in the order of PyTorch's `state_dict`; the module reads the same ones.
    pub variables: Vec<Variable>,
}

impl Model {
    /// Fresh weights of PyTorch's default distribution, a function of `seed` alone.
    ///
    /// # Errors
    /// candle's, where the device cannot hold them.
    pub fn initialise(net: Net, seed: u64, device: &Device) -> Result<Self, ModelError> {
        let specs = net.parameters();
        let values = specs.iter().map(|spec| first_value(spec, seed, device));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        Self::assemble(net, values)
    }

    /// The weights in the file `path`: safetensors, PyTorch's `state_dict`, or TorchScript.
    ///
    /// # Errors
    /// As [`Model::load_weights`].
    pub fn load(net: Net, path: &Path, device: &Device) -> Result<Self, ModelError> {
        let values = weights::read(&net, path, device)?;
        Self::assemble(net, values)
    }

    /// Replaces all tensors by those in the file `path` (safetensors, PyTorch's `state_dict`, or
    /// TorchScript, told apart by content), or none where it does not fit: names and shapes must
    /// be exactly the network's, and floating point is converted, as by PyTorch's
    /// `load_state_dict(strict=True)`.
    ///
    /// # Errors
    /// [`ModelError::Mismatch`] lists what is missing, unexpected or of another shape;
    /// [`ModelError::Damaged`], [`ModelError::Torch`] and [`ModelError::Io`] name the file.
    pub fn load_weights(&self, path: &Path) -> Result<(), ModelError> {
        self.replace(weights::read(&self.net, path, &self.device())?)
    }

    /// The same from the bytes of a file, which `path` names in errors.
    ///
    /// # Errors
    /// As [`Model::load_weights`].
    pub fn load_weights_from(&self, bytes: &[u8], path: &Path) -> Result<(), ModelError> {
        self.replace(weights::parse(&self.net, bytes, path, &self.device())?)
    }

    fn device(&self) -> Device {
        self.variables.first().map_or(Device::Cpu, |v| v.var.device().clone())
    }

    fn replace(&self, values: Vec<Tensor>) -> Result<(), ModelError> {
        for (variable, value) in self.variables.iter().zip(&values) {
            variable.var.set(value)?;
        }
        Ok(())
    }

    /// Writes all tensors to the safetensors file `path`, whole or not at all.
    ///
    /// # Errors
    /// [`ModelError::Io`]; an earlier file of that name is then untouched.
    pub fn save_weights(&self, path: &Path) -> Result<(), ModelError> {
        weights::write(&self.variables, path)
    }

    /// `values` in the order of [`Net::parameters`].
    fn assemble(net: Net, values: Vec<Tensor>) -> Result<Self, ModelError> {
        let mut variables = Vec::with_capacity(values.len());
        let mut by_name = HashMap::with_capacity(values.len());
        for (ParameterSpec { name, kind, .. }, value) in net.parameters().into_iter().zip(values) {
            let var = Var::from_tensor(&value)?;
            by_name.insert(name.clone(), var.as_tensor().clone());
            variables.push(Variable { name, var, trainable: kind == ParameterKind::Weight });
        }
        let device = variables.first().map_or(Device::Cpu, |v| v.var.device().clone());
        let module = CandleNet::new(&net, VarBuilder::from_tensors(by_name, DType::F32, &device))?;
        Ok(Self { net, module, variables })
    }
}

#[cfg(test)]
mod tests;
