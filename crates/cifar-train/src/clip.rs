//! Global-norm gradient clipping.

use candle_core::{CpuStorage, DType, Result, Storage, Tensor};
use cifar_kernels::optimizer::sum_of_squares;

/// Euclidean norm over all gradients taken as one vector.
///
/// # Errors
/// candle's, where a tensor cannot be read.
pub fn global_norm(gradients: &[Tensor]) -> Result<f64> {
    let mut sum = 0.0;
    for gradient in gradients {
        sum += squares(&gradient.contiguous()?)?;
    }
    Ok(sum.sqrt())
}

fn squares(gradient: &Tensor) -> Result<f64> {
    {
        let (storage, layout) = gradient.storage_and_layout();
        if let (Storage::Cpu(CpuStorage::F32(values)), Some((start, end))) =
            (&*storage, layout.contiguous_offsets())
        {
            return Ok(sum_of_squares(&values[start..end]));
        }
    }
    let sum = gradient.sqr()?.sum_all()?.to_dtype(DType::F32)?;
    Ok(f64::from(sum.to_scalar::<f32>()?))
}

/// The factor, at most 1, that brings gradients whose [`global_norm`] is `norm` down to
/// `max_norm`
/// ([`torch.nn.utils.clip_grad_norm_`](https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html);
/// Pascanu et al. 2013, arXiv:1211.5063).
///
/// [`Optimizer::step`](crate::Optimizer::step) multiplies by it as it reads the gradients.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    // PyTorch's guard against division by zero; it also scales norms just under the limit.
    let factor = max_norm / (norm + 1e-6);
    if factor < 1.0 { factor } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_norm_runs_over_all_tensors_in_any_layout() {
        let one = Tensor::new(&[3f32, 0.0], &Device::Cpu).unwrap();
        let columns = Tensor::new(&[[7f32, 4.0], [7.0, 12.0]], &Device::Cpu).unwrap();
        let column = columns.narrow(1, 1, 1).unwrap();
        assert!(!column.is_contiguous());
        assert_eq!(global_norm(&[one, column]).unwrap(), 13.0);
        let rows = columns.narrow(0, 0, 1).unwrap();
        assert_eq!(global_norm(&[rows]).unwrap(), 65f64.sqrt());
    }

    #[test]
    fn a_tensor_that_is_not_f32_has_the_same_norm() {
        let doubles = Tensor::new(&[3f64, 4.0], &Device::Cpu).unwrap();
        assert_eq!(global_norm(&[doubles]).unwrap(), 5.0);
    }

    #[test]
    fn a_norm_over_the_limit_is_brought_down_to_it() {
        assert_eq!(clip_factor(13.0, 1.3), 1.3 / 13.000_001);
        assert!((clip_factor(13.0, 13.0) - 1.0).abs() < 1e-6 && clip_factor(13.0, 13.0) < 1.0);
    }

    #[test]
    fn a_norm_under_the_limit_changes_nothing() {
        assert_eq!(clip_factor(13.0, 14.0), 1.0);
        assert_eq!(clip_factor(0.0, 14.0), 1.0);
    }
}
