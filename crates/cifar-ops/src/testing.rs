//! Inputs and comparisons for tests.

use candle_core::{DType, Device, Result, Tensor, Var};

/// Values of no pattern in −1..1, a function of `seed`.
pub(crate) fn noise(dims: &[usize], seed: u32) -> Tensor {
    filled(dims, seed, |bits| (bits >> 8) as f32 / 8_388_608.0 - 1.0)
}

/// Whole numbers in −2..=2, so that many are equal.
pub(crate) fn whole(dims: &[usize], seed: u32) -> Tensor {
    filled(dims, seed, |bits| (bits >> 8) as f32 % 5.0 - 2.0)
}

fn filled(dims: &[usize], seed: u32, value: impl Fn(u32) -> f32) -> Tensor {
    let mut state = u64::from(seed) | 1 << 40;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        value((state >> 32) as u32)
    };
    let values: Vec<f32> = (0..dims.iter().product()).map(next).collect();
    Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
}

/// `f` of variables equal to `inputs`, and the gradient by each of `Σ f·r` with `r` fixed noise.
pub(crate) fn gradients(
    inputs: &[Tensor],
    f: impl Fn(&[Tensor]) -> Result<Tensor>,
) -> (Tensor, Vec<Tensor>) {
    let vars: Vec<Var> = inputs.iter().map(|x| Var::from_tensor(x).unwrap()).collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let mut store = (&y * direction(&y)).unwrap().sum_all().unwrap().backward().unwrap();
    let gradients = vars.iter().map(|var| store.remove(var).unwrap()).collect();
    (y.detach(), gradients)
}

/// The `r` of [`gradients`].
pub(crate) fn direction(y: &Tensor) -> Tensor {
    noise(y.dims(), 77).to_dtype(y.dtype()).unwrap()
}

pub(crate) fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_dtype(DType::F32).unwrap().to_vec1().unwrap()
}

/// Differences of at most `tolerance` relative to the largest value, at least 1.
pub(crate) fn assert_close(what: &str, got: &Tensor, want: &Tensor, tolerance: f64) {
    assert_eq!(got.dims(), want.dims(), "{what}: shapes differ");
    let (got, want) = (values(got), values(want));
    let largest = want.iter().fold(1.0, |largest: f32, value| largest.max(value.abs()));
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        let error = f64::from((got - want).abs());
        // `<=`, so that NaN fails.
        assert!(
            error <= tolerance * f64::from(largest),
            "{what}: value {i} is {got}, expected {want}"
        );
    }
}
