use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// The definition: `−Σ target·log softmax`, mean over the batch.
fn naive_loss(logits: &[f64], labels: &[u32], smoothing: f64) -> f64 {
    let k = logits.len() / labels.len();
    let mut loss = 0.0;
    for (row, &label) in logits.chunks_exact(k).zip(labels) {
        let total: f64 = row.iter().map(|z| z.exp()).sum();
        for (class, z) in row.iter().enumerate() {
            let onehot = if class as u32 == label { 1.0 } else { 0.0 };
            let target = (1.0 - smoothing) * onehot + smoothing / k as f64;
            loss -= target * (z.exp() / total).ln();
        }
    }
    loss / labels.len() as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn loss_and_gradient_follow_the_definition(
        (logits, labels) in (1usize..5, 1usize..6).prop_flat_map(|(n, k)| {
            (vec(-6f32..6.0, n * k), vec(0..k as u32, n))
        }),
        smoothing in prop_oneof![Just(0.0), 0.0..1.0, Just(1.0)],
    ) {
        let mut gradient = vec![f32::NAN; logits.len()];
        let loss = cross_entropy(&logits, &labels, smoothing, &mut gradient);
        let wide: Vec<f64> = logits.iter().map(|&z| f64::from(z)).collect();
        prop_assert!((loss - naive_loss(&wide, &labels, smoothing)).abs() < 1e-12);
        for (i, got) in gradient.into_iter().enumerate() {
            let at = |step: f64| {
                let mut moved = wide.clone();
                moved[i] += step;
                naive_loss(&moved, &labels, smoothing)
            };
            let want = (at(1e-5) - at(-1e-5)) / 2e-5;
            prop_assert!((f64::from(got) - want).abs() < 1e-7, "logit {}: {} {}", i, got, want);
        }
    }
}

#[test]
fn equal_logits_cost_the_logarithm_of_the_number_of_classes() {
    let mut gradient = [0.0; 20];
    let loss = cross_entropy(&[3.0; 20], &[4, 9], 0.0, &mut gradient);
    assert!((loss - 10f64.ln()).abs() < 1e-12);
    assert!((gradient[4] - (0.1 - 1.0) / 2.0).abs() < 1e-7);
    assert!((gradient[0] - 0.1 / 2.0).abs() < 1e-7);
}

#[test]
fn large_logits_neither_overflow_nor_lose_the_loss() {
    let mut gradient = [0.0; 2];
    let loss = cross_entropy(&[3e38, -3e38], &[1], 0.0, &mut gradient);
    assert!((loss / 6e38 - 1.0).abs() < 1e-6);
    assert_eq!(gradient, [1.0, -1.0]);
}

#[test]
fn an_impossible_class_costs_nothing_until_labels_are_smoothed() {
    let mut gradient = [0.0; 2];
    let logits = [0.0, f32::NEG_INFINITY];
    assert_eq!(cross_entropy(&logits, &[0], 0.0, &mut gradient), 0.0);
    assert_eq!(gradient, [0.0, 0.0]);
    assert_eq!(cross_entropy(&logits, &[0], 0.1, &mut gradient), f64::INFINITY);
}

#[test]
fn nan_logits_make_a_nan_loss() {
    assert!(cross_entropy(&[0.0, f32::NAN], &[0], 0.0, &mut [0.0; 2]).is_nan());
}

#[test]
#[should_panic(expected = "label 2 of 2 classes")]
fn a_label_beyond_the_classes_is_a_bug() {
    cross_entropy(&[0.0; 2], &[2], 0.0, &mut [0.0; 2]);
}
