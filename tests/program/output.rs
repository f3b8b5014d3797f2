//! What people and other programs read.

use std::fs;

use serde_json::Value;

use crate::place::Place;

#[test]
fn a_log_has_a_line_every_hundred_batches() {
    let place = Place::new();
    let ran = place
        .run(&["train", "--recipe=simplenet", "--batch-size=1", "--out=run", "--threads=1"])
        .ok();
    let line = ran.out.lines().find(|line| line.starts_with("Batch [100], Loss: ")).unwrap();
    let loss = line.rsplit(' ').next().unwrap();
    assert_eq!(loss.split('.').nth(1).map(str::len), Some(4), "{line}");
    assert!(ran.out.contains("Batch [200], Loss: ") && ran.out.contains("25,578"), "{}", ran.out);
}

#[test]
fn json_is_one_document_and_alone_on_standard_output() {
    let place = Place::new();
    let ran = place.train(&["--json"]).ok();
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    let file: Value =
        serde_json::from_slice(&fs::read(place.path("run/summary.json")).unwrap()).unwrap();
    assert_eq!(document, file);
    assert!(ran.err.contains("Run "), "{}", ran.err);
}

#[test]
fn models_lists_parameters_and_layers() {
    let place = Place::empty();
    let list = place.run(&["models"]).ok().out;
    assert!(list.contains("25,578") && list.contains("2,777,674"), "{list}");
    let layers = place.run(&["models", "small-resnet"]).ok().out;
    for name in ["stem.0", "layer2.0.shortcut.0", "fc"] {
        assert!(layers.contains(name), "{layers}");
    }
}

#[test]
fn data_show_writes_its_pictures() {
    let place = Place::new();
    let show = ["data", "show", "--recipe", "simplenet", "--out", "pictures", "--format", "both"];
    let ran = place.run(&show).ok();
    assert!(ran.out.contains("200") && ran.out.contains("airplane"), "{}", ran.out);
    for name in ["cifar10_samples", "class_distribution", "train_batch"] {
        let read = |ending| fs::read(place.path("pictures").join(name).with_extension(ending));
        let png = read("png").unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.ends_with(b"IEND\xaeB`\x82"), "{name}");
        assert!(read("svg").unwrap().starts_with(b"<svg"), "{name}");
    }
}

#[test]
fn eval_writes_the_confusion_matrix() {
    let place = Place::new();
    place.train(&[]).ok();
    let ran = place.run(&["eval", "--run", "run", "--confusion-png", "matrix.png"]).ok();
    assert!(ran.out.contains("airplane") && ran.out.contains("truck"), "{}", ran.out);
    assert!(fs::read(place.path("matrix.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn help_has_examples_and_exit_codes_and_completions_exist() {
    let place = Place::empty();
    let help = place.run(&["train", "--help"]).ok().out;
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        assert!(place.run(&["completions", shell]).ok().out.contains("cifar"), "{shell}");
    }
}
