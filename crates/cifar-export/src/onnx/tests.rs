use candle_core::{DType, Device, Tensor};
use candle_nn::ModuleT;
use cifar_models::Model as Network;
use proptest::prelude::*;
use prost::Message;

use super::proto::{Attribute, Model, StringStringEntry};
use super::*;
use crate::{Dtype, Normalization, Options, test_models, test_nets};

fn written(model: &Network, options: &Options) -> Vec<u8> {
    write(&Subject::new(model, options).unwrap(), &test_models::metadata()).unwrap()
}

fn residual() -> Vec<u8> {
    written(&test_models::residual(1.0), &test_models::options())
}

/// The largest difference between rten's logits and the network's, over the largest logit.
fn relative_difference(model: &Network, options: &Options, n_images: usize) -> f32 {
    let file = reread(&written(model, options)).unwrap();
    let images = test_models::images(&model.net, n_images);
    let (given, seen) = match &options.preprocess {
        None => (images.clone(), images),
        Some(normalization) => pictures(&images, normalization),
    };
    let want = model.module.forward_t(&seen, false).unwrap();
    let got = file.logits(&given).unwrap();
    let largest = |t: &Tensor| t.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
    assert_eq!(got.dims(), want.dims());
    largest(&(got - &want).unwrap()) / largest(&want).max(1.0)
}

/// Bytes `(N, H, W, C)`, and what a network sees of them.
fn pictures(images: &Tensor, normalization: &Normalization) -> (Tensor, Tensor) {
    let bytes = images.affine(60.0, 128.0).unwrap().clamp(0.0, 255.0).unwrap();
    let bytes = bytes.to_dtype(DType::U8).unwrap();
    let row = |values: &[f32; 3]| Tensor::from_slice(values, (1, 3, 1, 1), &Device::Cpu).unwrap();
    let unit = (bytes.to_dtype(DType::F32).unwrap() / 255.0).unwrap();
    let centred = unit.broadcast_sub(&row(&normalization.mean)).unwrap();
    let seen = centred.broadcast_div(&row(&normalization.std)).unwrap();
    (bytes.permute((0, 2, 3, 1)).unwrap().contiguous().unwrap(), seen)
}

fn uneven() -> Normalization {
    Normalization { mean: [0.49, 0.48, 0.44], std: [0.24, 0.25, 0.27] }
}

#[test]
fn rten_answers_as_the_network_does() {
    let model = test_models::residual(1.0);
    for fold_batch_norm in [false, true] {
        for preprocess in [None, Some(uneven())] {
            let options = Options { fold_batch_norm, preprocess, dtype: Dtype::F32 };
            for n_images in [1, 257] {
                let difference = relative_difference(&model, &options, n_images);
                assert!(difference <= 1e-5, "{options:?}: {difference:e}");
            }
            let half = Options { dtype: Dtype::F16, ..options };
            let difference = relative_difference(&model, &half, 16);
            assert!(difference <= 1e-2, "{half:?}: {difference:e}");
        }
    }
}

#[test]
fn the_zoo_is_written() {
    for name in ["simplenet", "small-resnet", "airnet94"] {
        let difference = relative_difference(&test_models::of(name), &test_models::options(), 3);
        assert!(difference <= 1e-5, "{name}: {difference:e}");
    }
}

#[test]
fn many_images_are_run_in_parts() {
    let model = test_models::of("small-resnet");
    let bytes = written(&model, &test_models::options());
    let interface = structure::check(&Model::decode(&bytes[..]).unwrap()).unwrap();
    let parts = reread::images_at_once(&interface);
    assert!((1..100).contains(&parts), "{parts}");
    let difference = relative_difference(&model, &test_models::options(), parts + 1);
    assert!(difference <= 1e-5, "{difference:e}");
}

#[test]
fn bytes_are_a_function_of_the_model() {
    let model = test_models::residual(1.0);
    let options = Options { dtype: Dtype::F16, ..test_models::options() };
    assert_eq!(written(&model, &options), written(&model, &options));
}

