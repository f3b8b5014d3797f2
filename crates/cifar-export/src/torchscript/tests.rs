use candle_core::{DType, Device, ModuleT, Tensor};
use cifar_models::Model;

use super::*;
use crate::{Dtype, Normalization, Options, test_models};

fn bytes_of(model: &Model, options: &Options) -> Vec<u8> {
    let subject = Subject::new(model, options).unwrap();
    write(&subject, &test_models::metadata()).unwrap()
}

fn code_of(model: &Model, options: &Options) -> String {
    let records = archive::read(&bytes_of(model, options)).unwrap();
    String::from_utf8(records[CODE].clone()).unwrap()
}

fn rows(logits: &Tensor) -> Vec<Vec<f32>> {
    logits.to_vec2().unwrap()
}

#[test]
fn what_is_written_is_read_back_bit_for_bit() {
    for model in [test_models::residual(0.25), test_models::of("airnet94")] {
        let images = test_models::images(&model.net, 3);
        let want = test_models::logits(&model, &images);
        let bytes = bytes_of(&model, &test_models::options());
        let got = reread(&bytes, &model.net).unwrap().logits(&images).unwrap();
        assert_eq!(rows(&got), rows(&want));
        assert!(bytes == bytes_of(&model, &test_models::options()), "a function of the model");
    }
}

#[test]
fn folded_and_rounded_weights_are_read_back_too() {
    let model = test_models::residual(0.25);
    let images = test_models::images(&model.net, 3);
    let want = model.module.forward_t(&images, false).unwrap();
    let options = Options { fold_batch_norm: true, preprocess: None, dtype: Dtype::F16 };
    let got = reread(&bytes_of(&model, &options), &model.net).unwrap().logits(&images).unwrap();
    let difference = (got - want).unwrap().abs().unwrap().max_all().unwrap();
    let difference: f32 = difference.to_scalar().unwrap();
    assert!(difference > 0.0 && difference < 1e-2, "{difference}");
}

#[test]
fn bytes_are_normalised_inside() {
    let model = test_models::residual(0.25);
    let [c, h, w] = model.net.input;
    let pixels: Vec<u8> = (0..2 * c * h * w).map(|at| (at * 37 % 256) as u8).collect();
    let pixels = Tensor::from_vec(pixels, (2, h, w, c), &Device::Cpu).unwrap();
    let normalization = Normalization { mean: [0.5, 0.25, 0.125], std: [0.2, 0.3, 0.4] };
    let options = Options { preprocess: Some(normalization), ..test_models::options() };
    let got = reread(&bytes_of(&model, &options), &model.net).unwrap().logits(&pixels).unwrap();

    let mut planes = vec![0.0; 2 * c * h * w];
    let values = pixels.flatten_all().unwrap().to_vec1::<u8>().unwrap();
    for (at, value) in values.into_iter().enumerate() {
        let (n, place, channel) = (at / (c * h * w), at / c % (h * w), at % c);
        let share = f32::from(value) / 255.0;
        planes[(n * c + channel) * h * w + place] =
            (share - normalization.mean[channel]) / normalization.std[channel];
    }
    let images = Tensor::from_vec(planes, (2, c, h, w), &Device::Cpu).unwrap();
    let want = test_models::logits(&model, &images.to_dtype(DType::F32).unwrap());
    assert_eq!(rows(&got), rows(&want));
}

#[test]
fn the_code_reads_like_the_model() {
    let code = code_of(&test_models::of("small-resnet"), &test_models::options());
    let net = code.split("class ").nth(1).unwrap();
    assert!(net.starts_with("SmallResNet(Module):"), "{net}");
    for line in ["stem : __torch__.cifar.Stem", "x = (self.layer3).forward(x, )"] {
        assert!(net.contains(line), "{net}");
    }
    for class in ["ResBlock", "ProjectedResBlock", "Conv2dWithoutBias", "BatchNorm2d", "Linear"] {
        assert_eq!(code.matches(&format!("class {class}(Module):")).count(), 1, "{code}");
    }
    let simple = code_of(&test_models::of("simplenet"), &test_models::options());
    assert!(simple.starts_with("class SimpleNet(Module):"), "{simple}");
    let air = code_of(&test_models::of("airnet94"), &test_models::options());
    assert!(air.starts_with("class AirNet94(Module):") && air.contains("class Group("), "{air}");
}

#[test]
fn names_that_are_no_attributes_are_refused() {
    let mut net = test_models::residual(1.0).net;
    net.layers[0].name = "st\"em".to_owned();
    let subject = Subject::new(&test_models::trained(net), &test_models::options()).unwrap();
    let error = write(&subject, &test_models::metadata()).unwrap_err().to_string();
    assert!(error.contains("rename"), "{error}");
}

/// The archive with one record replaced.
fn with_record(model: &Model, name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let records = archive::read(&bytes_of(model, &test_models::options())).unwrap();
    let mut records: Vec<Record> =
        records.into_iter().map(|(name, bytes)| Record { name, bytes }).collect();
    let record = records.iter_mut().find(|record| record.name == name).unwrap();
    record.bytes = change(std::mem::take(&mut record.bytes));
    archive::write("model", &records).unwrap()
}

