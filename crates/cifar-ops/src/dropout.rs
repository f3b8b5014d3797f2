//! Dropout whose draws can be repeated, and how keys reach it through modules that take none.

use std::cell::RefCell;
use std::rc::Rc;

use candle_core::{Result, Tensor, bail};
use cifar_kernels::dropout;

/// `x`, of shape `(N, …)`, with values left out at random with probability `p`, in `0..1`, and the
/// others divided by `1 - p`: `torch.nn.functional.dropout` in training.
///
/// `keys`: one number for each image. What is left out of an image follows from its key and the
/// place in it, so the same keys leave out the same values: in a run that is resumed, in another
/// batch, on another device. Two dropouts of one network need different keys.
///
/// # Errors
/// Another `p`; a number of keys that is not `N`.
pub fn dropout(x: &Tensor, p: f64, keys: &[u64]) -> Result<Tensor> {
    if !(0.0..1.0).contains(&p) {
        bail!("dropout: p is {p}, expected at least 0 and less than 1");
    }
    let n = x.dims().first().copied().unwrap_or(0);
    if n == 0 || keys.len() != n {
        bail!(
            "dropout: {} keys for an input of shape {:?}, expected one an image",
            keys.len(),
            x.dims()
        );
    }
    let len = x.elem_count() / n;
    let factors = keys.iter().flat_map(|&key| (0..len).map(move |at| dropout::factor(p, key, at)));
    let factors = Tensor::from_iter(factors, x.device())?;
    x * factors.reshape(x.shape())?.to_dtype(x.dtype())?
}

/// Runs `pass` with `keys`, one for each image, as the calling thread's [`image_keys`]. This is how a
/// trainer gives them to the dropouts of a module, whose `forward_t` takes images alone.
pub fn with_image_keys<T>(keys: &[u64], pass: impl FnOnce() -> T) -> T {
    struct Restore(Rc<[u64]>);
    impl Drop for Restore {
        fn drop(&mut self) {
            KEYS.with_borrow_mut(|keys| std::mem::swap(keys, &mut self.0));
        }
    }
    let _restore = Restore(KEYS.replace(keys.into()));
    pass()
}

/// The keys that the calling thread's [`with_image_keys`] was given; none outside of it.
pub fn image_keys() -> Rc<[u64]> {
    KEYS.with_borrow(Rc::clone)
}

thread_local! {
    static KEYS: RefCell<Rc<[u64]>> = RefCell::new(Rc::from([]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{DType, Device, Var};

    #[test]
    fn the_gradient_passes_where_the_value_did() {
        let x = Var::from_tensor(&Tensor::ones((2, 3, 8, 8), DType::F32, &Device::Cpu).unwrap());
        let x = x.unwrap();
        let y = dropout(&x, 0.25, &[1, 2]).unwrap();
        let values: Vec<f32> = y.flatten_all().unwrap().to_vec1().unwrap();
        assert!(values.contains(&0.0) && values.contains(&(4.0 / 3.0)));
        assert_ne!(values[..192], values[192..]);
        let dx = y.sum_all().unwrap().backward().unwrap().remove(x.as_tensor()).unwrap();
        assert_eq!(dx.flatten_all().unwrap().to_vec1::<f32>().unwrap(), values);
    }

    #[test]
    fn bf16_stays_bf16() {
        let x = Tensor::ones((1, 64), DType::BF16, &Device::Cpu).unwrap();
        let y = dropout(&x, 0.5, &[7]).unwrap();
        assert_eq!(y.dtype(), DType::BF16);
        let values: Vec<f32> =
            y.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
        assert!(values.iter().all(|&value| value == 0.0 || value == 2.0));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let x = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
        for p in [1.0, -0.1, f64::NAN] {
            assert!(dropout(&x, p, &[1, 2]).unwrap_err().to_string().contains("p is"));
        }
        let error = dropout(&x, 0.5, &[1]).unwrap_err().to_string();
        assert!(error.contains("1 keys") && error.contains("[2, 3]"), "{error}");
    }

    #[test]
    fn keys_hold_within_their_pass_alone() {
        assert!(image_keys().is_empty());
        with_image_keys(&[1, 2], || {
            with_image_keys(&[3], || assert_eq!(*image_keys(), [3]));
            assert_eq!(*image_keys(), [1, 2]);
        });
        assert!(image_keys().is_empty());
    }
}
