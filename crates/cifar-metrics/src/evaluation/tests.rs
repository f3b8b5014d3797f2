use proptest::prelude::*;

use super::*;

type Sample = (Vec<f32>, u32);

/// Up to 8 classes; small integer logits make ties common.
fn samples() -> impl Strategy<Value = (usize, Vec<Sample>)> {
    (1_usize..=8).prop_flat_map(|k| {
        let logits = prop::collection::vec((-4_i8..=4).prop_map(f32::from), k);
        (Just(k), prop::collection::vec((logits, 0..k as u32), 1..40))
    })
}

fn evaluate(n_classes: usize, samples: &[Sample], batch_size: usize) -> Evaluation {
    let mut evaluator = Evaluator::new(n_classes);
    for batch in samples.chunks(batch_size) {
        let logits: Vec<f32> = batch.iter().flat_map(|(logits, _)| logits.clone()).collect();
        let labels: Vec<u32> = batch.iter().map(|&(_, label)| label).collect();
        evaluator.add_batch(&logits, &labels).unwrap();
    }
    evaluator.finish()
}

#[test]
fn worked_example() {
    let mut evaluator = Evaluator::new(6);
    // The label of the second sample stands sixth: outside the top 5.
    let logits = [
        0.0, 9.0, 1.0, 1.0, 1.0, 1.0, //
        6.0, 5.0, 4.0, 3.0, 2.0, 1.0, //
    ];
    evaluator.add_batch(&logits, &[1, 5]).unwrap();
    assert_eq!(evaluator.n_samples(), 2);
    let evaluation = evaluator.finish();
    assert_eq!((evaluation.n, evaluation.top1, evaluation.top5), (2, 0.5, 0.5));
    assert_eq!(evaluation.confusion.count(5, 0), 1);
    assert_eq!(evaluation.per_class[5].recall, Some(0.0));
    let first = ((-9_f64).exp() + 4.0 * (-8_f64).exp()).ln_1p();
    let second = 5.0 + (-5..0).map(|x| f64::from(x).exp()).sum::<f64>().ln_1p();
    assert!((evaluation.loss - (first + second) / 2.0).abs() < 1e-14);
}

#[test]
fn a_logit_that_is_not_finite_names_the_sample_over_all_batches() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut evaluator = Evaluator::new(2);
        evaluator.add_batch(&[0.0, 1.0, 1.0, 0.0], &[0, 1]).unwrap();
        let before = evaluator.clone().finish();
        let error = evaluator.add_batch(&[0.0, 1.0, 0.0, value], &[0, 0]).unwrap_err();
        assert!(
            matches!(error, MetricsError::NotFinite { sample: 3, class: 1, .. }),
            "{value}: {error}"
        );
        assert_eq!(evaluator.finish(), before, "a refused batch leaves no trace");
    }
}

#[test]
fn refuses_a_label_out_of_range_and_ragged_logits() {
    let mut evaluator = Evaluator::new(2);
    assert_eq!(
        evaluator.add_batch(&[0.0, 1.0, 0.0, 1.0], &[0, 2]),
        Err(MetricsError::Label { sample: 1, label: 2, n_classes: 2 })
    );
    assert_eq!(
        evaluator.add_batch(&[0.0, 1.0, 2.0], &[0, 1]),
        Err(MetricsError::BatchShape { n_logits: 3, n_labels: 2, n_classes: 2 })
    );
    assert_eq!(
        Evaluator::new(0).add_batch(&[], &[0]),
        Err(MetricsError::Label { sample: 0, label: 0, n_classes: 0 })
    );
    assert_eq!(evaluator.n_samples(), 0);
}

#[test]
fn without_samples_the_means_are_undefined() {
    let evaluation = Evaluator::new(2).finish();
    assert!(evaluation.loss.is_nan() && evaluation.top1.is_nan() && evaluation.top5.is_nan());
    assert_eq!(evaluation.per_class[0].f1, None);
}

#[test]
fn reading_refuses_an_unknown_key() {
    let mut json = serde_json::to_value(evaluate(2, &[(vec![0.0, 1.0], 1)], 1)).unwrap();
    json["top3"] = 1.0.into();
    let error = serde_json::from_value::<Evaluation>(json).unwrap_err();
    assert!(error.to_string().contains("top3"), "{error}");
}

proptest! {
    #[test]
    fn figures_agree_with_each_other((n_classes, samples) in samples()) {
        let evaluation = evaluate(n_classes, &samples, samples.len());
        let confusion = &evaluation.confusion;
        prop_assert_eq!(evaluation.n, samples.len());
        prop_assert_eq!(confusion.total(), samples.len() as u64);
        prop_assert_eq!(evaluation.top1, confusion.trace() as f64 / evaluation.n as f64);
        prop_assert!(evaluation.top1 <= evaluation.top5 && evaluation.top5 <= 1.0);
        if n_classes <= 5 {
            prop_assert_eq!(evaluation.top5, 1.0);
        }
        prop_assert_eq!(evaluation.per_class.len(), n_classes);
        for (class, metrics) in evaluation.per_class.iter().enumerate() {
            prop_assert_eq!(metrics.support as u64, confusion.row_total(class));
        }
    }

    #[test]
    fn batches_do_not_matter((n_classes, samples) in samples(), batch_size in 1_usize..40) {
        let whole = evaluate(n_classes, &samples, samples.len());
        prop_assert_eq!(evaluate(n_classes, &samples, batch_size), whole);
    }

    #[test]
    fn order_does_not_matter(
        ((n_classes, samples), shuffled) in samples()
            .prop_flat_map(|(k, s)| (Just((k, s.clone())), Just(s).prop_shuffle()))
    ) {
        let one = evaluate(n_classes, &samples, 7);
        let two = evaluate(n_classes, &shuffled, 7);
        // The sums of losses and confidences are rounded in another order; all else is counted.
        prop_assert!((one.loss - two.loss).abs() < 1e-12);
        prop_assert!((one.calibration.ece - two.calibration.ece).abs() < 1e-12);
        let calibration = two.calibration.clone();
        prop_assert_eq!(Evaluation { loss: two.loss, calibration, ..one }, two);
    }

    #[test]
    fn json_round_trip((n_classes, samples) in samples()) {
        let evaluation = evaluate(n_classes, &samples, 16);
        let text = serde_json::to_string(&evaluation).unwrap();
        prop_assert_eq!(serde_json::from_str::<Evaluation>(&text).unwrap(), evaluation);
    }
}
