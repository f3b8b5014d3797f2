//! The figures of an evaluation against scikit-learn's.

use std::path::Path;

use cifar_metrics::{ClassMetrics, Evaluator};
use serde::Deserialize;

/// Largest error of a figure.
const TOLERANCE: f64 = 1e-12;

/// Samples to a batch, so that batches are cut in several ways.
const BATCH: usize = 64;

/// One case of `metrics.py`.
#[derive(Debug, Deserialize)]
struct Case {
    n_classes: usize,
    logits: Vec<f32>,
    labels: Vec<u32>,
    confusion: Vec<Vec<u64>>,
    precision: Vec<Option<f64>>,
    recall: Vec<Option<f64>>,
    f1: Vec<Option<f64>>,
    support: Vec<usize>,
    top1: f64,
    top5: f64,
    loss: f64,
    ece: f64,
}

/// Compares every figure in `file`; panics at the first disagreement.
pub(crate) fn compare(file: &Path) {
    let cases = std::fs::read(file).expect("read the cases");
    let cases: Vec<Case> = serde_json::from_slice(&cases).expect("read the cases");
    let largest = cases.iter().enumerate().map(|(index, case)| compare_case(index, case));
    let largest = largest.fold(0.0, f64::max);
    println!("metrics: {} cases, largest error {largest:.1e}", cases.len());
}

/// One of a class's figures.
type Figure = fn(&ClassMetrics) -> Option<f64>;

/// Returns the largest error.
fn compare_case(index: usize, case: &Case) -> f64 {
    let mut evaluator = Evaluator::new(case.n_classes);
    let batches = case.logits.chunks(BATCH * case.n_classes).zip(case.labels.chunks(BATCH));
    batches.for_each(|(logits, labels)| evaluator.add_batch(logits, labels).unwrap());
    let found = evaluator.finish();
    let confusion: Vec<Vec<u64>> = found.confusion.clone().into();
    assert_eq!(confusion, case.confusion, "confusion matrix of case {index}");
    let support: Vec<usize> = found.per_class.iter().map(|class| class.support).collect();
    assert_eq!(support, case.support, "support in case {index}");

    let mut largest = 0.0_f64;
    let mut one = |what: &str, found: Option<f64>, wanted: Option<f64>| {
        assert_eq!(
            found.is_some(),
            wanted.is_some(),
            "{what} of case {index}: {found:?}, {wanted:?}"
        );
        let error = (found.unwrap_or(0.0) - wanted.unwrap_or(0.0)).abs();
        assert!(error <= TOLERANCE, "{what} of case {index}: {found:?}, scikit-learn {wanted:?}");
        largest = largest.max(error);
    };
    let figures: [(&str, Figure, &[Option<f64>]); 3] = [
        ("precision", |class| class.precision, &case.precision),
        ("recall", |class| class.recall, &case.recall),
        ("F1", |class| class.f1, &case.f1),
    ];
    for (what, figure, wanted) in figures {
        assert_eq!(wanted.len(), case.n_classes);
        for (class, &wanted) in found.per_class.iter().zip(wanted) {
            one(what, figure(class), wanted);
        }
    }
    one("top-1", Some(found.top1), Some(case.top1));
    one("top-5", Some(found.top5), Some(case.top5));
    one("loss", Some(found.loss), Some(case.loss));
    one("calibration error", Some(found.calibration.ece), Some(case.ece));
    largest
}
