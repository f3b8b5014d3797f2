//! Global-norm gradient clipping.

use candle_core::{Result, Tensor};

/// Euclidean norm over all gradients taken as one vector.
///
/// # Errors
/// candle's, for a tensor that is not floating point.
pub fn global_norm(gradients: &[Tensor]) -> Result<f64> {
    let mut sum = 0.0;
    for gradient in gradients {
        sum += f64::from(gradient.sqr()?.sum_all()?.to_scalar::<f32>()?);
    }
    Ok(sum.sqrt())
}

/// Scales all gradients by one factor so that their global norm is at most `max_norm`
/// ([`torch.nn.utils.clip_grad_norm_`](https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html);
/// Pascanu et al. 2013, arXiv:1211.5063). `norm` is their [`global_norm`].
///
/// # Errors
/// candle's, where a gradient cannot be scaled.
pub fn clip_to_norm(gradients: &mut [Tensor], norm: f64, max_norm: f64) -> Result<()> {
    // PyTorch's guard against division by zero; it also scales norms just under the limit.
    let factor = max_norm / (norm + 1e-6);
    if factor < 1.0 {
        for gradient in gradients {
            *gradient = (&*gradient * factor)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn gradients() -> Vec<Tensor> {
        vec![
            Tensor::new(&[3f32, 0.0], &Device::Cpu).unwrap(),
            Tensor::new(&[[4f32], [12.0]], &Device::Cpu).unwrap(),
        ]
    }

    #[test]
    fn the_norm_runs_over_all_tensors() {
        assert_eq!(global_norm(&gradients()).unwrap(), 13.0);
    }

    #[test]
    fn clipping_scales_every_tensor_by_the_same_factor() {
        let mut clipped = gradients();
        clip_to_norm(&mut clipped, 13.0, 1.3).unwrap();
        assert!((global_norm(&clipped).unwrap() - 1.3).abs() < 1e-6);
        let first = clipped[0].to_vec1::<f32>().unwrap();
        assert!((first[0] - 0.3).abs() < 1e-6 && first[1] == 0.0, "{first:?}");
    }

    #[test]
    fn a_norm_under_the_limit_changes_nothing() {
        let mut clipped = gradients();
        clip_to_norm(&mut clipped, 13.0, 14.0).unwrap();
        assert_eq!(clipped[1].to_vec2::<f32>().unwrap(), [[4.0], [12.0]]);
    }
}
