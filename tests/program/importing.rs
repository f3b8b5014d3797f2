//! Weights from elsewhere.

use std::fs;
use std::path::Path;

use crate::place::{Place, Ran, program};

/// What the program may need at most for a small file, whatever that says: 200 MB.
const MAX_KIB: u32 = 195_312;

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

/// Runs the program with [`MAX_KIB`] of address space, of which memory is a part.
fn run_in_little_memory(place: &Place, arguments: &[&str]) -> Ran {
    let limited = format!("ulimit -v {MAX_KIB} && exec \"$0\" \"$@\"");
    let mut command = place.command_of("sh", &["-c", &limited]);
    command.arg(program()).args(arguments).output().unwrap().into()
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
        run_in_little_memory(&place, &arguments).refused(&[name, reason]);
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
