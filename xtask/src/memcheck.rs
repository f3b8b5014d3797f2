//! `memcheck`: the kernels' tests under Valgrind and with AddressSanitizer, which watch every load and store.
//!
//! Valgrind knows no AVX-512, so it is the AVX2 and the portable code that it watches, down to values that
//! nobody has written. AddressSanitizer watches the code for every instruction set that the machine has.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// Cases of each property test; Valgrind is some fifty times slower than the machine.
const VALGRIND_CASES: &str = "4";
const SANITIZER_CASES: &str = "64";

const TESTS: [&str; 4] = ["test", "-p", "cifar-kernels", "--lib"];

pub(crate) fn run() -> Result<()> {
    println!("=== Valgrind");
    valgrind()?;
    println!("=== AddressSanitizer");
    address_sanitizer()
}

fn valgrind() -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        bail!("there is no `valgrind`; on Debian: apt-get install valgrind");
    }
    let mut build = workspace::cargo();
    build.args(TESTS).args(["--no-run", "--message-format=json"]);
    let messages = process::capture(&mut build)?;
    let program = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .context("cargo built no tests")?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--error-exitcode=1", "--leak-check=no", "--quiet", &program]);
    // The machine's limit would be that of Valgrind, and the networks' own layers are large.
    let skipped = ["every_instruction_set_is_measured", "the_layers_of_the_networks"];
    valgrind.arg("--test-threads=2").args(skipped.iter().flat_map(|test| ["--skip", test]));
    process::run(valgrind.env("PROPTEST_CASES", VALGRIND_CASES))
}

fn address_sanitizer() -> Result<()> {
    let version = process::capture(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let mut tests = workspace::cargo();
    // With a target named, build scripts and macros are left without the sanitizer.
    tests.args(TESTS).args(["--target", host.context("`rustc -vV` names no host")?]);
    // The compiler of releases has the sanitizer too, but wants to be told that it may use it. What it builds so
    // would have the rest of the workspace built again.
    tests.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    tests.env("CARGO_TARGET_DIR", workspace::target().join("address-sanitizer"));
    process::run(tests.env("PROPTEST_CASES", SANITIZER_CASES))
}
