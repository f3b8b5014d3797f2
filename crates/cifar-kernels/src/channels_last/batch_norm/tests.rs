use proptest::prelude::*;

use super::*;
use crate::activation;
use crate::element::bf16;
use crate::layout::{channels_first, channels_last};
use crate::norm::{self, NormShape, Normalised};
use crate::test_values::{narrow, noise, on_every_isa, widen};

fn assert_near(got: &[f32], want: &[f32], bound: f32, what: &str) {
    assert_eq!(got.len(), want.len());
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let near = (got - want).abs() <= bound * want.abs().max(1.0);
        assert!(near, "{what} at {at}: {got}, expected {want}");
    }
}

/// Every pass against its twin on planes, which is tested against the definition.
fn check(n_rows: usize, c: usize, activation: Option<Activation>) {
    let shape = NormShape { channels: c, plane_len: n_rows };
    let (x, dy) = (noise(n_rows * c, 1), noise(n_rows * c, 2));
    let to_planes = |rows: &[f32]| {
        let mut planes = vec![0.0; rows.len()];
        channels_first(rows, c, n_rows, &mut planes);
        planes
    };
    let to_rows = |planes: &[f32]| {
        let mut rows = vec![0.0; planes.len()];
        channels_last(planes, c, n_rows, &mut rows);
        rows
    };
    let per_channel = || vec![0.0; c];
    let (weight, bias) = (noise(c, 3), noise(c, 4));
    let (mut want_mean, mut want_variance) = (per_channel(), per_channel());
    norm::statistics(&to_planes(&x), shape, &mut want_mean, &mut want_variance);
    let inv_std: Vec<f32> = want_variance.iter().map(|v| 1.0 / (v + 1e-5).sqrt()).collect();
    let scale: Vec<f32> = inv_std.iter().zip(&weight).map(|(i, w)| i * w).collect();
    let affine = Affine { mean: &want_mean, scale: &scale, bias: &bias };

    let mut want_y = per_channel();
    want_y.resize(x.len(), 0.0);
    norm::apply(&to_planes(&x), shape, &want_mean, &scale, &bias, &mut want_y);
    let mut want_y = to_rows(&want_y);
    let mut dz = dy.clone();
    if let Some(activation) = activation {
        // Values too near the gate may fall on either side of it.
        if activation == Activation::Relu && want_y.iter().any(|y| y.abs() < 1e-5) {
            return;
        }
        activation::gradient(activation, &want_y, None, &mut dz);
        activation::apply(Some(activation), None, None, &mut want_y);
    }
    let forward = Normalised { mean: &want_mean, inv_std: &inv_std, weight: &weight };
    let (mut want_dweight, mut want_dbias) = (per_channel(), per_channel());
    let (planes, dz_planes) = (to_planes(&x), to_planes(&dz));
    norm::parameter_gradients(
        &planes,
        &dz_planes,
        shape,
        forward,
        &mut want_dweight,
        &mut want_dbias,
    );
    let mut want_dx = vec![0.0; x.len()];
    let sums = (&want_dweight[..], &want_dbias[..]);
    norm::input_gradient(&planes, &dz_planes, shape, forward, sums, &mut want_dx);
    let want_dx = to_rows(&want_dx);

    for isa in Isa::available() {
        isa.force(|| {
            let (mut mean, mut variance) = (per_channel(), per_channel());
            statistics(&x, &mut mean, &mut variance);
            assert_near(&mean, &want_mean, 1e-6, "mean");
            assert_near(&variance, &want_variance, 2e-6, "variance");
            let mut y = vec![9.0; x.len()];
            apply(&x, affine, None, activation, &mut y);
            assert_near(&y, &want_y, 2e-6, "y");
            let (mut dweight, mut dbias) = (per_channel(), per_channel());
            parameter_gradients(&x, &dy, affine, &inv_std, activation, &mut dweight, &mut dbias);
            assert_near(&dweight, &want_dweight, 2e-5, "dweight");
            assert_near(&dbias, &want_dbias, 2e-5, "dbias");
            let (mut dx, mut in_place) = (vec![9.0; x.len()], dy.clone());
            let sums = (&want_dweight, &want_dbias);
            input_gradient(&x, Some(&dy), affine, &inv_std, activation, sums.0, sums.1, &mut dx);
            input_gradient(&x, None, affine, &inv_std, activation, sums.0, sums.1, &mut in_place);
            // About 1/√variance times the bound, and a channel of few values varies little.
            assert_near(&dx, &want_dx, 1e-3, "dx");
            assert_eq!(dx, in_place);
        });
    }
}

