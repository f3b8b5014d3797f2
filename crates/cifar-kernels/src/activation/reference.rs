//! The activation functions in f64: the specification of the fast ones.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use super::{Activation, LEAKY_SLOPE};

/// The function at `x`.
pub(super) fn value(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => {
            // "At most 0", so that NaN passes.
            if x <= 0.0 { 0.0 } else { x }
        }
        Activation::Gelu => x * distribution(x),
        Activation::Silu => x * sigmoid(x),
        Activation::LeakyRelu => x * derivative(activation, x),
    }
}

/// Its derivative at `x`.
pub(super) fn derivative(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Relu => f64::from(u8::from(x > 0.0 || x.is_nan())),
        Activation::Gelu => distribution(x) + x * (-0.5 * x * x).exp() / (2.0 * PI).sqrt(),
        Activation::Silu => sigmoid(x) * (1.0 + x * sigmoid(-x)),
        Activation::LeakyRelu => {
            if x > 0.0 || x.is_nan() {
                1.0
            } else {
                LEAKY_SLOPE.into()
            }
        }
    }
}

/// Of the standard normal distribution.
fn distribution(x: f64) -> f64 {
    0.5 * libm::erfc(-x * FRAC_1_SQRT_2)
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}
