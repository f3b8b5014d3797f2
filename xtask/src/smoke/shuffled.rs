//! The real pictures with the labels of the training ones shuffled: nothing is left to learn.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use cifar_testkit::{BATCHES, FOLDER, RECORD_LEN, write_batches};

use super::Summary;
use crate::cifar::{Cifar, text};
use crate::workspace;

/// Test accuracy of a network that has learned nothing: 10 %, and 4 standard deviations.
///
/// 24 shuffles, each from another seed, came to 10.01 ± 1.24 %. Independent guesses would spread by
/// 0.3 % over 10,000 images, but images of a class are often taken for the same.
const CHANCE: std::ops::RangeInclusive<f64> = 0.05..=0.15;

/// Trains SimpleNet with labels that say nothing about the pictures. More than chance on the test
/// images, whose labels are right, would mean that these had a part in training.
pub(super) fn check(cifar: &Cifar, runs: &Path) -> Result<()> {
    let (data, run) = (runs.join("shuffled-data"), runs.join("shuffled"));
    let batches = shuffled(&workspace::root().join("data").join(FOLDER))?;
    write_batches(&data, &batches).with_context(|| format!("write {}", data.display()))?;
    let train = ["train", "--recipe", "simplenet", "--seed", "0"];
    let places = ["--data-dir", text(&data)?, "--out", text(&run)?];
    cifar.run_silently(&[&train[..], &places].concat())?;
    let accuracy = Summary::of(&run)?.test_accuracy;
    println!("test accuracy with shuffled training labels: {accuracy:.4}");
    ensure!(
        CHANCE.contains(&accuracy),
        "test accuracy {accuracy} with shuffled training labels, expected {CHANCE:?}; compare {}",
        run.display()
    );
    Ok(())
}

/// The batches in the folder `from`, with the labels of the training ones shuffled.
fn shuffled(from: &Path) -> Result<[Vec<u8>; 6]> {
    let mut batches = [const { Vec::new() }; 6];
    for (batch, name) in batches.iter_mut().zip(BATCHES) {
        let path = from.join(format!("{name}.bin"));
        *batch = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    }
    let (train, _) = batches.split_at_mut(5);
    let mut labels: Vec<u8> = train.iter().flat_map(|batch| labels_of(batch)).collect();
    shuffle(&mut labels);
    let records = train.iter_mut().flat_map(|batch| batch.chunks_exact_mut(RECORD_LEN));
    records.zip(labels).for_each(|(record, label)| record[0] = label);
    Ok(batches)
}

fn labels_of(batch: &[u8]) -> impl Iterator<Item = u8> {
    batch.chunks_exact(RECORD_LEN).map(|record| record[0])
}

/// Fisher and Yates's shuffle, with the high bits of a linear congruential generator (Knuth's
/// MMIX); the same in every run.
fn shuffle(labels: &mut [u8]) {
    let mut state = 0u64;
    for end in (1..labels.len()).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        labels.swap(end, (state >> 33) as usize % (end + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 50,000 labels agree with shuffled ones as guesses do: 5,000 ± 67, and 4 standard deviations.
    #[test]
    fn shuffled_labels_are_the_same_ones_in_places_that_say_nothing() {
        let labels: Vec<u8> = (0..50_000).map(|at| (at % 10) as u8).collect();
        let mut shuffled = labels.clone();
        shuffle(&mut shuffled);
        let agreeing = labels.iter().zip(&shuffled).filter(|(a, b)| a == b).count();
        assert!((4_732..=5_268).contains(&agreeing), "{agreeing}");
        let count = |labels: &[u8], class| labels.iter().filter(|&&label| label == class).count();
        assert!((0..10).all(|class| count(&shuffled, class) == count(&labels, class)));
    }

    #[test]
    fn only_labels_of_training_pictures_change() {
        let dir = tempfile::tempdir().unwrap();
        let batch: Vec<u8> = (0..20 * RECORD_LEN).map(|at| (at / RECORD_LEN % 10) as u8).collect();
        for name in BATCHES {
            fs::write(dir.path().join(format!("{name}.bin")), &batch).unwrap();
        }
        let [train @ .., test] = shuffled(dir.path()).unwrap();
        assert_eq!(test, batch);
        let pictures = |batch: &[u8]| -> Vec<u8> {
            batch.chunks_exact(RECORD_LEN).flat_map(|record| record[1..].to_vec()).collect()
        };
        for (new, name) in train.iter().zip(BATCHES) {
            assert_ne!(*new, batch, "{name}");
            assert_eq!(pictures(new), pictures(&batch), "{name}");
        }
    }
}
