use std::fs;

use candle_core::ModuleT;

use super::*;
use crate::build;

fn simple_net(seed: u64) -> Model {
    Model::initialise(build("simplenet", 10).unwrap(), seed, &Device::Cpu).unwrap()
}

fn bits(model: &Model) -> Vec<u32> {
    let values = |v: &Variable| v.var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    model.variables.iter().flat_map(values).map(f32::to_bits).collect()
}

fn refused(model: &Model, path: &Path) -> String {
    let before = bits(model);
    let error = model.load_weights(path).unwrap_err().to_string();
    assert_eq!(bits(model), before, "a refused file changed the weights");
    assert!(error.contains(path.to_str().unwrap()), "{error}");
    error
}

#[test]
fn saved_weights_come_back_bit_for_bit_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let saved = simple_net(1);
    saved.save_weights(&path).unwrap();
    let first = fs::read(&path).unwrap();
    let loaded = Model::load(build("simplenet", 10).unwrap(), &path, &Device::Cpu).unwrap();
    assert_eq!(bits(&loaded), bits(&saved));
    loaded.save_weights(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), first);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn the_module_reads_the_variables() {
    let model = simple_net(0);
    let images = Tensor::ones((2, 3, 32, 32), DType::F32, &Device::Cpu).unwrap();
    let logits = || model.module.forward_t(&images, false).unwrap().to_vec2::<f32>().unwrap();
    let before = logits();
    let other = simple_net(1);
    for (to, from) in model.variables.iter().zip(&other.variables) {
        to.var.set(&from.var).unwrap();
    }
    assert_ne!(logits(), before);
}

#[test]
fn buffers_of_batch_norm_are_saved_and_change_in_training() {
    let model = Model::initialise(build("small-resnet", 10).unwrap(), 0, &Device::Cpu).unwrap();
    let find = |name: &str| model.variables.iter().find(|v| v.name == name).unwrap();
    let tracked = find("stem.1.num_batches_tracked");
    assert!(!tracked.trainable && tracked.var.dtype() == DType::I64);
    let images = Tensor::rand(0f32, 1.0, (1, 3, 32, 32), &Device::Cpu).unwrap();
    model.module.forward_t(&images, true).unwrap();
    assert_eq!(tracked.var.to_scalar::<i64>().unwrap(), 1);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    model.save_weights(&path).unwrap();
    let loaded = Model::load(build("small-resnet", 10).unwrap(), &path, &Device::Cpu).unwrap();
    let count = loaded.variables.iter().find(|v| v.name == tracked.name).unwrap();
    assert_eq!(count.var.to_scalar::<i64>().unwrap(), 1);
}

#[test]
fn weights_of_another_model_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("resnet.safetensors");
    let other = Model::initialise(build("small-resnet", 10).unwrap(), 0, &Device::Cpu).unwrap();
    other.save_weights(&path).unwrap();
    let error = refused(&simple_net(0), &path);
    for part in ["simplenet", "6 missing (conv1.weight", "unexpected", "weights of small-resnet"] {
        assert!(error.contains(part), "{part} missing in: {error}");
    }
}

#[test]
fn another_number_of_classes_is_a_shape_that_differs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("three.safetensors");
    Model::initialise(build("simplenet", 3).unwrap(), 0, &Device::Cpu)
        .unwrap()
        .save_weights(&path)
        .unwrap();
    let error = refused(&simple_net(0), &path);
    assert!(error.contains("fc1.weight is [3, 2048] F32, expected [10, 2048] F32"), "{error}");
    assert!(error.contains("another number of classes"), "{error}");
}

#[test]
fn a_file_cut_in_half_and_a_missing_file_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("half.safetensors");
    let model = simple_net(0);
    model.save_weights(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refused(&model, &path).contains("not a whole safetensors file"));
    fs::write(&path, b"not tensors at all").unwrap();
    assert!(refused(&model, &path).contains("not a whole safetensors file"));
    assert!(refused(&model, &dir.path().join("none")).contains("cannot read"));
}

#[test]
fn every_difference_is_listed_where_the_file_is_no_known_model() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("odd.safetensors");
    let model = simple_net(0);
    let tensor = |v: &Variable| (v.name.clone(), v.var.as_detached_tensor());
    let mut tensors: HashMap<String, Tensor> = model.variables.iter().map(tensor).collect();
    let whole = tensors["conv2.bias"].to_dtype(DType::U32).unwrap();
    tensors.insert("conv2.bias".into(), whole);
    for name in ["conv1.weight", "conv1.bias", "conv2.weight", "fc1.bias"] {
        let moved = tensors.remove(name).unwrap();
        tensors.insert(format!("module.{name}"), moved);
    }
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let error = refused(&model, &path);
    for part in [
        "is it a checkpoint of another model?",
        "4 missing (conv1.weight, conv1.bias, conv2.weight, fc1.bias)",
        "4 unexpected (module.conv1.bias, module.conv1.weight, module.conv2.weight, module.fc1.bias)",
        "1 of another shape or type (conv2.bias is [32] U32, expected [32] F32)",
    ] {
        assert!(error.contains(part), "{part} missing in: {error}");
    }
}

#[test]
fn a_counter_of_batches_must_be_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    let model = Model::initialise(build("small-resnet", 10).unwrap(), 0, &Device::Cpu).unwrap();
    let kept = model.variables.iter().filter(|v| v.name != "stem.1.num_batches_tracked");
    let tensor = |v: &Variable| (v.name.clone(), v.var.as_detached_tensor());
    let tensors: HashMap<String, Tensor> = kept.map(tensor).collect();
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let error = model.load_weights(&path).unwrap_err().to_string();
    assert!(error.ends_with("1 missing (stem.1.num_batches_tracked)"), "{error}");
}

#[test]
fn what_cannot_be_saved_leaves_the_earlier_file_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let model = simple_net(0);
    let nowhere = dir.path().join("none").join("m.safetensors");
    let error = model.save_weights(&nowhere).unwrap_err().to_string();
    assert_eq!(error, format!("cannot write {}", nowhere.display()));
    // A folder of that name cannot be replaced by a file: the last step fails.
    let folder = dir.path().join("taken.safetensors");
    fs::create_dir(&folder).unwrap();
    model.save_weights(&folder).unwrap_err();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(left, [folder]);
}

#[test]
fn gradient_reaches_every_trainable_variable() {
    for name in crate::NAMES {
        let model = Model::initialise(build(name, 10).unwrap(), 0, &Device::Cpu).unwrap();
        let pixels: Vec<f32> = (0..2 * 3072).map(|i| (i as f32 * 0.37).sin()).collect();
        let images = Tensor::from_vec(pixels, (2, 3, 32, 32), &Device::Cpu).unwrap();
        let logits = model.module.forward_t(&images, true).unwrap();
        let gradients = logits.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        for Variable { name, var, trainable } in &model.variables {
            let gradient = gradients.get(var);
            assert_eq!(gradient.is_some(), *trainable, "{name}");
            if let Some(gradient) = gradient {
                let largest =
                    gradient.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
                assert!(largest > 1e-6 && largest.is_finite(), "{name}: {largest}");
            }
        }
    }
}

#[test]
fn no_classes_are_refused() {
    for name in crate::NAMES {
        let error = build(name, 0).unwrap_err().to_string();
        assert_eq!(error, format!("`{name}`: n_classes is 0, expected at least 1"));
    }
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = build("resnet18", 10).unwrap_err().to_string();
    assert!(error.contains("`resnet18`") && error.contains("simplenet, small-resnet"), "{error}");
}
