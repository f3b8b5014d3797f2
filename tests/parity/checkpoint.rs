//! What PyTorch trained and saved, evaluated by the program.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::built::program;

/// The official binary files, which `cargo xtask fetch-data` brings.
pub(crate) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../data").join(cifar_testkit::FOLDER)
}

/// Every file of `correct.json` must get exactly as many test images right as PyTorch did with it,
/// by itself and once imported; what holds no weights must be refused.
pub(crate) fn compare(model: &str, folder: &Path) {
    let text = fs::read_to_string(folder.join("correct.json")).unwrap();
    let correct: BTreeMap<String, u32> = serde_json::from_str(&text).unwrap();
    for (name, want) in &correct {
        let (saved, imported) =
            (folder.join(format!("{name}.pt")), folder.join("imported.safetensors"));
        let ran = run(&["import", "--model", model, "--out"], &[&imported, &saved]);
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        for weights in [saved, imported] {
            let got = n_correct(model, &weights);
            println!("{model}, {}: {got} of 10,000, PyTorch {want}", weights.display());
            assert_eq!(got, *want, "{name}");
        }
    }
    for (name, reason) in [("legacy", "before 1.6"), ("module", "refused global reference.")] {
        let file = folder.join(format!("{name}.pt"));
        let ran = run(&["import", "--model", model, "--out"], &[&folder.join("none"), &file]);
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(!ran.status.success() && said.contains(reason), "{name}: {said}");
    }
}

fn n_correct(model: &str, weights: &Path) -> u32 {
    let eval = ["eval", "--json", "--no-download", "--model", model, "--data-dir"];
    let ran = run(&eval, &[&data(), Path::new("--weights"), weights]);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report: serde_json::Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(report["n"], 10_000);
    (report["top1"].as_f64().unwrap() * 10_000.0).round() as u32
}

fn run(words: &[&str], paths: &[&Path]) -> Output {
    Command::new(program()).args(words).args(paths).output().unwrap()
}
