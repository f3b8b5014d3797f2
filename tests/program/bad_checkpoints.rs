//! Checkpoints that are damaged or belong to something else. They are told, and left as they are.

use std::fs;
use std::path::PathBuf;

use crate::place::Place;

/// A place with a run of ten steps, and the weights of its checkpoint.
fn trained() -> (Place, PathBuf) {
    let place = Place::new();
    place.train(&[]).ok();
    let weights = place.path("run/checkpoints/last/model.safetensors");
    (place, weights)
}

#[test]
fn a_checkpoint_cut_in_half() {
    let (place, weights) = trained();
    let bytes = fs::read(&weights).unwrap();
    fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let words = ["checkpoints/last/model.safetensors", "again"];
    place.run(&["eval", "--run", "run"]).refused(&words);
    place.run(&["train", "--resume", "run"]).refused(&words);
    assert_eq!(fs::read(&weights).unwrap().len(), bytes.len() / 2);
}

#[test]
fn half_an_optimiser_state() {
    let place = Place::new();
    place.train(&["--set", "optimizer.momentum=0.9", "--max-steps", "5"]).ok();
    let state = place.path("run/checkpoints/last/optimizer.safetensors");
    let bytes = fs::read(&state).unwrap();
    fs::write(&state, &bytes[..bytes.len() / 2]).unwrap();
    place
        .run(&["train", "--resume", "run"])
        .refused(&["checkpoints/last/optimizer.safetensors", "again"]);
}

#[test]
fn a_state_that_is_no_json() {
    let (place, _) = trained();
    fs::write(place.path("run/checkpoints/last/state.json"), "{").unwrap();
    place.run(&["train", "--resume", "run"]).refused(&["checkpoints/last/state.json", "again"]);
}

#[test]
fn the_weights_of_another_model() {
    let (place, weights) = trained();
    let weights = weights.to_str().unwrap();
    place.run(&["eval", "--weights", weights, "--model", "small-resnet"]).refused(&[
        "model.safetensors",
        "small-resnet",
        "simplenet",
    ]);
}

#[test]
fn the_checkpoint_of_another_model() {
    let (place, _) = trained();
    let config = place.path("run/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("model = \"simplenet\"", "model = \"small-resnet\"")).unwrap();
    place.run(&["train", "--resume", "run"]).refused(&[
        "checkpoints/last",
        "simplenet",
        "small-resnet",
    ]);
}

#[test]
fn the_checkpoint_of_another_length() {
    let (place, _) = trained();
    let config = place.path("run/config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("epochs = 1", "epochs = 2")).unwrap();
    place.run(&["train", "--resume", "run"]).refused(&["checkpoints/last", "steps", "10", "20"]);
}

#[test]
fn a_folder_that_holds_no_run() {
    let place = Place::new();
    place.run(&["train", "--resume", "data"]).refused(&["data", "config.toml"]);
    place.run(&["eval", "--run", "data"]).refused(&["data", "config.toml"]);
}

#[test]
fn weights_that_are_not_there() {
    let place = Place::new();
    place
        .run(&["eval", "--weights", "none.safetensors", "--model", "simplenet"])
        .refused(&["none.safetensors"]);
}
