//! The parts of airbench94's recipe one by one.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use cifar_models::{Model, build};
use cifar_train::{TestTimeAugmentation, evaluate_views, orthogonal};

use crate::case::{Case, learner};
use crate::compare::{read, relative_error};

/// Images that the filters are made from, and that are judged by six views.
const N_IMAGES: usize = 500;

/// Newton–Schulz iterations.
const ITERATIONS: u32 = 3;

/// Leaves in `folder` what `reference.py airbench94` starts from.
pub(crate) fn write(case: &Case, folder: &Path) {
    case.write(folder);
    let pixels = pixels(case);
    let matrix = |rows: usize, columns: usize| {
        Tensor::from_slice(&pixels[..rows * columns], (rows, columns), &Device::Cpu).unwrap()
    };
    let images = Tensor::from_slice(&pixels, (N_IMAGES, 3, 32, 32), &Device::Cpu).unwrap();
    let tensors =
        HashMap::from([("images", images), ("wide", matrix(64, 216)), ("tall", matrix(216, 64))]);
    candle_core::safetensors::save(&tensors, folder.join("parts.safetensors")).unwrap();
}

/// Compares with what it left there.
pub(crate) fn compare(case: &Case, folder: &Path) {
    let reference = read(&folder.join("parts_reference.safetensors"));
    let given = read(&folder.join("parts.safetensors"));
    let check = |what: &str, got: &Tensor, tolerance: f64| {
        let error = relative_error(got, &reference[what]);
        println!("airbench94: {what}: relative error {error:.1e} of at most {tolerance:.0e}");
        assert!(error <= tolerance, "airbench94: {what}: relative error {error:e}");
    };

    let fresh = Model::initialise(build("airnet94", 10).unwrap(), 0, &Device::Cpu).unwrap();
    let first = |name: &str| {
        let variable = fresh.variables.iter().find(|variable| variable.name == name);
        variable.unwrap().var.as_tensor().clone()
    };
    check("dirac", &first("layers.1.conv1.weight").narrow(0, 0, 24).unwrap(), 0.0);
    let std = first("head.weight").flatten_all().unwrap().var(0).unwrap().sqrt().unwrap();
    assert!((std.to_scalar::<f32>().unwrap() - 1.0).abs() < 1e-5);

    fresh.whiten(&pixels(case), 5e-4).unwrap();
    check("whiten", &first("whiten.weight"), 1e-5);

    for which in ["wide", "tall"] {
        let got = orthogonal(&given[which], ITERATIONS).unwrap();
        check(&format!("{which}.orthogonal"), &got, 1e-5);
        // The recipe's authors compute it in bf16.
        check(&format!("{which}.orthogonal.bf16"), &got, 3e-2);
    }

    let (model, views) = (case.model(), TestTimeAugmentation::MirrorTranslate);
    let mut logits: Vec<f32> = Vec::new();
    let loader = case.loader((0..N_IMAGES as u32).collect(), 100);
    let arithmetic = case.recipe_in_f32().arithmetic();
    let keep = |batch: &[f32], _| logits.extend(batch);
    evaluate_views(&learner(&model), &loader, &Device::Cpu, arithmetic, views, keep).unwrap();
    let logits = Tensor::from_vec(logits, (N_IMAGES, 10), &Device::Cpu).unwrap();
    check("tta_logits", &logits, 1e-5);
}

fn pixels(case: &Case) -> Vec<f32> {
    let loader = case.loader((0..N_IMAGES as u32).collect(), N_IMAGES);
    loader.epoch(0).flat_map(|batch| batch.images).collect()
}
