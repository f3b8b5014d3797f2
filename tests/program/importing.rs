//! Weights from elsewhere.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::place::{Place, Ran};

/// Bytes that the program may need at most for a small file, whatever that says.
const MAX_MEMORY: u64 = 200 << 20;

#[test]
fn imported_weights_are_those_of_the_file() {
    let place = Place::new();
    place.train(&["--max-steps", "2"]).ok();
    let arguments = ["run/checkpoints/last/model.safetensors", "--model", "simplenet"];
    let ran =
        place.run(&[&["import"], &arguments[..], &["--out", "out.safetensors"]].concat()).ok();
    assert!(
        ran.out.contains("Wrote out.safetensors: 25,578 parameters of simplenet"),
        "{}",
        ran.out
    );
    assert!(fs::read(place.path("out.safetensors")).unwrap() == place.weights("run"));
}

/// The program's peak memory in bytes, looked at as often as can be.
fn run_watched(place: &Place, arguments: &[&str]) -> (Ran, u64) {
    let mut command = place.command(arguments);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0) << 10);
        std::thread::sleep(Duration::from_micros(200));
    }
    (child.wait_with_output().unwrap().into(), peak)
}

#[test]
fn a_hostile_file_is_refused_with_little_memory_and_leaves_nothing() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let cases = [
        ("torch_archive/forbidden_global.pt", "refused global os.system"),
        ("torch_archive/zip_bomb.pt", "compressed"),
        ("torch_archive/absolute_path.pt", "leads out of the archive"),
        ("torch_archive/parent_path.pt", "leads out of the archive"),
        ("torch_archive/overflowing_shape.pt", "tensor t0"),
        ("torch_archive/endless_view.pt", "tensor t0"),
        ("torch_archive/overflowing_storage.pt", "tensor t0"),
        ("torch_archive/short_storage.pt", "tensor t0"),
        ("torch_archive/modules_without_end.pt", "more than 100000 tensors"),
        ("torch_archive/legacy.pt", "before 1.6"),
        ("torch_archive/state_dict.pt", "6 missing (conv1.weight"),
        ("weights/header_of_2_to_60_bytes.safetensors", "not a whole safetensors file"),
        ("weights/overflowing_shape.safetensors", "not a whole safetensors file"),
    ];
    let place = Place::empty();
    for (file, reason) in cases {
        let name = file.rsplit('/').next().unwrap();
        fs::copy(corpus.join(file), place.path(name)).unwrap();
        let arguments = ["import", name, "--model", "simplenet", "--out", "out.safetensors"];
        let (ran, peak) = run_watched(&place, &arguments);
        assert!((1..MAX_MEMORY).contains(&peak), "{name}: {peak} bytes");
        println!("{name}: {} MB", peak >> 20);
        ran.refused(&[name, reason]);
        fs::remove_file(place.path(name)).unwrap();
    }
    assert_eq!(fs::read_dir(place.path("")).unwrap().count(), 0);
}

#[test]
fn eval_says_what_weights_it_takes() {
    let place = Place::new();
    let missing = ["eval", "--weights", "none.pt", "--model", "simplenet"];
    place.run(&missing).refused(&["no weights at none.pt", "safetensors", "torch.save"]);
    fs::write(place.path("notes.pt"), "not tensors").unwrap();
    let text = ["eval", "--weights", "notes.pt", "--model", "simplenet", "--no-download"];
    place.run(&text).refused(&["notes.pt", "not a whole safetensors file"]);
    place
        .run(&["import", "notes.pt", "--model", "resnet", "--out", "x"])
        .refused(&["small-resnet"]);
}
