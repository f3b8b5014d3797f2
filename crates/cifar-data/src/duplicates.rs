//! Pictures that are there twice.

use std::collections::HashMap;

use crate::dataset::Dataset;

/// Pictures of equal bytes, as pairs of indices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Duplicates {
    /// In the training set: the first of its kind, and each later one.
    pub in_training: Vec<(u32, u32)>,
    /// Of those pairs, the ones whose labels differ.
    pub contradicting: Vec<(u32, u32)>,
    /// A training picture, and a test picture that equals it.
    pub across: Vec<(u32, u32)>,
}

impl Duplicates {
    /// Compares all pictures of `train`, and those of `test` with them, byte for byte.
    pub fn find(train: &Dataset, test: &Dataset) -> Self {
        let mut seen: HashMap<&[u8], u32> = HashMap::with_capacity(train.len());
        let mut found = Self::default();
        for index in 0..train.len() {
            let first = *seen.entry(train.image(index)).or_insert(index as u32);
            if first as usize != index {
                found.in_training.push((first, index as u32));
                if train.label(first as usize) != train.label(index) {
                    found.contradicting.push((first, index as u32));
                }
            }
        }
        for index in 0..test.len() {
            if let Some(&first) = seen.get(test.image(index)) {
                found.across.push((first, index as u32));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::IMAGE_LEN;

    /// One picture for each `(shade, label)`.
    fn dataset(pictures: &[(u8, u8)]) -> Dataset {
        let images = pictures.iter().flat_map(|&(shade, _)| [shade; IMAGE_LEN]).collect();
        let labels = pictures.iter().map(|&(_, label)| label).collect();
        Dataset::new(images, labels, vec!["a".to_owned(), "b".to_owned()]).unwrap()
    }

    #[test]
    fn equal_pictures_are_found_inside_and_across_with_the_labels_that_differ() {
        let train = dataset(&[(1, 0), (2, 1), (1, 0), (3, 0), (2, 0), (1, 1)]);
        let test = dataset(&[(9, 0), (3, 1), (1, 0)]);
        let found = Duplicates::find(&train, &test);
        assert_eq!(found.in_training, [(0, 2), (1, 4), (0, 5)]);
        assert_eq!(found.contradicting, [(1, 4), (0, 5)]);
        assert_eq!(found.across, [(3, 1), (0, 2)]);
    }

    #[test]
    fn one_changed_byte_makes_another_picture() {
        let mut images = vec![7; 2 * IMAGE_LEN];
        images[2 * IMAGE_LEN - 1] = 8;
        let train = Dataset::new(images, vec![0, 0], vec!["a".to_owned()]).unwrap();
        assert_eq!(Duplicates::find(&train, &dataset(&[(8, 0)])), Duplicates::default());
    }
}
