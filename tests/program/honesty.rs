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

/// Three epochs, the best of which is chosen by validation; with the test images replaced by noise
/// every weight of the last and of the best epoch stays the same, bit for bit.
#[test]
fn no_test_image_has_a_part_in_training() {
    let place = Place::empty();
    let batches = synthetic(60, 3);
    let mut noise = batches.clone();
    let mut state = 1u32;
    for record in noise[5].chunks_exact_mut(RECORD_LEN) {
        for value in &mut record[1..] {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *value = (state >> 24) as u8;
        }
    }
    let arguments = ["--epochs", "3", "--set", "batch-size=20", "--set", "data.validation=60"];
    let with_images = train(&place, "images", &batches, &arguments);
    let with_noise = train(&place, "noise", &noise, &arguments);
    for checkpoint in ["last", "best"] {
        let weights = |name: &str| {
            let run = place.path(name).join("run/checkpoints").join(checkpoint);
            fs::read(run.join("model.safetensors")).unwrap()
        };
        assert!(weights("images") == weights("noise"), "the weights of `{checkpoint}` differ");
    }
    assert_eq!(with_images["val_accuracy"], with_noise["val_accuracy"]);
    // The test images were read.
    assert_ne!(with_images["test_loss"], with_noise["test_loss"]);
}

/// The labels of the training images changed so that each class has as many images of every label:
/// nothing is left to learn but the images themselves. 400 test images of 10 classes: a network that
/// guesses has 40 ± 6 right, and 4 standard deviations are 16 to 64.
#[test]
fn shuffled_labels_teach_nothing() {
    let place = Place::empty();
    let batches = synthetic(400, 5);
    let mut shuffled = batches.clone();
    let mut n_seen = [0u8; 10];
    for record in shuffled[..5].iter_mut().flat_map(|batch| batch.chunks_exact_mut(RECORD_LEN)) {
        let label = &mut n_seen[usize::from(record[0])];
        record[0] = *label % 10;
        *label = label.wrapping_add(1) % 10;
    }
    let arguments = ["--epochs", "4", "--set", "batch-size=20", "--set", "optimizer.momentum=0.9"];
    let accuracy = |name, batches| {
        let summary = train(&place, name, batches, &arguments);
        summary["test_accuracy"].as_f64().unwrap()
    };
    let (honest, guessed) = (accuracy("honest", &batches), accuracy("shuffled", &shuffled));
    assert!(honest > 0.6, "{honest}");
    assert!((0.04..=0.16).contains(&guessed), "{guessed}");
}
