//! Files that anyone may have written: the seeds of the fuzz targets, on stable, and what becomes
//! of each of them. `cargo xtask fuzz` goes on from there.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails, and says at which file")]

#[path = "../../fuzz/targets.rs"]
#[expect(unreachable_pub, reason = "the fuzzer has it as a library")]
mod targets;

use std::fs;
use std::path::{Path, PathBuf};

use cifar_export::Format;
use cifar_models::torch_file::{self, TorchFileError};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz")
}

/// The seeds of a target, by name.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(fuzz().join("corpus").join(target)).unwrap();
    let mut seeds: Vec<_> = files
        .map(|file| {
            let path = file.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

fn seed(target: &str, name: &str) -> Vec<u8> {
    fs::read(fuzz().join("corpus").join(target).join(name)).unwrap()
}

#[test]
fn no_seed_panics_and_neither_do_its_beginnings() {
    for (target, read) in targets::TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for (name, bytes) in seeds {
            println!("{target}/{name}");
            read(&bytes);
            let step = bytes.len().div_ceil(200);
            (0..bytes.len()).step_by(step).for_each(|len| read(&bytes[..len]));
        }
    }
}

#[test]
fn every_target_is_a_program_of_cargo_fuzz() {
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("[[bin]]").count(), targets::TARGETS.len());
    for (target, _) in targets::TARGETS {
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        let program = fuzz().join(format!("fuzz_targets/{target}.rs"));
        assert!(fs::read_to_string(program).unwrap().contains(&format!("cifar_fuzz::{target}(")));
    }
}

/// All these files hold the weights of one network.
#[test]
fn every_way_of_saving_gives_the_same_weights() {
    let model = targets::tiny().unwrap();
    let bits = || -> Vec<Vec<u32>> {
        let f32s = model.variables.iter().map(|v| v.var.to_dtype(candle_core::DType::F32).unwrap());
        let flat = f32s.map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
        flat.map(|values| values.into_iter().map(f32::to_bits).collect()).collect()
    };
    let load = |name: &str| model.load_weights_from(&seed("weights", name), Path::new(name));
    load("true.safetensors").unwrap();
    let want = bits();
    for name in ["state_dict", "protocol_4", "checkpoint", "transposed", "torchscript"] {
        load("half.pt").unwrap();
        assert_ne!(bits(), want, "half precision rounds");
        load(&format!("{name}.pt")).unwrap();
        assert_eq!(bits(), want, "{name}");
    }
    let missing = load("parameters.pt").unwrap_err().to_string();
    assert!(missing.contains("3 missing (norm.running_mean, norm.running_var"), "{missing}");
}

/// What the exporters wrote of that network is read back, and with a byte missing it is not.
#[test]
fn exported_files_are_read_back() {
    let subject = targets::exported().unwrap();
    for (format, name) in
        [(Format::Onnx, "onnx/tiny.onnx"), (Format::TorchScript, "torchscript/tiny.pt")]
    {
        let bytes = fs::read(fuzz().join("corpus").join(name)).unwrap();
        assert!(format.reread(&bytes, &subject).is_ok(), "{name}");
        assert!(format.reread(&bytes[..bytes.len() - 1], &subject).is_err(), "{name}");
    }
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let refused = |name: &str| torch_file::read(&seed("torch_archive", name)).unwrap_err();
    let cases = [
        ("forbidden_global.pt", "data.pkl: refused global os.system; save the weights alone"),
        ("zip_bomb.pt", "tensor t0: its record data/0 is compressed or encrypted"),
        ("absolute_path.pt", "refused a record called /etc/passwd, which leads out"),
        ("parent_path.pt", "refused a record called x/../../harm, which leads out"),
        ("two_of_one_name.pt", "it has two records called data/0"),
        ("overflowing_shape.pt", "tensor t0: shape [1099511627776, 1099511627776] with strides"),
        ("endless_view.pt", "tensor t0: it repeats values"),
        ("negative_shape.pt", "tensor t0: its shape or strides are not those of a tensor"),
        (
            "overflowing_storage.pt",
            "tensor t0: its storage data/0 has 64 bytes, expected 9223372036",
        ),
        ("short_storage.pt", "tensor t0: its storage data/0 has 40 bytes, expected 16 values"),
        ("beyond_its_storage.pt", "tensor t0: shape [4, 4] with strides [4, 1] from 1 leaves"),
        ("modules_without_end.pt", "it has more than 100000 tensors and attributes"),
        ("big_endian.pt", "its numbers are big-endian, expected little"),
        ("cut_off.pt", "it is no whole zip archive (its end is missing)"),
        ("legacy.pt", "torch.save(torch.load(FILE, weights_only=True), NEW_FILE)"),
    ];
    for (name, part) in cases {
        let error = refused(name).to_string();
        assert!(error.contains(part), "{name}: {error}");
    }
    assert_eq!(refused("legacy.pt"), TorchFileError::Legacy);
}

#[test]
fn an_archive_with_wide_numbers_is_read() {
    let bytes = seed("torch_archive", "zip64.pt");
    let tensors = torch_file::read(&bytes).unwrap();
    let [(name, tensor)] = &tensors[..] else { panic!("{tensors:?}") };
    assert_eq!((name.as_str(), &tensor.shape[..], tensor.data.len()), ("t0", &[4, 4][..], 64));
}
