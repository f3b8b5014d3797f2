//! Exponential moving average of a model's weights.

use std::collections::BTreeMap;

use candle_core::{DType, Result, Tensor};
use cifar_net::Variable;

/// A slow copy of every variable: `average = decay average + (1 - decay) value` after each step
/// (Polyak & Juditsky 1992; PyTorch's `torch.optim.swa_utils.AveragedModel` with
/// `get_ema_multi_avg_fn` and `use_buffers=True`). Integer buffers are copied.
#[derive(Debug)]
pub struct Ema {
    decay: f64,
    averages: Vec<(String, Tensor)>,
}

impl Ema {
    /// Starts at the variables' present values. `decay` in `0..1`.
    ///
    /// # Errors
    /// candle's, where a copy cannot be made.
    pub fn new(decay: f64, variables: &[Variable]) -> Result<Self> {
        let averages = variables
            .iter()
            .map(|v| Ok((v.name.clone(), v.var.as_detached_tensor().copy()?)))
            .collect::<Result<_>>()?;
        Ok(Self { decay, averages })
    }

    /// Moves the averages towards the present values.
    ///
    /// # Errors
    /// candle's, for shapes that differ.
    pub fn update(&mut self, variables: &[Variable]) -> Result<()> {
        for ((_, average), variable) in self.averages.iter_mut().zip(variables) {
            let value = variable.var.as_detached_tensor();
            *average = if value.dtype() == DType::I64 {
                value.copy()?
            } else {
                ((&*average * self.decay)? + (value * (1.0 - self.decay))?)?
            };
        }
        Ok(())
    }

    /// The averages by name.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        self.averages.iter().cloned().collect()
    }

    /// Puts saved averages back; names and shapes were checked against the variables before.
    pub(crate) fn load_state(&mut self, mut state: BTreeMap<String, Tensor>) {
        for (name, average) in &mut self.averages {
            if let Some(saved) = state.remove(name) {
                *average = saved;
            }
        }
    }

    /// Runs `f` with the averages in the place of the variables' values, then puts them back.
    ///
    /// # Errors
    /// Those of `f`, and candle's.
    pub fn swapped_in<T, E: From<candle_core::Error>>(
        &self,
        variables: &[Variable],
        f: impl FnOnce() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let mut values = Vec::with_capacity(variables.len());
        for ((_, average), variable) in self.averages.iter().zip(variables) {
            values.push(variable.var.as_detached_tensor().copy()?);
            variable.var.set(average)?;
        }
        let result = f();
        for (value, variable) in values.iter().zip(variables) {
            variable.var.set(value)?;
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn variable(value: f32) -> Vec<Variable> {
        let var = Var::from_tensor(&Tensor::new(&[value], &Device::Cpu).unwrap()).unwrap();
        vec![Variable { name: "w".to_owned(), var, trainable: true }]
    }

    fn value(tensor: &Tensor) -> f32 {
        tensor.to_vec1::<f32>().unwrap()[0]
    }

    #[test]
    fn follows_slowly_and_swaps_in_and_out() {
        let variables = variable(1.0);
        let mut ema = Ema::new(0.75, &variables).unwrap();
        variables[0].var.set(&Tensor::new(&[5f32], &Device::Cpu).unwrap()).unwrap();
        ema.update(&variables).unwrap();
        assert_eq!(value(&ema.state()["w"]), 2.0);
        let seen = ema
            .swapped_in(&variables, || {
                Ok::<_, candle_core::Error>(value(&variables[0].var.as_detached_tensor()))
            })
            .unwrap();
        assert_eq!(seen, 2.0);
        assert_eq!(value(&variables[0].var.as_detached_tensor()), 5.0);
    }
}