fn activations() -> impl Strategy<Value = Option<Activation>> {
    let all = Activation::ALL.map(Some);
    prop_oneof![Just(None), Just(all[0]), Just(all[1]), Just(all[2])]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn passes_equal_those_on_planes(
        n_rows in 3usize..70,
        c in 1usize..90,
        activation in activations(),
    ) {
        check(n_rows, c, activation);
    }

    /// The sum is exact here, so what comes of it is that of the activation alone.
    #[test]
    fn an_addition_comes_before_the_activation(len in 1usize..100, activation in activations()) {
        let (x, residual, dy) = (noise(len * 3, 1), noise(len * 3, 2), noise(len * 3, 3));
        let ones = [1.0; 3];
        let affine = Affine { mean: &[0.0; 3], scale: &ones, bias: &[0.0; 3] };
        on_every_isa(|_| {
            let (mut y, mut want_y) = (vec![9.0; x.len()], vec![9.0; x.len()]);
            apply(&x, affine, Some(&residual), activation, &mut y);
            activation::apply(activation, Some(&x), Some(&residual), &mut want_y);
            assert_near(&y, &want_y, 2e-7, "y");
            let Some(activation) = activation else { return };
            let (mut dz, mut want_dz) = (dy.clone(), dy.clone());
            activation_gradient(&x, affine, &residual, activation, &mut dz);
            activation::gradient(activation, &x, Some(&residual), &mut want_dz);
            assert_near(&dz, &want_dz, 2e-7, "dz");
        });
    }
}

#[test]
fn many_chunks_of_rows() {
    check(3 * ROWS + 5, 16, None);
    check(2 * ROWS, 3, Some(Activation::Gelu));
}

#[test]
fn a_large_mean_costs_no_digits_and_a_nan_spoils_its_channel_only() {
    let mut x: Vec<f32> = (0..4 * 2000).map(|i| 4096.0 + (i / 4 % 2) as f32).collect();
    x[4 * 777 + 2] = f32::NAN;
    for isa in Isa::available() {
        isa.force(|| {
            let (mut mean, mut variance) = ([0.0; 4], [0.0; 4]);
            statistics(&x, &mut mean, &mut variance);
            for channel in [0, 1, 3] {
                assert_eq!((mean[channel], variance[channel]), (4096.5, 0.25));
            }
            assert!(mean[2].is_nan() && variance[2].is_nan());
        });
    }
}

/// On bf16 the arithmetic is that on f32; only what is written is rounded.
#[test]
fn bf16_is_f32_rounded() {
    for (n_rows, c) in [(700, 16), (37, 70), (5, 3)] {
        let [x, dy, residual] = [1, 2, 3].map(|seed| narrow::<bf16>(&noise(n_rows * c, seed)));
        let wide = [&x, &dy, &residual].map(|values| widen(values));
        let (mean, scale, bias) = (noise(c, 4), noise(c, 5), noise(c, 6));
        let affine = Affine { mean: &mean, scale: &scale, bias: &bias };
        for activation in Activation::ALL {
            on_every_isa(|isa| {
                let got = all_passes([&x, &dy, &residual], affine, activation);
                let want = all_passes(wide.each_ref().map(|v| &v[..]), affine, activation);
                assert_eq!(got.0, want.0, "{activation:?} {isa}");
                assert_eq!(got.1, want.1.map(|values| narrow(&values)), "{activation:?} {isa}");
            });
        }
    }
}

/// What every pass makes of `x`, `dy` and `residual`: sums, and values.
fn all_passes<E: Element>(
    [x, dy, residual]: [&[E]; 3],
    affine: Affine<'_>,
    activation: Activation,
) -> ([Vec<f32>; 4], [Vec<E>; 3]) {
    let per_channel = || vec![0.0; affine.mean.len()];
    let [mut mean, mut variance, mut dweight, mut dbias] = [(); 4].map(|()| per_channel());
    let [mut y, mut dx, mut dz] = [x.to_vec(), x.to_vec(), dy.to_vec()];
    let (inv_std, fused) = (affine.scale, Some(activation));
    statistics(x, &mut mean, &mut variance);
    apply(x, affine, Some(residual), fused, &mut y);
    parameter_gradients(x, dy, affine, inv_std, fused, &mut dweight, &mut dbias);
    input_gradient(x, Some(dy), affine, inv_std, fused, &dweight, &dbias, &mut dx);
    activation_gradient(x, affine, residual, activation, &mut dz);
    ([mean, variance, dweight, dbias], [y, dx, dz])
}
