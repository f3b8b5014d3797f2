//! Muon: momentum whose update of each weight matrix is orthogonalised.

use rayon::prelude::*;

use super::{TASK, sum_of_squares};
use crate::buffer::with_scratch;
use crate::orthogonal::orthogonalize;

/// The scalars of a step of [`muon`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MuonStep {
    /// Factor of every gradient.
    pub gradient_scale: f32,
    /// `lr`.
    pub learning_rate: f64,
    /// Share of the buffer that is kept.
    pub momentum: f64,
    /// Nesterov's look-ahead.
    pub nesterov: bool,
    /// Newton–Schulz iterations.
    pub newton_schulz_steps: u32,
    /// Whether the weights are first brought to the Frobenius norm `√rows`.
    pub normalize_weights: bool,
}

/// `g = gradient·scale`, `b = momentum·b + g`, `w = w·s − lr·orthogonal(d)`, where `d` is `b`, or
/// `g + momentum·b` with Nesterov's look-ahead, `orthogonal` is [`orthogonalize`], and `s` is 1 or
/// brings `w`, of `rows × columns`, to the norm `√rows`.
///
/// Jordan et al. 2024, <https://kellerjordan.github.io/posts/muon/>, as in airbench94_muon.
///
/// # Panics
/// If the lengths differ or are not `rows · columns`.
pub fn muon(
    weights: &mut [f32],
    gradients: &[f32],
    buffer: &mut [f32],
    (rows, columns): (usize, usize),
    step: &MuonStep,
) {
    for len in [gradients.len(), buffer.len(), rows * columns] {
        assert_eq!(weights.len(), len, "muon: lengths differ");
    }
    let (momentum, rate) = (step.momentum as f32, step.learning_rate as f32);
    with_scratch(weights.len(), |direction: &mut [f32]| {
        let values = direction.par_chunks_mut(TASK).zip(buffer.par_chunks_mut(TASK));
        values.zip(gradients.par_chunks(TASK)).for_each(|((direction, buffer), gradients)| {
            for ((d, b), g) in direction.iter_mut().zip(buffer).zip(gradients) {
                let g = g * step.gradient_scale;
                *b = *b * momentum + g;
                *d = if step.nesterov { g + *b * momentum } else { *b };
            }
        });
        orthogonalize(direction, (rows, columns), step.newton_schulz_steps);
        let scale = match step.normalize_weights {
            true => ((rows as f64).sqrt() / sum_of_squares(weights).sqrt()) as f32,
            false => 1.0,
        };
        let values = weights.par_chunks_mut(TASK).zip(direction.par_chunks(TASK));
        values.for_each(|(weights, direction)| {
            for (w, d) in weights.iter_mut().zip(direction) {
                *w = *w * scale - *d * rate;
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::test_values::noise;

    /// The weights and the buffer after a step, an index at a time.
    fn twin(
        [weights, gradients, buffer]: [&[f32]; 3],
        shape: (usize, usize),
        step: &MuonStep,
    ) -> [Vec<f32>; 2] {
        let scaled = |i: usize| gradients[i] * step.gradient_scale;
        let buffer: Vec<f32> =
            (0..buffer.len()).map(|i| buffer[i] * step.momentum as f32 + scaled(i)).collect();
        let ahead = |i: usize| scaled(i) + buffer[i] * step.momentum as f32;
        let mut direction: Vec<f32> = match step.nesterov {
            true => (0..buffer.len()).map(ahead).collect(),
            false => buffer.clone(),
        };
        orthogonalize(&mut direction, shape, step.newton_schulz_steps);
        let norm = sum_of_squares(weights).sqrt();
        let scale = if step.normalize_weights { (shape.0 as f64).sqrt() / norm } else { 1.0 };
        let change = direction.iter().map(|d| d * step.learning_rate as f32);
        let weights = weights.iter().zip(change).map(|(w, change)| w * scale as f32 - change);
        [weights.collect(), buffer]
    }

    proptest! {
        #[test]
        fn equals_its_twin(
            rows in 1usize..20, columns in 1usize..20, seed in 0u64..1000,
            nesterov: bool, normalize_weights: bool,
        ) {
            let step = MuonStep {
                gradient_scale: 0.3,
                learning_rate: 0.07,
                momentum: 0.6,
                nesterov,
                newton_schulz_steps: 3,
                normalize_weights,
            };
            let [mut weights, gradients, mut buffer] =
                [0, 1, 2].map(|at| noise(rows * columns, seed + at));
            let want = twin([&weights, &gradients, &buffer], (rows, columns), &step);
            muon(&mut weights, &gradients, &mut buffer, (rows, columns), &step);
            prop_assert_eq!([weights, buffer], want);
        }
    }

    #[test]
    fn more_values_than_a_task_has_are_all_seen_once() {
        let step = MuonStep {
            gradient_scale: 1.0,
            learning_rate: 0.5,
            momentum: 0.5,
            nesterov: true,
            newton_schulz_steps: 1,
            normalize_weights: false,
        };
        let (shape, len) = ((3, TASK), 3 * TASK);
        let [mut weights, gradients, mut buffer] = [4, 5, 6].map(|seed| noise(len, seed));
        let want = twin([&weights, &gradients, &buffer], shape, &step);
        muon(&mut weights, &gradients, &mut buffer, shape, &step);
        assert!([weights, buffer] == want);
    }
}
