//! `memcheck`: the kernels' tests under Valgrind, which watches every load and store.
//!
//! Valgrind knows no AVX-512, so it is the AVX2 and the portable code that is watched; the same
//! generic functions are compiled for all instruction sets.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{process, workspace};

/// Cases of each property test; Valgrind is some fifty times slower than the machine.
const CASES: &str = "4";

pub(crate) fn run() -> Result<()> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        bail!("there is no `valgrind`; on Debian: apt-get install valgrind");
    }
    let mut build = workspace::cargo();
    build.args(["test", "-p", "cifar-kernels", "--lib", "--no-run", "--message-format=json"]);
    let messages = process::capture(&mut build)?;
    let program = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(str::to_owned))
        .context("cargo built no tests")?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--error-exitcode=1", "--leak-check=no", "--quiet", &program]);
    // The machine's limit would be that of Valgrind, and the networks' own layers are large.
    valgrind.args(["--test-threads=2", "--skip", "peak::", "--skip", "the_layers_of_the_networks"]);
    process::run(valgrind.env("PROPTEST_CASES", CASES))
}
