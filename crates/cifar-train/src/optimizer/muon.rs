//! Momentum whose update of each weight matrix is orthogonalised.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor, Var, bail};
use cifar_kernels::optimizer::{self, MuonStep};
use cifar_kernels::orthogonal::{COEFFICIENTS, EPS, orthogonalize};
use serde::{Deserialize, Serialize};

use super::{
    OptimizerStateError, Slots, check_momentum, named, refuse_rest, take, update_in_place,
};
use crate::recipe::{RecipeError, require};
use crate::schedule::StepSize;

const SLOTS: [&str; 1] = ["momentum_buffer"];

/// Constants of [`Muon`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct MuonConfig {
    /// Base or peak learning rate, positive.
    pub learning_rate: f64,
    /// Share of the last update kept, in `0..1`.
    pub momentum: f64,
    /// Nesterov's look-ahead; needs momentum.
    pub nesterov: bool,
    /// Newton–Schulz iterations, at least 1.
    pub newton_schulz_steps: u32,
    /// Whether each weight is first brought to the Frobenius norm `√rows`, at every step.
    pub normalize_weights: bool,
}

impl MuonConfig {
    pub(super) fn check(&self) -> std::result::Result<(), RecipeError> {
        check_momentum(self.momentum, self.nesterov)?;
        let steps = self.newton_schulz_steps;
        require("optimizer.newton-schulz-steps", steps, steps >= 1, "at least 1")
    }
}

/// Muon (Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon/>), as in airbench94:
/// `buf = momentum buf + g`, `d = nesterov ? g + momentum buf : buf`, `w -= lr orthogonal(d)`.
///
/// A weight of more than two dimensions counts as a matrix of its first dimension against all
/// others. Orthogonalisation runs in the weights' own type (airbench94's in bf16).
#[derive(Debug)]
pub struct Muon {
    config: MuonConfig,
    weights: Vec<(String, Var)>,
    buffers: Vec<Slots<1>>,
}

impl Muon {
    /// Zero momentum for every weight.
    ///
    /// # Errors
    /// A weight that is no matrix; candle's, where the buffers cannot be allocated.
    pub fn new(config: MuonConfig, weights: Vec<(String, Var)>) -> Result<Self> {
        if let Some((name, var)) = weights.iter().find(|(_, var)| var.dims().len() < 2) {
            bail!(
                "muon trains matrices, `{name}` has the shape {:?}; name it in `parameter-groups` with another optimizer",
                var.dims()
            );
        }
        let buffers = weights.iter().map(|(_, var)| Slots::zeros(var)).collect::<Result<_>>()?;
        Ok(Self { config, weights, buffers })
    }

