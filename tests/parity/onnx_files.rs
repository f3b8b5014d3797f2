//! Exported files in onnxruntime.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use candle_core::{Device, Tensor};
use cifar_export::{Format, Subject};
use cifar_testkit::RECORD_LEN;

use crate::case::Case;
use crate::compare::trained;
use crate::export::{FILES, metadata};

/// A batch of an odd size.
const N_PICTURES: usize = 257;

/// Leaves in `folder` what `onnx_files.py` compares: the case's network after its training, written
/// in every way.
pub(crate) fn write(case: &Case, folder: &Path) {
    case.write(folder);
    let model = trained(case);
    model.save_weights(&folder.join("weights.safetensors")).unwrap();
    let records = cifar_testkit::batch(N_PICTURES, 0, 0);
    let pictures = records.chunks_exact(RECORD_LEN).flat_map(|record| &record[1..]).copied();
    let shape = (N_PICTURES, 3, 32, 32);
    let pictures = Tensor::from_vec(pictures.collect(), shape, &Device::Cpu).unwrap();
    let pictures = HashMap::from([("pictures", pictures)]);
    candle_core::safetensors::save(&pictures, folder.join("pictures.safetensors")).unwrap();
    for (name, options, _) in &FILES {
        let subject = Subject::new(&model, options).unwrap();
        let file = Format::Onnx.write(&subject, &metadata(case)).unwrap();
        fs::write(folder.join(format!("{name}.onnx")), file).unwrap();
    }
}
