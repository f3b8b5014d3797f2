//! Setting validation images aside.

use crate::error::DataError;
use crate::seed::{DrawStream, Purpose};

/// Two disjoint sets of indices that together are all of the data. Both ascend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Indices to train on.
    pub train: Vec<u32>,
    /// Indices to validate on.
    pub validation: Vec<u32>,
}

/// Sets `n_validation` samples aside, each class in proportion to its share of the data.
///
/// Where a class's share is no whole number, the largest remainders are rounded up, so every
/// class is within one sample of its share. Which samples are taken follows from `seed`.
/// `n_validation` 0 keeps everything for training.
///
/// # Errors
/// If nothing would be left to train on, or a label is not below `n_classes`.
pub fn stratified_split(
    labels: &[u8],
    n_classes: usize,
    n_validation: usize,
    seed: u64,
) -> Result<Split, DataError> {
    if n_validation > 0 && n_validation >= labels.len() {
        return Err(DataError::Split { n_validation, n_samples: labels.len() });
    }
    let mut by_class = indices_by_class(labels, n_classes)?;
    let counts: Vec<usize> = by_class.iter().map(Vec::len).collect();
    let shares = apportion(&counts, n_validation);
    let (mut train, mut validation) = (Vec::new(), Vec::new());
    for (class, (indices, share)) in by_class.iter_mut().zip(shares).enumerate() {
        DrawStream::new(seed, Purpose::ValidationSplit, class as u64).shuffle(indices);
        validation.extend_from_slice(&indices[..share]);
        train.extend_from_slice(&indices[share..]);
    }
    train.sort_unstable();
    validation.sort_unstable();
    Ok(Split { train, validation })
}

fn indices_by_class(labels: &[u8], n_classes: usize) -> Result<Vec<Vec<u32>>, DataError> {
    let mut by_class = vec![Vec::new(); n_classes];
    for (index, &label) in labels.iter().enumerate() {
        match by_class.get_mut(usize::from(label)) {
            Some(indices) => indices.push(index as u32),
            None => return Err(DataError::Label { index, label, n_classes }),
        }
    }
    Ok(by_class)
}

/// Divides `n` among classes in proportion to `counts`, by largest remainder; equal remainders
/// go to the earlier class.
fn apportion(counts: &[usize], n: usize) -> Vec<usize> {
    let total = counts.iter().sum::<usize>().max(1);
    let mut shares: Vec<usize> = counts.iter().map(|count| count * n / total).collect();
    let mut by_remainder: Vec<usize> = (0..counts.len()).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(counts[class] * n % total));
    let missing = n - shares.iter().sum::<usize>();
    for &class in by_remainder.iter().take(missing) {
        shares[class] += 1;
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn five_thousand_of_cifar_10_are_five_hundred_a_class() {
        let labels: Vec<u8> = (0..50_000u32).map(|i| (i * 7 % 10) as u8).collect();
        let split = stratified_split(&labels, 10, 5_000, 0).unwrap();
        for class in 0..10 {
            let n = split.validation.iter().filter(|&&i| labels[i as usize] == class).count();
            assert_eq!(n, 500, "class {class}");
        }
    }

    #[test]
    fn the_seed_decides_and_repeats() {
        let labels: Vec<u8> = (0..100).map(|i| i % 10).collect();
        let split = |seed| stratified_split(&labels, 10, 30, seed).unwrap();
        assert_eq!(split(3), split(3));
        assert_ne!(split(3), split(4));
    }

    #[test]
    fn nothing_left_to_train_on_is_an_error() {
        let error = stratified_split(&[0, 1], 2, 2, 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot set 2 of 2 samples aside for validation: choose fewer than 2"
        );
    }

    #[test]
    fn a_label_without_a_class_is_an_error() {
        let error = stratified_split(&[0, 7], 2, 1, 0).unwrap_err();
        assert!(matches!(error, DataError::Label { index: 1, label: 7, n_classes: 2 }));
    }

    proptest! {
        #[test]
        fn disjoint_complete_and_stratified(
            labels in proptest::collection::vec(0u8..5, 2..300),
            fraction in 0.0f64..1.0,
            seed: u64,
        ) {
            let n_validation = (fraction * (labels.len() - 1) as f64) as usize;
            let split = stratified_split(&labels, 5, n_validation, seed).unwrap();
            prop_assert_eq!(split.validation.len(), n_validation);
            prop_assert!(split.train.is_sorted() && split.validation.is_sorted());
            let mut all = [split.train.clone(), split.validation.clone()].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..labels.len() as u32).collect::<Vec<_>>());
            for class in 0..5 {
                let count = |of: &[u32]| of.iter().filter(|&&i| labels[i as usize] == class).count();
                let total = labels.iter().filter(|&&l| l == class).count();
                let share = (total * n_validation) as f64 / labels.len() as f64;
                prop_assert!((count(&split.validation) as f64 - share).abs() < 1.0);
            }
        }
    }
}
