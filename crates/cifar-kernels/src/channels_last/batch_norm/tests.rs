use proptest::prelude::*;

use super::*;
use crate::element::bf16;
use crate::layout::{channels_first, channels_last};
use crate::norm::{self, NormShape, Normalised};
use crate::test_values::{narrow, noise, widen};

fn assert_near(got: &[f32], want: &[f32], bound: f32, what: &str) {
    assert_eq!(got.len(), want.len());
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let near = (got - want).abs() <= bound * want.abs().max(1.0);
        assert!(near, "{what} at {at}: {got}, expected {want}");
    }
}

/// Every pass against its twin on planes, which is tested against the definition.
fn check(n_rows: usize, c: usize, relu: bool) {
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
    if relu {
        // Values too near the gate may fall on either side of it.
        if want_y.iter().any(|y| y.abs() < 1e-5) {
            return;
        }
        dz.iter_mut().zip(&want_y).for_each(|(dz, &y)| *dz = if y <= 0.0 { 0.0 } else { *dz });
        want_y.iter_mut().for_each(|y| *y = y.max(0.0));
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
            apply(&x, affine, None, relu, &mut y);
            assert_near(&y, &want_y, 2e-6, "y");
            let (mut dweight, mut dbias) = (per_channel(), per_channel());
            parameter_gradients(&x, &dy, affine, &inv_std, relu, &mut dweight, &mut dbias);
            assert_near(&dweight, &want_dweight, 2e-5, "dweight");
            assert_near(&dbias, &want_dbias, 2e-5, "dbias");
            let (mut dx, mut in_place) = (vec![9.0; x.len()], dy.clone());
            let sums = (&want_dweight, &want_dbias);
            input_gradient(&x, Some(&dy), affine, &inv_std, relu, sums.0, sums.1, &mut dx);
            input_gradient(&x, None, affine, &inv_std, relu, sums.0, sums.1, &mut in_place);
            // About 1/√variance times the bound, and a channel of few values varies little.
            assert_near(&dx, &want_dx, 1e-3, "dx");
            assert_eq!(dx, in_place);
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn passes_equal_those_on_planes(n_rows in 3usize..70, c in 1usize..90, relu: bool) {
        check(n_rows, c, relu);
    }

    #[test]
    fn residual_and_gate_are_those_of_the_relu(len in 0usize..100) {
        let (x, residual) = (noise(len * 3, 1), noise(len * 3, 2));
        prop_assume!(len > 0);
        let ones = [1.0; 3];
        let affine = Affine { mean: &[0.0; 3], scale: &ones, bias: &[0.0; 3] };
        for isa in Isa::available() {
            isa.force(|| {
                let mut y = vec![9.0; x.len()];
                apply(&x, affine, Some(&residual), true, &mut y);
                let mut dy = vec![2.0; x.len()];
                gate(&y, &mut dy);
                for at in 0..x.len() {
                    assert_eq!(y[at], (x[at] + residual[at]).max(0.0));
                    assert_eq!(dy[at], if y[at] > 0.0 { 2.0 } else { 0.0 });
                }
            });
        }
    }
}

#[test]
fn many_chunks_of_rows() {
    check(3 * ROWS + 5, 16, false);
    check(2 * ROWS, 3, false);
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

#[test]
fn a_gate_lets_nan_pass() {
    for isa in Isa::available() {
        let mut dy = [1.0; 9];
        let y = [f32::NAN, 0.0, -0.0, -1.0, 1.0, f32::INFINITY, f32::NEG_INFINITY, 2.0, 0.0];
        isa.force(|| gate(&y, &mut dy));
        assert_eq!(dy, [1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0]);
    }
}

/// On bf16 the arithmetic is that on f32; only what is written is rounded.
#[test]
fn bf16_is_f32_rounded() {
    for (n_rows, c) in [(700, 16), (37, 70), (5, 3)] {
        let [x, dy, residual] = [1, 2, 3].map(|seed| narrow::<bf16>(&noise(n_rows * c, seed)));
        let [wide_x, wide_dy, wide_residual] = [&x, &dy, &residual].map(|values| widen(values));
        let (mean, scale, bias) = (noise(c, 4), noise(c, 5), noise(c, 6));
        let affine = Affine { mean: &mean, scale: &scale, bias: &bias };
        for isa in Isa::available() {
            isa.force(|| {
                let sums = |f: &dyn Fn(&mut [f32], &mut [f32])| {
                    let (mut a, mut b) = (vec![0.0; c], vec![0.0; c]);
                    f(&mut a, &mut b);
                    (a, b)
                };
                assert_eq!(
                    sums(&|a, b| statistics(&x, a, b)),
                    sums(&|a, b| statistics(&wide_x, a, b))
                );
                let gradients =
                    sums(&|a, b| parameter_gradients(&x, &dy, affine, &scale, true, a, b));
                let wide = sums(&|a, b| {
                    parameter_gradients(&wide_x, &wide_dy, affine, &scale, true, a, b);
                });
                assert_eq!(gradients, wide);
                let (mut got, mut want) = (x.clone(), wide_x.clone());
                apply(&x, affine, Some(&residual), true, &mut got);
                apply(&wide_x, affine, Some(&wide_residual), true, &mut want);
                assert_eq!(got, narrow(&want), "{isa}");
                let (dweight, dbias) = gradients;
                input_gradient(&x, Some(&dy), affine, &scale, true, &dweight, &dbias, &mut got);
                input_gradient(
                    &wide_x,
                    Some(&wide_dy),
                    affine,
                    &scale,
                    true,
                    &dweight,
                    &dbias,
                    &mut want,
                );
                assert_eq!(got, narrow(&want), "{isa}");
                gate(&x, &mut got);
                gate(&wide_x, &mut want);
                assert_eq!(got, narrow(&want), "{isa}");
            });
        }
    }
}