#[test]
fn names_are_those_of_pytorch() {
    let model = test_models::residual(1.0);
    let message = Model::decode(&residual()[..]).unwrap();
    let graph = message.graph.unwrap();
    let names: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
    for spec in model.net.parameters() {
        let counter = spec.name.ends_with("num_batches_tracked");
        assert_eq!(names.contains(&spec.name.as_str()), !counter, "{}", spec.name);
    }
    let nodes: Vec<&str> = graph.node.iter().map(|node| node.name()).collect();
    for node in ["stem.0/Conv", "block.conv.1/BatchNormalization", "block/Add", "fc/Gemm"] {
        assert!(nodes.contains(&node), "{nodes:?}");
    }
    let metadata = |key| message.metadata_props.iter().find(|entry| entry.key() == key);
    assert_eq!(metadata("model").unwrap().value(), "residual");
    assert_eq!(graph.input[0].name(), "images");
    assert_eq!(graph.output[0].name(), "logits");
}

#[test]
fn images_of_another_kind_are_refused() {
    let file = reread(&residual()).unwrap();
    let bytes = Tensor::zeros((2, 11, 10, 3), DType::U8, &Device::Cpu).unwrap();
    let error = file.logits(&bytes).unwrap_err().to_string();
    assert!(error.contains("takes images of [3, 11, 10] as F32"), "{error}");
    let none = Tensor::zeros((0, 3, 11, 10), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(file.logits(&none).unwrap().dims(), [0, 5]);
}

fn reason(bytes: &[u8]) -> String {
    match reread(bytes).err() {
        Some(ExportError::Damaged { format: "onnx", reason }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bytes_that_are_no_model_are_refused_before_they_are_decoded() {
    let good = residual();
    assert!(reason(b"").contains("IR version"));
    assert!(reason(b"PK\x03\x04").contains("unknown field"));
    // 2^60 bytes of graph.
    let mut huge = vec![0x3a];
    prost::encoding::encode_varint(1 << 60, &mut huge);
    assert!(reason(&huge).contains("bytes announced"), "{}", reason(&huge));
    assert!(reason(&good[..good.len() - 1]).contains("announced"));
    // A field of a newer ONNX: functions.
    let functions = [&good[..], &[0xca, 0x01, 0x00]].concat();
    assert!(reason(&functions).contains("unknown field 25"), "{}", reason(&functions));
    // Two bytes each for messages that take a hundred in memory.
    let entries = [0x72, 0x00].repeat(200_000);
    assert!(reason(&entries).contains("more than 100000 fields"));
    let text = Model { doc_string: Some("x".repeat(1 << 20)), ..Model::default() };
    assert!(reason(&text.encode_to_vec()).contains("a text of 1048576 bytes"));
    assert!(reason(&[0x08, 0xff]).contains("does not end"));
    assert!(reason(&[0x0a, 0x00]).contains("another kind"));
}

/// What is said of a model changed by `change`.
fn reason_after(change: impl FnOnce(&mut Model)) -> String {
    let mut model = Model::decode(&residual()[..]).unwrap();
    change(&mut model);
    reason(&model.encode_to_vec())
}

#[test]
fn models_that_are_not_ours_are_refused() {
    let opset = reason_after(|model| model.opset_import[0].version = Some(1));
    assert!(opset.contains("opset 17"), "{opset}");
    let none = reason_after(|model| model.graph = None);
    assert!(none.contains("no graph"), "{none}");
    let graph = |change: fn(&mut proto::Graph)| reason_after(|m| change(m.graph.as_mut().unwrap()));
    let inputs = graph(|graph| graph.input.push(graph.input[0].clone()));
    assert!(inputs.contains("one input"), "{inputs}");
    let name = graph(|graph| graph.output[0].name = Some("other".to_owned()));
    assert!(name.contains("`logits` is not a batch"), "{name}");
    let renamed = graph(|graph| graph.node.last_mut().unwrap().output[0] = "other".to_owned());
    assert!(renamed.contains("`logits` is not one row"), "{renamed}");
    let twice = graph(|graph| graph.initializer.push(graph.initializer[0].clone()));
    assert!(twice.contains("there twice"), "{twice}");
    let order = graph(|graph| graph.node.swap(0, 1));
    assert!(order.contains("which is not there"), "{order}");
}

#[test]
fn tensors_must_be_as_large_as_they_say() {
    let tensor = |change: fn(&mut proto::Tensor)| {
        reason_after(|model| change(&mut model.graph.as_mut().unwrap().initializer[0]))
    };
    let short = tensor(|tensor| tensor.raw_data.as_mut().unwrap().truncate(7));
    assert!(short.contains("[4, 3, 3, 3] has 7 bytes"), "{short}");
    let overflowing = tensor(|tensor| tensor.dims = vec![1 << 62, 1 << 62]);
    assert!(overflowing.contains("has 432 bytes"), "{overflowing}");
    for dim in [0, -1] {
        let dims = reason_after(|model| {
            model.graph.as_mut().unwrap().initializer[0].dims[0] = dim;
        });
        assert!(dims.contains("not positive"), "{dims}");
    }
    let kind = tensor(|tensor| tensor.data_type = Some(2));
    assert!(kind.contains("neither f32 nor f16"), "{kind}");
}

#[test]
fn operators_must_fit_their_inputs() {
    let node = |change: fn(&mut proto::Node)| {
        reason_after(|model| change(&mut model.graph.as_mut().unwrap().node[0]))
    };
    let unknown = node(|node| node.op_type = Some("Loop".to_owned()));
    assert!(unknown.contains("unknown form of `Loop`"), "{unknown}");
    let attributes = node(|node| node.attribute.push(Attribute::default()));
    assert!(attributes.contains("unknown form of `Conv`"), "{attributes}");
    let none = node(|node| node.input.clear());
    assert!(none.contains("does not take"), "{none}");
    let many = node(|node| node.output.push("more".to_owned()));
    assert!(many.contains("one result"), "{many}");
    for padding in [-1, 40_000, i64::MAX] {
        let padded = reason_after(|model| {
            let conv = &mut model.graph.as_mut().unwrap().node[0];
            conv.attribute.iter_mut().find(|a| a.name() == "pads").unwrap().ints = vec![padding; 4];
        });
        assert!(padded.contains("does not take"), "{padded}");
    }
    // 4 x 30,011 x 30,010 values.
    let large = node(|conv| conv.attribute[2].ints = vec![15_000; 4]);
    assert!(large.contains("goes beyond"), "{large}");
}

/// The second decoder sees what the first one checked, whatever else stands in the file.
#[test]
fn metadata_does_not_matter() {
    let mut model = Model::decode(&residual()[..]).unwrap();
    model.metadata_props.push(StringStringEntry::default());
    assert!(reread(&model.encode_to_vec()).is_ok());
}

/// A flipped bit may make another model of ours; then that one runs.
fn survives(bytes: &[u8]) {
    if let Ok(file) = reread(bytes) {
        let images = Tensor::zeros((1, 3, 11, 10), DType::F32, &Device::Cpu).unwrap();
        let _ = file.logits(&images);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn mutated_files_do_no_harm(
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = residual();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        survives(&bytes);
        survives(&bytes[..cut.index(bytes.len())]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn random_networks_answer_alike(
        net in test_nets::any_net(),
        fold_batch_norm: bool,
        bytes: bool,
        half: bool,
        n_images in 1usize..4,
    ) {
        let model = test_models::trained(net);
        let dtype = if half { Dtype::F16 } else { Dtype::F32 };
        let options = Options { fold_batch_norm, preprocess: bytes.then(uneven), dtype };
        let difference = relative_difference(&model, &options, n_images);
        let allowed = if half { 2e-2 } else { 1e-4 };
        prop_assert!(difference <= allowed, "{options:?}: {difference:e}\n{:?}", model.net);
    }
}
