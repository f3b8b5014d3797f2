//! Recipes and flags that cannot be meant. Nothing is written for them.

use std::fs;

use crate::place::{Place, Ran};

/// Trains with `arguments`, which must be refused before a run is begun.
fn refused(arguments: &[&str], words: &[&str]) {
    let place = Place::new();
    place.train(arguments).refused(words);
    assert!(!place.path("run").exists(), "a run was begun");
}

/// The recipe of the repository with `change` applied to its text, as a file.
fn recipe_file(place: &Place, change: impl Fn(String) -> String) -> Ran {
    let original = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/simplenet.toml");
    fs::write(place.path("mine.toml"), change(fs::read_to_string(original).unwrap())).unwrap();
    place.run(&["train", "--recipe", "mine.toml", "--out", "run"])
}

#[test]
fn an_unknown_key_in_a_recipe_file() {
    let place = Place::new();
    let ran = recipe_file(&place, |text| format!("learning-rat = 0.1\n{text}"));
    ran.refused(&["mine.toml", "learning-rat", "unknown field"]);
    assert!(!place.path("run").exists());
}

#[test]
fn an_unknown_key_on_the_command_line() {
    refused(
        &["--set", "optimizer.learning-rat=0.1"],
        &["learning-rat", "expected one of", "learning-rate"],
    );
}

#[test]
fn a_learning_rate_that_is_nan() {
    refused(
        &["--set", "optimizer.learning-rate=nan"],
        &["optimizer.learning-rate", "NaN", "a positive number"],
    );
    let place = Place::new();
    let ran =
        recipe_file(&place, |text| text.replace("learning-rate = 0.01", "learning-rate = nan"));
    ran.refused(&["mine.toml", "optimizer.learning-rate", "NaN", "a positive number"]);
}

#[test]
fn no_epochs() {
    refused(&["--epochs", "0"], &["epochs", "0", "at least 1"]);
}

#[test]
fn a_batch_larger_than_the_data() {
    refused(&["--batch-size=1000"], &["1000", "200", "1..=200"]);
}

#[test]
fn a_batch_of_nothing() {
    refused(&["--set", "batch-size=0"], &["batch-size", "0", "at least 1"]);
}

#[test]
fn more_validation_images_than_there_are() {
    refused(&["--set", "data.validation=200"], &["200", "data.validation", "fewer than"]);
}

#[test]
fn an_unknown_device() {
    refused(&["--device", "tpu"], &["tpu", "auto", "cpu", "cuda:0"]);
}

#[test]
fn a_gpu_that_this_build_cannot_use() {
    refused(&["--device", "cuda:0"], &["cuda:0", "--device cpu"]);
}

#[test]
fn an_unknown_recipe_and_an_unknown_model() {
    let place = Place::new();
    let ran = place.run(&["train", "--recipe", "resnet-50", "--out", "run"]);
    ran.refused(&["resnet-50", "simplenet", "small-resnet", "TOML file"]);
    place.run(&["train", "--recipe", "none.toml", "--out", "run"]).refused(&["none.toml"]);
    place.run(&["models", "resnet-50"]).refused(&["resnet-50", "simplenet", "small-resnet"]);
    assert!(!place.path("run").exists());
}

#[test]
fn a_folder_that_is_taken() {
    let place = Place::new();
    fs::create_dir(place.path("run")).unwrap();
    fs::write(place.path("run/mine.txt"), "keep").unwrap();
    place.train(&[]).refused(&["run", "--out", "--resume"]);
    assert_eq!(fs::read_dir(place.path("run")).unwrap().count(), 1);
}

#[test]
fn a_flag_that_does_not_exist_is_exit_code_2() {
    let ran = Place::empty().run(&["train", "--learning-rate", "0.1"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("--learning-rate"), "{}", ran.err);
}
