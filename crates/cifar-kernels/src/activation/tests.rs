use proptest::prelude::*;

use super::*;
use crate::element::bf16;
use crate::test_values::{narrow, noise, on_every_isa, widen};

/// Results below this are too near the subnormal numbers to have all their digits.
const SMALL: f64 = 1e-36;

/// Values of every size and sign, and many where the curves bend.
fn arguments() -> Vec<f32> {
    let exponents = (-1000..1300).map(|i| (f64::from(i) * 0.1).exp2() as f32);
    let even = (0..40_000).map(|i| i as f32 * 0.003 - 60.0);
    let ends = [0.0, -0.0, f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45];
    exponents.flat_map(|v| [v, -v]).filter(|v| v.is_finite()).chain(even).chain(ends).collect()
}

fn values(activation: Activation, x: &[f32]) -> Vec<f32> {
    let mut y = vec![9.0; x.len()];
    apply(Some(activation), Some(x), None, &mut y);
    y
}

fn derivatives(activation: Activation, x: &[f32]) -> Vec<f32> {
    let mut dx = vec![1.0; x.len()];
    gradient(activation, x, None, &mut dx);
    dx
}

#[test]
fn the_references_derivative_is_that_of_its_value() {
    for activation in Activation::ALL {
        for i in -400..400 {
            let (x, step) = (f64::from(i) * 0.03 + 0.01, 1e-5);
            let [high, low] = [x + step, x - step].map(|x| reference::value(activation, x));
            let (got, want) = (reference::derivative(activation, x), (high - low) / (2.0 * step));
            assert!((got - want).abs() < 1e-9, "{activation:?} at {x}: {got}, {want}");
        }
    }
}

#[test]
fn values_and_derivatives_are_within_the_stated_bounds() {
    let x = arguments();
    on_every_isa(|isa| {
        for activation in Activation::ALL {
            let results = values(activation, &x).into_iter().zip(derivatives(activation, &x));
            let (mut apart, mut relative) = ([0.0f64; 2], 0.0f64);
            for (&x, (value, slope)) in x.iter().zip(results) {
                let want = reference::value(activation, f64::from(x));
                let off = (f64::from(value) - want).abs();
                // What rounding a large result alone costs.
                apart[0] = apart[0].max(off / want.abs().max(1.0));
                if want.abs() > SMALL {
                    relative = relative.max(off / want.abs());
                } else {
                    assert!(off < SMALL, "{activation:?} {isa} at {x:e}: {value:e}, {want:e}");
                }
                let want = reference::derivative(activation, f64::from(x));
                apart[1] = apart[1].max((f64::from(slope) - want).abs());
            }
            let what = format!("{activation:?} {isa}: {apart:?}, relative {relative:e}");
            assert!(apart.iter().all(|&apart| apart <= 3e-7) && relative <= 5e-7, "{what}");
        }
    });
}

/// What PyTorch gives, but for LeakyReLU's derivative at NaN:
/// `torch.nn.functional.{relu,gelu,silu,leaky_relu}` of f64.
#[test]
fn infinities_and_nan_give_pytorchs_results() {
    let x = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    on_every_isa(|isa| {
        for activation in Activation::ALL {
            let (y, dx) = (values(activation, &x), derivatives(activation, &x));
            let what = format!("{activation:?} {isa}: {y:?} {dx:?}");
            assert!(y[0] == f32::INFINITY && y[2].is_nan(), "{what}");
            match activation {
                // A gradient passes the gate unchanged.
                Activation::Relu => assert!(y[1] == 0.0 && dx == [1.0, 0.0, 1.0], "{what}"),
                Activation::LeakyRelu => {
                    let slopes = [1.0, LEAKY_SLOPE, 1.0];
                    assert!(y[1] == f32::NEG_INFINITY && dx == slopes, "{what}");
                }
                _ => assert!(y[1].is_nan() && dx.iter().all(|v| v.is_nan()), "{what}"),
            }
        }
    });
}

#[test]
fn relu_sends_no_gradient_through_zero_by_argument_or_result() {
    let x = [-1.0, -0.0, 0.0, 2.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    on_every_isa(|_| {
        let y = values(Activation::Relu, &x);
        assert_eq!(y[..4], [0.0, 0.0, 0.0, 2.0]);
        let dy = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        let (mut by_argument, mut by_result) = (dy, dy);
        gradient(Activation::Relu, &x, None, &mut by_argument);
        relu_gate(&y, &mut by_result);
        assert_eq!(by_argument, [0.0, 0.0, 0.0, 4.0, 5.0, 6.0, 0.0]);
        assert_eq!(by_result, by_argument);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever lies beside a value; with an addition, in place, and scaled by `dy`.
    #[test]
    fn a_result_depends_on_its_value_alone(len in 0usize..150, seed in 0u64..1000) {
        let [x, residual, dy] = [1, 2, 3].map(|at| noise(len, seed + at));
        let sum: Vec<f32> = x.iter().zip(&residual).map(|(x, r)| x + r).collect();
        on_every_isa(|isa| {
            let mut plain = vec![9.0; len];
            apply(None, Some(&x), Some(&residual), &mut plain);
            assert_eq!(plain, sum);
            for activation in Activation::ALL {
                let (y, slope) = (values(activation, &sum), derivatives(activation, &sum));
                let (mut added, mut in_place, mut dx) = (vec![9.0; len], sum.clone(), dy.clone());
                apply(Some(activation), Some(&x), Some(&residual), &mut added);
                apply(Some(activation), None, None, &mut in_place);
                gradient(activation, &x, Some(&residual), &mut dx);
                assert!(added == y && in_place == y, "{activation:?} {isa}");
                for at in 0..len {
                    let alone = values(activation, &sum[at..=at])[0];
                    assert!((alone - y[at]).abs() <= 2e-7, "{activation:?} {isa} at {at}");
                    assert!((dx[at] - dy[at] * slope[at]).abs() <= 2e-7, "{activation:?} {isa}");
                }
            }
        });
    }
}

#[test]
fn lengths_around_that_of_a_task_are_covered() {
    for len in [TASK_LEN - 1, TASK_LEN, TASK_LEN + 1] {
        let x: Vec<f32> = (0..len).map(|i| i as f32 - 0.5 * len as f32).collect();
        let y = values(Activation::Relu, &x);
        assert!(x.iter().zip(&y).all(|(&x, &y)| y == x.max(0.0)), "length {len}");
    }
}

/// On bf16 the arithmetic is that on f32; only what is written is rounded.
#[test]
fn bf16_is_f32_rounded() {
    let [x, residual, dy] = [1, 2, 3].map(|seed| narrow::<bf16>(&noise(77, seed)));
    let [wide_x, wide_residual, wide_dy] = [&x, &residual, &dy].map(|values| widen(values));
    on_every_isa(|isa| {
        for activation in Activation::ALL {
            let (mut got, mut want) = (x.clone(), wide_x.clone());
            apply(Some(activation), Some(&x), Some(&residual), &mut got);
            apply(Some(activation), Some(&wide_x), Some(&wide_residual), &mut want);
            assert_eq!(got, narrow(&want), "{activation:?} {isa}");
            let (mut got, mut want) = (dy.clone(), wide_dy.clone());
            gradient(activation, &x, Some(&residual), &mut got);
            gradient(activation, &wide_x, Some(&wide_residual), &mut want);
            assert_eq!(got, narrow(&want), "{activation:?} {isa}");
        }
    });
}
