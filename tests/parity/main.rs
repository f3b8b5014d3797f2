//! The same weights and images through PyTorch and through this workspace.
//!
//! `reference.py` beside this file is the other side. Both read `cases.json`; the Rust side
//! writes first weights and images, PyTorch answers with what it computes from them, and here
//! both are compared: logits, every gradient of the first step, losses, and every weight and
//! buffer after ten optimiser steps; besides, what explains a prediction. `export.py` opens exported
//! files, `onnx_files.py` runs them in onnxruntime. `metrics.py` does the same for the figures of an
//! evaluation, with scikit-learn; `checkpoint.py` trains a network and saves it in each of PyTorch's
//! ways, for the program to evaluate. Run it with `cargo xtask parity`, which brings
//! the Python.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops where it fails, and tells what it measured"
)]

mod airbench94;
#[path = "../built.rs"]
mod built;
mod case;
mod checkpoint;
mod compare;
mod explanations;
mod export;
mod metrics;
mod onnx_files;
mod python;
mod schedules;

use std::path::{Path, PathBuf};

use crate::case::Case;

/// A folder for the files that the two sides exchange.
fn exchange(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("parity").join(name);
    std::fs::create_dir_all(&folder).expect("make the folder for exchanged files");
    folder
}

/// The network of a case as ONNX.
fn check_onnx(name: &str) {
    let (case, folder) = (Case::named(name), exchange(&format!("onnx-{name}")));
    onnx_files::write(&case, &folder);
    python::run("onnx_files.py", &[&folder]);
}

fn check(name: &str) {
    let case = Case::named(name);
    let folder = exchange(name);
    case.write(&folder);
    python::run("reference.py", &[Path::new("train"), &folder.join("case.json"), &folder]);
    compare::compare(&case, &folder);
}

/// The network of a case, with its images.
fn check_explanation(name: &str) {
    let case = Case::named(name);
    let folder = exchange(&format!("explain-{name}"));
    case.write(&folder);
    python::run("reference.py", &[Path::new("explain"), &folder.join("case.json"), &folder]);
    explanations::compare(&case, &folder);
}

/// The network of a case after its training, as files for other runtimes.
fn check_export(name: &str) {
    let case = Case::named(name);
    let folder = exchange(&format!("export-{name}"));
    let model = export::write(&case, &folder);
    python::run("export.py", &[&folder]);
    export::compare(&case, &model, &folder);
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn simplenet_sgd() {
    check("simplenet-sgd");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn simplenet_nesterov() {
    check("simplenet-nesterov");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn simplenet_adamw_onecycle_clip_smoothing() {
    check("simplenet-adamw-onecycle-clip-smoothing");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn small_resnet_momentum() {
    check("small-resnet-momentum");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn small_resnet_adamw_onecycle_clip() {
    check("small-resnet-adamw-onecycle-clip");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn simplenet_gelu() {
    check("simplenet-gelu");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn small_resnet_gelu() {
    check("small-resnet-gelu");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn small_resnet_silu() {
    check("small-resnet-silu");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn small_resnet_leaky_relu() {
    check("small-resnet-leaky-relu");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn airnet94_nesterov_smoothing() {
    check("airnet94-nesterov-smoothing");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn explanation_of_simplenet() {
    check_explanation("simplenet-sgd");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn airnet94_muon() {
    check("airnet94-muon");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn airbench94_parts() {
    let (case, folder) = (Case::named("airnet94-muon"), exchange("airbench94-parts"));
    airbench94::write(&case, &folder);
    python::run("reference.py", &[Path::new("airbench94"), &folder.join("case.json"), &folder]);
    airbench94::compare(&case, &folder);
}

#[test]
#[ignore = "needs onnxruntime; run `cargo xtask parity`"]
fn onnx_of_simplenet() {
    check_onnx("simplenet-sgd");
}

#[test]
#[ignore = "needs onnxruntime; run `cargo xtask parity`"]
fn onnx_of_small_resnet() {
    check_onnx("small-resnet-silu");
}

#[test]
#[ignore = "needs onnxruntime; run `cargo xtask parity`"]
fn onnx_of_airnet94() {
    check_onnx("airnet94-muon");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn explanation_of_small_resnet() {
    check_explanation("small-resnet-momentum");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn export_of_simplenet() {
    check_export("simplenet-sgd");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn export_of_small_resnet() {
    check_export("small-resnet-momentum");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn export_of_airnet94() {
    check_export("airnet94-nesterov-smoothing");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn export_of_leaky_relu() {
    check_export("small-resnet-leaky-relu");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn export_of_dropout() {
    check_export("simplenet-dropout");
}

#[test]
#[ignore = "needs onnxruntime; run `cargo xtask parity`"]
fn onnx_of_dropout() {
    check_onnx("simplenet-dropout");
}

#[test]
#[ignore = "needs onnxruntime; run `cargo xtask parity`"]
fn onnx_of_leaky_relu() {
    check_onnx("small-resnet-leaky-relu");
}

#[test]
#[ignore = "needs PyTorch; run `cargo xtask parity`"]
fn schedules() {
    let file = exchange("schedules").join("curves.json");
    python::run("reference.py", &[Path::new("schedules"), &file]);
    schedules::compare(&file);
}

#[test]
#[ignore = "needs scikit-learn; run `cargo xtask parity`"]
fn metrics_of_random_predictions() {
    let file = exchange("metrics").join("cases.json");
    python::run("metrics.py", &[&file]);
    metrics::compare(&file);
}

#[test]
#[ignore = "needs PyTorch and the real data; run `cargo xtask parity`"]
fn checkpoints_of_pytorch() {
    let (folder, data) = (exchange("checkpoints"), checkpoint::data());
    let (model, n_steps) = ("simplenet", "150");
    python::run("checkpoint.py", &[Path::new(model), Path::new(n_steps), &data, &folder]);
    checkpoint::compare(model, &folder);
}

#[test]
fn every_case_has_its_test_and_a_valid_recipe() {
    let tested = [
        "simplenet-sgd",
        "simplenet-nesterov",
        "simplenet-adamw-onecycle-clip-smoothing",
        "small-resnet-momentum",
        "small-resnet-adamw-onecycle-clip",
        "simplenet-gelu",
        "small-resnet-gelu",
        "small-resnet-silu",
        "small-resnet-leaky-relu",
        "airnet94-nesterov-smoothing",
        "airnet94-muon",
        "simplenet-dropout",
    ];
    let cases = Case::all();
    assert_eq!(cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), tested);
    for case in cases {
        assert_eq!(case.recipe().batch_size, case.batch_size);
    }
}
