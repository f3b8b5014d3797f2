use candle_core::ModuleT;

use super::*;
use crate::{Dtype as Stored, Normalization, Options, test_models};

#[test]
fn what_is_written_is_read_back_bit_for_bit() {
    let model = test_models::residual(1.0);
    let subject = Subject::new(&model, &test_models::options()).unwrap();
    let bytes = write(&subject, &test_models::metadata()).unwrap();
    let images = test_models::images(&model.net, 3);
    let want = test_models::logits(&model, &images).to_vec2::<f32>().unwrap();
    let got = reread(&bytes, &subject.net).unwrap().logits(&images).unwrap();
    assert_eq!(got.to_vec2::<f32>().unwrap(), want);
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let header = header.metadata().as_ref().unwrap();
    assert_eq!((header["format"].as_str(), header["model"].as_str()), ("pt", "residual"));
    assert!(bytes == write(&subject, &test_models::metadata()).unwrap(), "a function of the model");
}

#[test]
fn half_the_bytes_for_nearly_the_same_logits() {
    let model = test_models::residual(1.0);
    let options = Options { dtype: Stored::F16, fold_batch_norm: true, ..test_models::options() };
    let subject = Subject::new(&model, &options).unwrap();
    let bytes = write(&subject, &test_models::metadata()).unwrap();
    let images = test_models::images(&model.net, 3);
    let want = model.module.forward_t(&images, false).unwrap();
    let got = reread(&bytes, &subject.net).unwrap().logits(&images).unwrap();
    let difference = (want - got).unwrap().abs().unwrap().max_all().unwrap();
    assert!(difference.to_scalar::<f32>().unwrap() < 1e-2);
}

#[test]
fn there_is_no_graph_to_normalise_in() {
    let model = test_models::residual(1.0);
    let preprocess = Some(Normalization { mean: [0.5; 3], std: [0.5; 3] });
    let subject = Subject::new(&model, &Options { preprocess, ..test_models::options() }).unwrap();
    let error = write(&subject, &test_models::metadata()).unwrap_err().to_string();
    assert!(error.contains("no graph") && error.contains("torchscript or onnx"), "{error}");
}

#[test]
fn hostile_files_are_refused() {
    let model = test_models::residual(1.0);
    let subject = Subject::new(&model, &test_models::options()).unwrap();
    let bytes = write(&subject, &test_models::metadata()).unwrap();
    let huge_header = [&(1u64 << 60).to_le_bytes(), &bytes[8..]].concat();
    let cut = bytes[..bytes.len() - 1].to_vec();
    for hostile in [Vec::new(), huge_header, cut] {
        let error = reread(&hostile, &subject.net).err().unwrap();
        assert!(matches!(error, ExportError::Damaged { .. }), "{error}");
    }
    let other = test_models::of("simplenet").net;
    let error = reread(&bytes, &other).err().unwrap().to_string();
    assert!(error.contains("tensors, expected 6"), "{error}");
}
