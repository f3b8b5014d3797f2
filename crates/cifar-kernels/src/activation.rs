//! Activation functions, value by value.

use rayon::prelude::*;

use crate::element::Element;

/// Values that one thread takes at a time.
const TASK_LEN: usize = 32_768;

/// `y = max(x, 0)`; a NaN stays NaN.
///
/// # Panics
/// If the lengths differ.
pub fn relu<E: Element>(x: &[E], y: &mut [E]) {
    assert_eq!(x.len(), y.len(), "relu: lengths differ");
    y.par_chunks_mut(TASK_LEN).zip(x.par_chunks(TASK_LEN)).for_each(|(y, x)| {
        for (y, &x) in y.iter_mut().zip(x) {
            // "At most 0", so that NaN passes.
            *y = if x.to_f32() <= 0.0 { E::default() } else { x };
        }
    });
}

/// Gradient of [`relu`] from its output `y`: `dx = 0` where `y ≤ 0`, else `dy`.
///
/// # Panics
/// If the lengths differ.
pub fn relu_backward(y: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert_eq!(y.len(), dx.len(), "relu_backward: lengths differ");
    assert_eq!(dy.len(), dx.len(), "relu_backward: lengths differ");
    let inputs = y.par_chunks(TASK_LEN).zip(dy.par_chunks(TASK_LEN));
    dx.par_chunks_mut(TASK_LEN).zip(inputs).for_each(|(dx, (y, dy))| {
        for (dx, (&y, &dy)) in dx.iter_mut().zip(y.iter().zip(dy)) {
            *dx = if y <= 0.0 { 0.0 } else { dy };
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relu_keeps_nan_and_sends_no_gradient_through_zero() {
        let x = [-1.0, -0.0, 0.0, 2.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        let (mut y, mut dx) = ([9.0; 7], [9.0; 7]);
        relu(&x, &mut y);
        assert_eq!(y[..4], [0.0, 0.0, 0.0, 2.0]);
        assert!(y[4].is_nan());
        assert_eq!(y[5..], [f32::INFINITY, 0.0]);
        relu_backward(&y, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], &mut dx);
        assert_eq!(dx, [0.0, 0.0, 0.0, 4.0, 5.0, 6.0, 0.0]);
    }

    #[test]
    fn relu_covers_lengths_around_the_task_length() {
        for len in [0, 1, TASK_LEN - 1, TASK_LEN, TASK_LEN + 1] {
            let x: Vec<f32> = (0..len).map(|i| i as f32 - 0.5 * len as f32).collect();
            let mut y = vec![f32::NAN; len];
            relu(&x, &mut y);
            assert!(x.iter().zip(&y).all(|(&x, &y)| y == x.max(0.0)), "length {len}");
        }
    }
}
