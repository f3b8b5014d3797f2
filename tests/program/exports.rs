//! `cifar export` and `cifar verify`: files for other runtimes, and what they refuse.

use std::fs;

use candle_core::{Device, Tensor};
use serde_json::Value;

use crate::place::Place;

/// Arguments that export the run as TorchScript to `model.pt`.
const EXPORT: [&str; 7] =
    ["export", "--run", "run", "--format", "torchscript", "--out", "model.pt"];
const VERIFY: [&str; 4] = ["verify", "model.pt", "--run", "run"];
const WEIGHTS: &str = "run/checkpoints/last/model.safetensors";

fn manifest(place: &Place, file: &str) -> Value {
    let bytes = fs::read(place.path(&format!("{file}.manifest.json"))).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// What is in the place besides data and run.
fn files(place: &Place) -> Vec<String> {
    let mut names = cifar_testkit::names_in(&place.path("."));
    names.retain(|name| name != "data" && name != "run");
    names
}

/// Multiplies the run's weights.
fn scale_weights(place: &Place, factor: f64) {
    let path = place.path(WEIGHTS);
    let tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    let scaled = tensors.into_iter().map(|(name, tensor)| (name, (tensor * factor).unwrap()));
    let scaled: std::collections::HashMap<String, Tensor> = scaled.collect();
    candle_core::safetensors::save(&scaled, path).unwrap();
}

#[test]
fn every_format_is_written_proven_and_verified() {
    let place = Place::new();
    place.train(&[]).ok();
    let eval: Value =
        serde_json::from_str(&place.run(&["eval", "--run", "run", "--json"]).ok().out).unwrap();
    for (format, dtype) in [("torchscript", "f32"), ("torchscript", "f16"), ("safetensors", "f32")]
    {
        let file = format!("model.{format}.{dtype}");
        let export = [
            "export", "--run", "run", "--format", format, "--dtype", dtype, "--out", &file,
            "--json",
        ];
        let report: Value = serde_json::from_str(&place.run(&export).ok().out).unwrap();
        let manifest = manifest(&place, &file);
        assert_eq!(report["sha256"], manifest["sha256"]);
        assert_eq!(manifest["bytes"], fs::metadata(place.path(&file)).unwrap().len());
        let check = &manifest["check"];
        assert_eq!(
            (check["n_images"].as_u64(), &manifest["options"]["dtype"]),
            (Some(40), &dtype.into())
        );
        if dtype == "f32" {
            assert_eq!(check["accuracy"], eval["top1"]);
        }
        place.run(&["verify", &file, "--run", "run"]).ok();
    }
    let weights = ["eval", "--weights", "model.safetensors.f32", "--model", "simplenet", "--json"];
    let again: Value = serde_json::from_str(&place.run(&weights).ok().out).unwrap();
    assert_eq!(again["top1"], eval["top1"]);
}

#[test]
fn the_normalisation_goes_into_the_graph() {
    let place = Place::new();
    place.train(&[]).ok();
    let ran = place.run(&[&EXPORT[..], &["--with-preprocess", "--fold-bn"]].concat()).ok();
    assert!(ran.out.contains("RGB bytes, u8 (N, 32, 32, 3)"), "{}", ran.out);
    place.run(&VERIFY).ok();
}

#[test]
fn a_file_that_answers_otherwise_is_not_left_behind() {
    let place = Place::new();
    place.train(&[]).ok();
    scale_weights(&place, 20.0);
    let half = [&EXPORT[..], &["--dtype", "f16"]].concat();
    place.run(&half).refused(&["model.pt was not written", "does not answer", "allowed 2e-2"]);
    assert_eq!(files(&place), Vec::<String>::new());
    scale_weights(&place, 1e7);
    place.run(&half).refused(&[".weight holds", "f16 cannot hold", "export it as f32"]);
    assert_eq!(files(&place), Vec::<String>::new());
}

#[test]
fn a_changed_file_or_network_is_not_verified() {
    let place = Place::new();
    place.train(&[]).ok();
    place.run(&EXPORT).ok();
    let whole = fs::read(place.path("model.pt")).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(place.path("model.pt"), &flipped).unwrap();
    place.run(&VERIFY).refused(&["model.pt is not to be trusted", "SHA-256", "export it again"]);
    fs::write(place.path("model.pt"), &whole[1..]).unwrap();
    place.run(&VERIFY).refused(&["model.pt", "bytes, its manifest says"]);
    fs::write(place.path("model.pt"), &whole).unwrap();

    scale_weights(&place, 1.5);
    place.run(&VERIFY).refused(&["model.pt is not to be trusted", "largest difference"]);
    fs::write(place.path("model.pt.manifest.json"), "{}").unwrap();
    place.run(&VERIFY).refused(&["model.pt.manifest.json is no manifest", "export the file again"]);
    fs::remove_file(place.path("model.pt.manifest.json")).unwrap();
    place.run(&VERIFY).refused(&["without its manifest", "cannot read", "model.pt.manifest.json"]);
}

#[test]
fn what_cannot_be_exported_names_the_remedy() {
    let place = Place::new();
    place.run(&EXPORT).refused(&["run holds no run", "runs/<name>"]);
    place.train(&[]).ok();
    let with = |more: &[&str]| place.run(&[&EXPORT[..], more].concat());
    with(&["--checkpoint", "best"]).refused(&["checkpoints/best"]);
    with(&["--data-dir", "nowhere", "--no-download"]).refused(&["nowhere"]);
    let to = |out: &str| place.run(&[&EXPORT[..6], &[out]].concat());
    to("run").refused(&["cannot write run", "folder", "name a file"]);
    to("nowhere/model.pt").refused(&["nowhere", "does not exist, create it first"]);
    let graphless =
        ["export", "--run", "run", "--format", "safetensors", "--with-preprocess", "--out", "x"];
    place.run(&graphless).refused(&["safetensors", "no graph", "choose torchscript or onnx"]);
    assert_eq!(files(&place), Vec::<String>::new());
}