    pub(super) fn step(
        &mut self,
        gradients: &[Tensor],
        size: StepSize,
        gradient_scale: f64,
    ) -> Result<()> {
        let step = MuonStep {
            gradient_scale: gradient_scale as f32,
            learning_rate: size.learning_rate,
            momentum: size.momentum.unwrap_or(self.config.momentum),
            nesterov: self.config.nesterov,
            newton_schulz_steps: self.config.newton_schulz_steps,
            normalize_weights: self.config.normalize_weights,
        };
        for (((_, var), gradient), buffer) in
            self.weights.iter().zip(gradients).zip(&mut self.buffers)
        {
            match buffer {
                Slots::Values([buffer]) => {
                    let rows = var.dim(0)?;
                    let shape = (rows, var.elem_count() / rows.max(1));
                    update_in_place(var, gradient, |weights, gradients| {
                        optimizer::muon(weights, gradients, buffer, shape, &step);
                    })?;
                }
                Slots::Tensors([buffer]) => update(var, gradient, buffer, &step)?,
            }
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        named(SLOTS, &self.weights, &self.buffers)
    }

    pub(super) fn load_state(
        &mut self,
        state: &mut BTreeMap<String, Tensor>,
    ) -> std::result::Result<(), OptimizerStateError> {
        let buffers = take(state, SLOTS, &self.weights)?;
        refuse_rest(state)?;
        self.buffers = buffers;
        Ok(())
    }
}

/// [`optimizer::muon`] by candle's operations.
fn update(var: &Var, gradient: &Tensor, buffer: &mut Tensor, step: &MuonStep) -> Result<()> {
    let gradient = (gradient * f64::from(step.gradient_scale))?;
    *buffer = ((&*buffer * step.momentum)? + &gradient)?;
    let direction =
        if step.nesterov { (gradient + (&*buffer * step.momentum)?)? } else { buffer.clone() };
    let direction = orthogonal(&direction.flatten_from(1)?, step.newton_schulz_steps)?;
    let mut weight = var.as_detached_tensor();
    if step.normalize_weights {
        let n_rows = weight.dim(0)? as f64;
        weight = (&weight * (n_rows.sqrt() / norm(&weight)?))?;
    }
    let change = (direction.reshape(var.shape())? * step.learning_rate)?;
    var.set(&(weight - change)?)
}

/// `matrix`, `(rows, columns)`, with its singular values brought near 1 by `steps` Newton–Schulz
/// iterations ([`orthogonalize`]); zeros stay zeros.
///
/// # Errors
/// candle's, for what is no matrix.
pub fn orthogonal(matrix: &Tensor, steps: u32) -> Result<Tensor> {
    let (rows, columns) = matrix.dims2()?;
    if matches!(matrix.device(), Device::Cpu) && matrix.dtype() == DType::F32 {
        let mut values = matrix.flatten_all()?.to_vec1()?;
        orthogonalize(&mut values, (rows, columns), steps);
        return Tensor::from_vec(values, (rows, columns), &Device::Cpu);
    }
    let tall = rows > columns;
    // The product X Xᵀ is smaller for a wide matrix.
    let wide = if tall { matrix.t()?.contiguous()? } else { matrix.contiguous()? };
    let [a, b, c] = COEFFICIENTS.map(f64::from);
    let mut x = (&wide / (norm(&wide)? + f64::from(EPS)))?;
    for _ in 0..steps {
        let gram = x.matmul(&x.t()?)?;
        let factor = ((&gram * b)? + (gram.matmul(&gram)? * c)?)?;
        x = ((&x * a)? + factor.matmul(&x)?)?;
    }
    if tall { x.t()?.contiguous() } else { Ok(x) }
}

/// The Frobenius norm.
fn norm(tensor: &Tensor) -> Result<f64> {
    tensor.sqr()?.sum_all()?.sqrt()?.to_dtype(DType::F64)?.to_scalar()
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const CONFIG: MuonConfig = MuonConfig {
        learning_rate: 0.1,
        momentum: 0.6,
        nesterov: true,
        newton_schulz_steps: 3,
        normalize_weights: true,
    };

    fn matrix(values: &[f64], rows: usize, columns: usize) -> Tensor {
        Tensor::from_slice(values, (rows, columns), &Device::Cpu).unwrap()
    }

    /// On a diagonal matrix every singular value goes its own way: `s <- a s + b s³ + c s⁵`.
    #[test]
    fn singular_values_follow_the_polynomial() {
        let result = orthogonal(&matrix(&[3.0, 0.0, 0.0, 0.0, 4.0, 0.0], 2, 3), 3).unwrap();
        let [a, b, c] = COEFFICIENTS.map(f64::from);
        let follow = |mut s: f64| {
            for _ in 0..3 {
                s = a * s + b * s.powi(3) + c * s.powi(5);
            }
            s
        };
        let result: Vec<Vec<f64>> = result.to_vec2().unwrap();
        // The norm is 5, so they start at 0.6 and 0.8.
        assert!((result[0][0] - follow(0.6)).abs() < 1e-6, "{result:?}");
        assert!((result[1][1] - follow(0.8)).abs() < 1e-6, "{result:?}");
        assert_eq!((result[0][1], result[0][2], result[1][2]), (0.0, 0.0, 0.0));
    }

    #[test]
    fn a_tall_matrix_is_treated_as_the_wide_one_it_is_the_transpose_of() {
        let wide = matrix(&[0.3, -1.0, 2.0, 0.5, 0.1, -0.7], 2, 3);
        let from_wide = orthogonal(&wide, 3).unwrap().t().unwrap();
        let from_tall = orthogonal(&wide.t().unwrap(), 3).unwrap();
        assert_eq!(from_tall.to_vec2::<f64>().unwrap(), from_wide.to_vec2::<f64>().unwrap());
    }

    /// f32 goes through the kernel, f64 through candle's operations.
    #[test]
    fn steps_are_the_same_in_place_and_by_candle() {
        let start = Tensor::rand(-1f32, 1.0, (4, 3, 2), &Device::Cpu).unwrap();
        let gradients = [(); 2].map(|()| start.rand_like(-1.0, 1.0).unwrap());
        let run = |dtype: DType| -> Vec<f32> {
            let config = MuonConfig { newton_schulz_steps: 2, ..CONFIG };
            let var = Var::from_tensor(&start.to_dtype(dtype).unwrap()).unwrap();
            let mut muon = Muon::new(config, vec![("w".to_owned(), var.clone())]).unwrap();
            let size = StepSize { learning_rate: 0.1, momentum: None };
            for gradient in &gradients {
                muon.step(&[gradient.to_dtype(dtype).unwrap()], size, 0.5).unwrap();
            }
            let weights = var.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
            weights.to_vec1().unwrap()
        };
        for (in_place, by_candle) in run(DType::F32).into_iter().zip(run(DType::F64)) {
            assert!((in_place - by_candle).abs() <= 2e-6, "{in_place} {by_candle}");
        }
    }

    #[test]
    fn zeros_stay_zeros() {
        let zeros = orthogonal(&matrix(&[0.0; 4], 2, 2), 3).unwrap();
        assert_eq!(zeros.to_vec2::<f64>().unwrap(), [[0.0, 0.0], [0.0, 0.0]]);
    }

    #[test]
    fn a_vector_is_refused_by_name() {
        let bias = Var::zeros(4, DType::F32, &Device::Cpu).unwrap();
        let error = Muon::new(CONFIG, vec![("fc.bias".to_owned(), bias)]).unwrap_err().to_string();
        assert!(error.contains("`fc.bias`") && error.contains("parameter-groups"), "{error}");
    }
}
