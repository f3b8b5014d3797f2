//! Files for onnxruntime.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use candle_nn::ModuleT;
use cifar_export::{Dtype, Format, Metadata, Normalization, Options, Subject};
use cifar_testkit::RECORD_LEN;

use crate::case::Case;

const N_PICTURES: usize = 514;

/// What `case.rs` has in its recipes.
const NORMALIZATION: Normalization = Normalization { mean: [0.5; 3], std: [0.25; 3] };

/// Leaves in `folder` what `onnx_files.py` compares: the case's network with its batch norms kept
/// and folded, with preprocessing, and with f16 weights.
pub(crate) fn write(case: &Case, folder: &Path) {
    case.write(folder);
    let model = case.model();
    // Running statistics as after some training: first weights come with 0 and 1.
    for batch in case.loader((0..256).collect(), 32).epoch(0) {
        model.module.forward_t(&batch.image_tensor(&Device::Cpu).unwrap(), true).unwrap();
    }
    model.save_weights(&folder.join("weights.safetensors")).unwrap();
    let records = cifar_testkit::batch(N_PICTURES, 0, 0);
    let pictures = records.chunks_exact(RECORD_LEN).flat_map(|record| &record[1..]).copied();
    let shape = (N_PICTURES, 3, 32, 32);
    let pictures = Tensor::from_vec(pictures.collect(), shape, &Device::Cpu).unwrap();
    let pictures = HashMap::from([("pictures", pictures)]);
    candle_core::safetensors::save(&pictures, folder.join("pictures.safetensors")).unwrap();

    let kept = Options { fold_batch_norm: false, preprocess: None, dtype: Dtype::F32 };
    let folded = Options { fold_batch_norm: true, ..kept.clone() };
    let bytes = Options { preprocess: Some(NORMALIZATION), ..folded.clone() };
    let half = Options { dtype: Dtype::F16, ..bytes.clone() };
    for (name, options) in [("kept", kept), ("folded", folded), ("bytes", bytes), ("half", half)] {
        let subject = Subject::new(&model, &options).unwrap();
        let file = Format::Onnx.write(&subject, &metadata(case)).unwrap();
        fs::write(folder.join(format!("{name}.onnx")), file).unwrap();
    }
}

fn metadata(case: &Case) -> Metadata {
    Metadata {
        model: case.model.clone(),
        parameters: case.net().n_parameters(),
        class_names: (0..10).map(|class| format!("class {class}")).collect(),
        normalization: NORMALIZATION,
        test_accuracy: None,
        reported: None,
        recipe: case.name.clone(),
        recipe_sha256: "0".repeat(64),
        checkpoint: "best".to_owned(),
        licence: "MIT OR Apache-2.0".to_owned(),
        producer: "parity".to_owned(),
    }
}
