use proptest::prelude::*;

use super::*;

/// `(truth, predicted)` pairs of up to 6 classes, with the number of classes.
fn observations() -> impl Strategy<Value = (usize, Vec<(usize, usize)>)> {
    (1_usize..=6).prop_flat_map(|k| (Just(k), prop::collection::vec((0..k, 0..k), 0..60)))
}

fn count(n_classes: usize, pairs: &[(usize, usize)]) -> ConfusionMatrix {
    let mut matrix = ConfusionMatrix::new(n_classes);
    for &(truth, predicted) in pairs {
        matrix.add(truth, predicted);
    }
    matrix
}

#[test]
fn rows_are_the_true_class() {
    let matrix = count(3, &[(0, 2), (0, 2), (1, 1)]);
    assert_eq!(matrix.count(0, 2), 2);
    assert_eq!(matrix.count(2, 0), 0);
    let rows: Vec<_> = matrix.rows().collect();
    assert_eq!(rows, [[0, 0, 2], [0, 1, 0], [0, 0, 0]]);
}

#[test]
fn most_confused_breaks_ties_by_class() {
    let matrix =
        count(3, &[(2, 1), (0, 1), (1, 0), (0, 2), (0, 2), (1, 1), (1, 1), (1, 1), (2, 1)]);
    let pairs: Vec<_> =
        matrix.most_confused(9).iter().map(|p| (p.truth, p.predicted, p.count)).collect();
    assert_eq!(pairs, [(0, 2, 2), (2, 1, 2), (0, 1, 1), (1, 0, 1)]);
    assert_eq!(matrix.most_confused(1).len(), 1);
    assert_eq!(matrix.most_confused(0), []);
}

#[test]
fn a_matrix_without_samples_or_classes_is_empty() {
    assert!(ConfusionMatrix::new(3).accuracy().is_nan());
    let none = ConfusionMatrix::new(0);
    assert_eq!((none.total(), none.rows().count(), none.most_confused(5).len()), (0, 0, 0));
}

#[test]
#[should_panic = "cell (0, 3) of a confusion matrix of 3 classes"]
fn a_column_past_the_end_does_not_land_in_the_next_row() {
    ConfusionMatrix::new(3).add(0, 3);
}

#[test]
fn serialises_as_rows_and_refuses_a_ragged_matrix() {
    let matrix = count(2, &[(0, 0), (0, 1), (1, 1)]);
    assert_eq!(serde_json::to_string(&matrix).unwrap(), "[[1,1],[0,1]]");
    let error = serde_json::from_str::<ConfusionMatrix>("[[1,1],[0]]").unwrap_err();
    assert!(error.to_string().contains("2 rows, but row 1 has 1 counts"), "{error}");
}

proptest! {
    #[test]
    fn totals_add_up((n_classes, pairs) in observations()) {
        let matrix = count(n_classes, &pairs);
        prop_assert_eq!(matrix.total(), pairs.len() as u64);
        for class in 0..n_classes {
            let n_true = pairs.iter().filter(|pair| pair.0 == class).count();
            let n_predicted = pairs.iter().filter(|pair| pair.1 == class).count();
            prop_assert_eq!(matrix.row_total(class), n_true as u64);
            prop_assert_eq!(matrix.col_total(class), n_predicted as u64);
        }
        let right = pairs.iter().filter(|pair| pair.0 == pair.1).count();
        prop_assert_eq!(matrix.trace(), right as u64);
        if !pairs.is_empty() {
            prop_assert_eq!(matrix.accuracy(), right as f64 / pairs.len() as f64);
        }
        let mistakes: u64 = matrix.most_confused(usize::MAX).iter().map(|pair| pair.count).sum();
        prop_assert_eq!(mistakes, (pairs.len() - right) as u64);
    }

    #[test]
    fn order_of_the_samples_does_not_matter(
        ((n_classes, pairs), shuffled) in observations()
            .prop_flat_map(|(k, pairs)| (Just((k, pairs.clone())), Just(pairs).prop_shuffle()))
    ) {
        prop_assert_eq!(count(n_classes, &pairs), count(n_classes, &shuffled));
    }

    #[test]
    fn swapping_truth_and_prediction_transposes((n_classes, pairs) in observations()) {
        let matrix = count(n_classes, &pairs);
        let swapped: Vec<_> = pairs.iter().map(|&(t, p)| (p, t)).collect();
        let transposed = count(n_classes, &swapped);
        for class in 0..n_classes {
            for other in 0..n_classes {
                prop_assert_eq!(matrix.count(class, other), transposed.count(other, class));
            }
            let (one, two) = (matrix.class_metrics(class), transposed.class_metrics(class));
            prop_assert_eq!((one.precision, one.recall, one.f1), (two.recall, two.precision, two.f1));
        }
    }

    #[test]
    fn class_metrics_agree_with_going_through_the_samples((n_classes, pairs) in observations()) {
        let matrix = count(n_classes, &pairs);
        for class in 0..n_classes {
            let hits = |of: &dyn Fn(&(usize, usize)) -> bool| {
                let chosen: Vec<_> = pairs.iter().filter(|pair| of(pair)).collect();
                let right = chosen.iter().filter(|pair| pair.0 == pair.1).count();
                (!chosen.is_empty()).then(|| right as f64 / chosen.len() as f64)
            };
            let got = matrix.class_metrics(class);
            prop_assert_eq!(got.precision, hits(&|pair| pair.1 == class));
            prop_assert_eq!(got.recall, hits(&|pair| pair.0 == class));
            prop_assert_eq!(got.support, pairs.iter().filter(|pair| pair.0 == class).count());
            match (got.precision, got.recall) {
                (None, None) => prop_assert_eq!(got.f1, None),
                (Some(p), Some(r)) if p + r > 0.0 => {
                    prop_assert!((got.f1.unwrap() - 2.0 * p * r / (p + r)).abs() < 1e-15);
                }
                _ => prop_assert_eq!(got.f1, Some(0.0)),
            }
        }
    }

    #[test]
    fn json_round_trip((n_classes, pairs) in observations()) {
        let matrix = count(n_classes, &pairs);
        let text = serde_json::to_string(&matrix).unwrap();
        prop_assert_eq!(serde_json::from_str::<ConfusionMatrix>(&text).unwrap(), matrix);
    }
}