fn refusal(bytes: &[u8], like: &Model) -> String {
    reread(bytes, &like.net).err().unwrap().to_string()
}

#[test]
fn what_the_code_says_is_what_is_run() {
    let model = test_models::residual(0.25);
    let images = test_models::images(&model.net, 2);
    let want = model.module.forward_t(&images, false).unwrap();
    let change = |from: &'static str, to: &'static str| {
        let replace = |code: Vec<u8>| {
            let code = String::from_utf8(code).unwrap();
            assert!(code.contains(from));
            code.replace(from, to).into_bytes()
        };
        with_record(&model, CODE, replace)
    };
    let other = reread(&change("torch.gelu(input)", "torch.relu(input)"), &model.net).unwrap();
    assert_ne!(rows(&other.logits(&images).unwrap()), rows(&want));
    for (from, to, why) in [
        ("torch.gelu(input)", "torch.cosh(input)", "no known way"),
        ("return torch.flatten(input, 1)", "return input", "receives 6x1x1"),
        ("(self.stem)", "(self.stern)", "no attribute stern"),
        ("torch.add(out, x)", "torch.add(x, x)", "no residual block"),
        ("class ReLU", "class ReLUs", "no class ReLU"),
        ("[1, 1], self.groups", "[2, 1], self.groups", "no known way"),
        ("x = (self.stem)", "import os", "unexpected code"),
    ] {
        let error = refusal(&change(from, to), &model);
        assert!(error.contains(why), "{from}: {error}");
    }
}

#[test]
fn code_that_is_too_deep_is_refused() {
    let model = test_models::residual(0.25);
    for nested in ["[".repeat(100_000), format!("x{}", ".x".repeat(100_000))] {
        let deep = |code: Vec<u8>| [code, format!("    y = {nested}\n").into_bytes()].concat();
        assert!(refusal(&with_record(&model, CODE, deep), &model).contains("too deep"));
    }
}

#[test]
fn hostile_archives_are_refused() {
    let model = test_models::residual(0.25);
    let whole = bytes_of(&model, &test_models::options());
    for len in [0, 10, whole.len() / 2, whole.len() - 1] {
        assert!(refusal(&whole[..len], &model).contains("torchscript"));
    }
    let forbidden = |_| b"\x80\x02cos\nsystem\n(X\x02\x00\x00\x00lstR.".to_vec();
    let error = refusal(&with_record(&model, "data.pkl", forbidden), &model);
    assert!(error.contains("refused global os.system"), "{error}");
    let short = |bytes: Vec<u8>| bytes[4..].to_vec();
    let error = refusal(&with_record(&model, "data/0", short), &model);
    assert!(error.contains("stem.0.weight"), "{error}");
    let other = test_models::of("simplenet");
    assert!(reread(&bytes_of(&other, &test_models::options()), &model.net).is_err());
}

#[test]
fn shapes_whose_product_overflows_are_refused() {
    let model = test_models::residual(0.25);
    let huge = |pickle: Vec<u8>| {
        // The shape (4, 3, 3, 3) of the first convolution.
        let dims = |dims: [i32; 4]| {
            dims.iter().flat_map(|d| [&b"J"[..], &d.to_le_bytes()].concat()).collect::<Vec<u8>>()
        };
        let (from, to) = (dims([4, 3, 3, 3]), dims([i32::MAX; 4]));
        let at = pickle.windows(from.len()).position(|window| window == from).unwrap();
        [&pickle[..at], &to, &pickle[at + from.len()..]].concat()
    };
    let error = refusal(&with_record(&model, "data.pkl", huge), &model);
    assert!(error.contains("2147483647"), "{error}");
}

/// A zip file with one record of this name and content.
fn zip_of(name: &str, method: zip::CompressionMethod, content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    writer.start_file(name, options).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap().into_inner()
}

#[test]
fn records_that_lead_out_of_the_archive_are_refused() {
    for name in ["root/../../etc/passwd", "/etc/passwd", "..", "root//x", "version"] {
        let bytes = zip_of(name, zip::CompressionMethod::Stored, b"x");
        let error = archive::read(&bytes).unwrap_err();
        assert!(error.contains("leads out") || error.contains("in no folder"), "{name}: {error}");
    }
}

#[test]
fn a_record_that_claims_to_be_larger_than_its_file_is_refused() {
    let mut bytes = zip_of("root/data", zip::CompressionMethod::Stored, &[7; 100]);
    let directory = bytes.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    for (header, at) in [(0, 18), (0, 22), (directory, 20), (directory, 24)] {
        bytes[header + at..header + at + 4].copy_from_slice(&0x4000_0000u32.to_le_bytes());
    }
    assert!(archive::read(&bytes).is_err());
    // Deflated to a thousandth, as in a bomb.
    let mut bomb = zip_of("root/data", zip::CompressionMethod::Stored, &[7; 100]);
    for (header, at) in [(0, 8), (directory, 10)] {
        bomb[header + at..header + at + 2].copy_from_slice(&8u16.to_le_bytes());
    }
    let error = archive::read(&bomb).unwrap_err();
    assert!(error.contains("compress"), "{error}");
}
