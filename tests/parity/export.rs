//! Exported files in PyTorch.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use candle_nn::ModuleT;
use cifar_export::{Dtype, Format, Metadata, Normalization, Options, Subject};
use cifar_models::Model;

use crate::case::Case;
use crate::compare::{Tensors, read, trained};

/// Images in a batch, more than most runtimes are tuned for.
const N_IMAGES: usize = 257;

/// As every case normalises.
const NORMALIZATION: Normalization = Normalization { mean: [0.5; 3], std: [0.25; 3] };

/// What files are written with, and what their logits may differ by.
pub(crate) const FILES: [(&str, Options, f64); 4] = [
    ("plain", options(false, None, Dtype::F32), 1e-4),
    ("folded", options(true, None, Dtype::F32), 1e-4),
    ("half", options(false, None, Dtype::F16), 2e-2),
    ("bytes", options(true, Some(NORMALIZATION), Dtype::F32), 1e-4),
];

const fn options(
    fold_batch_norm: bool,
    preprocess: Option<Normalization>,
    dtype: Dtype,
) -> Options {
    Options { fold_batch_norm, preprocess, dtype }
}

/// Writes the case's network after its training in every way, and what is to be put in; returns the
/// network.
pub(crate) fn write(case: &Case, folder: &Path) -> Model {
    case.write(folder);
    let model = trained(case);
    let save = |name: &str, format: Format, options: &Options| {
        let subject = Subject::new(&model, options).unwrap();
        std::fs::write(folder.join(name), format.write(&subject, &metadata(case)).unwrap())
            .unwrap();
    };
    for (name, options, _) in &FILES {
        save(&format!("{name}.pt"), Format::TorchScript, options);
    }
    save("weights.safetensors", Format::Safetensors, &FILES[0].1);
    let images = images(case);
    let pixels = ((&images * 0.25).unwrap() + 0.5).unwrap();
    let pixels =
        (pixels * 255.0).unwrap().round().unwrap().to_dtype(candle_core::DType::U8).unwrap();
    let pixels = pixels.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap();
    let inputs = HashMap::from([("images", images), ("pixels", pixels)]);
    candle_core::safetensors::save(&inputs, folder.join("inputs.safetensors")).unwrap();
    model
}

fn images(case: &Case) -> Tensor {
    let loader = case.loader((0..N_IMAGES as u32).collect(), N_IMAGES);
    loader.epoch(0).next().unwrap().image_tensor(&Device::Cpu).unwrap()
}

pub(crate) fn metadata(case: &Case) -> Metadata {
    Metadata {
        model: case.model.clone(),
        parameters: 0,
        class_names: (0..10).map(|class| format!("class {class}")).collect(),
        normalization: NORMALIZATION,
        test_accuracy: None,
        reported: None,
        recipe: "parity".to_owned(),
        recipe_sha256: String::new(),
        checkpoint: "last".to_owned(),
        licence: "MIT OR Apache-2.0".to_owned(),
        producer: "parity".to_owned(),
    }
}

/// Compares what PyTorch left in `folder` with `model`.
pub(crate) fn compare(case: &Case, model: &Model, folder: &Path) {
    let found = read(&folder.join("torch.safetensors"));
    let ours = model.module.forward_t(&images(case), false).unwrap();
    check(case, "the plain module", &found["eager"], &ours, 1e-4);
    for (name, _, tolerance) in FILES {
        for way in ["whole", "single", "frozen", "optimized"] {
            let what = format!("{name}.{way}");
            let first = ours.narrow(0, 0, found[&what].dims()[0]).unwrap();
            check(case, &what, &found[&what], &first, tolerance);
        }
    }
    check(case, "in training mode", &found["scripted_train"], &found["eager_train"], 1e-4);

    let back = read(&folder.join("back.safetensors"));
    assert_eq!(back.len(), model.variables.len());
    for variable in &model.variables {
        assert!(same_bits(&back, &variable.name, variable.var.as_tensor()), "{}", variable.name);
    }
}

fn same_bits(tensors: &Tensors, name: &str, want: &Tensor) -> bool {
    let bits = |tensor: &Tensor| {
        let flat = tensor.flatten_all().unwrap();
        let whole = flat.to_vec1::<i64>();
        whole.unwrap_or_else(|_| {
            let values = flat.to_vec1::<f32>().unwrap();
            values.into_iter().map(|value| i64::from(value.to_bits())).collect()
        })
    };
    tensors[name].dims() == want.dims() && bits(&tensors[name]) == bits(want)
}

fn check(case: &Case, what: &str, got: &Tensor, want: &Tensor, tolerance: f64) {
    assert_eq!(got.dims(), want.dims(), "{what}");
    let difference = (got - want).unwrap().abs().unwrap().max_all().unwrap();
    let difference = f64::from(difference.to_scalar::<f32>().unwrap());
    let name = &case.name;
    println!(
        "{name}: export, {what}: largest difference {difference:.1e} of at most {tolerance:.0e}"
    );
    assert!(difference <= tolerance, "{name}: export, {what}: {difference:e}");
}
