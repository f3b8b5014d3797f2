//! That a reported accuracy means what it says.

use std::fs;

use cifar_testkit::{RECORD_LEN, synthetic, write_batches};
use serde_json::Value;

use crate::place::Place;

/// Trains SimpleNet on `batches` with these further arguments, in a folder `name`; the run's
/// summary.
fn train(place: &Place, name: &str, batches: &[Vec<u8>; 6], arguments: &[&str]) -> Value {
    let data = place.path(name).join("data");
    write_batches(&data, batches).unwrap();
    let run = place.path(name).join("run");
    let (data, run) = (data.to_str().unwrap(), run.to_str().unwrap());
    let train = ["train", "--recipe", "simplenet", "--threads", "1", "--data-dir", data];
    place.run(&[&train[..], &["--out", run], arguments].concat()).ok();
    let summary = fs::read(place.path(name).join("run/summary.json")).unwrap();
    serde_json::from_slice(&summary).unwrap()
}

/// With noise in the place of the test file, labels too, every weight stays the same, bit for bit:
/// those of the last of three epochs, and of the best one where validation chooses it.
#[test]
fn no_test_image_has_a_part_in_training() {
    let place = Place::empty();
    let batches = synthetic(60, 3);
    let mut noise = batches.clone();
    let mut state = 1u32;
    for record in noise[5].chunks_exact_mut(RECORD_LEN) {
        for value in &mut *record {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (state >> 24) as u8;
        }
        record[0] %= 10;
    }
    for (n_held_out, checkpoints) in [(0, &["last"][..]), (60, &["last", "best"])] {
        let validation = format!("data.validation={n_held_out}");
        let arguments = ["--epochs", "3", "--set", "batch-size=20", "--set", &validation];
        let names = ["images", "noise"].map(|name| format!("{name}-{n_held_out}"));
        let with_images = train(&place, &names[0], &batches, &arguments);
        let with_noise = train(&place, &names[1], &noise, &arguments);
        let folders = names.map(|name| place.path(&name).join("run/checkpoints"));
        for checkpoint in checkpoints {
            let [images, noise] = folders
                .each_ref()
                .map(|folder| fs::read(folder.join(checkpoint).join("model.safetensors")).unwrap());
            assert!(images == noise, "{validation}: the weights of `{checkpoint}` differ");
        }
        // Without validation there is nothing to choose by.
        assert_eq!(folders[0].join("best").exists(), checkpoints.contains(&"best"));
        assert_eq!(with_images["val_accuracy"], with_noise["val_accuracy"]);
        // The test images were read.
        assert_ne!(with_images["test_loss"], with_noise["test_loss"]);
    }
}

/// The labels of the training images changed so that each class has as many images of every label:
/// nothing is left to learn but the images themselves.
///
/// Independent guesses would be right in 10 ± 1.5 % of 400 test images. But images of a class look
/// alike and are taken for the same: 24 data sets came to 10.5 ± 4.4 % (mean ± sd). So the mean of
/// four has a standard deviation of 2.2 %, and 4 of these are 1 to 19 %.
#[test]
fn shuffled_labels_teach_nothing() {
    let place = Place::empty();
    let arguments = ["--epochs", "4", "--set", "batch-size=20", "--set", "optimizer.momentum=0.9"];
    let accuracy = |name: &str, batches: &[Vec<u8>; 6]| {
        let summary = train(&place, name, batches, &arguments);
        summary["test_accuracy"].as_f64().unwrap()
    };
    let honest = accuracy("honest", &synthetic(400, 5));
    assert!(honest > 0.6, "{honest}");
    let guessed = [5, 6, 7, 8].map(|seed| {
        let mut batches = synthetic(400, seed);
        shuffle_labels(&mut batches[..5]);
        accuracy(&format!("shuffled-{seed}"), &batches)
    });
    let mean = guessed.iter().sum::<f64>() / 4.0;
    assert!((0.01..=0.19).contains(&mean), "{guessed:?}");
}

/// Gives the images of each class all labels in turns.
fn shuffle_labels(batches: &mut [Vec<u8>]) {
    let mut n_seen = [0u8; 10];
    for record in batches.iter_mut().flat_map(|batch| batch.chunks_exact_mut(RECORD_LEN)) {
        let label = &mut n_seen[usize::from(record[0])];
        record[0] = *label;
        *label = (*label + 1) % 10;
    }
}
