//! `parity`: the same weights and images through PyTorch and through this workspace.
//!
//! The comparison itself is the test `tests/tests/parity.rs`; here it gets its Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{ci, process, workspace};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A Python that has the packages of tests/parity/requirements.txt
    /// [default: a virtual environment in target/, made if need be]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

const REMEDY: &str = "install Python 3.11 or newer with its venv module \
                      (on Debian: apt-get install python3 python3-venv) and run `cargo xtask parity` again";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let python = match &arguments.python {
        Some(python) => std::path::absolute(python)?,
        None => environment()?,
    };
    let mut test = workspace::cargo();
    test.args(["test", "--workspace"]).args(ci::FEATURES);
    test.args(["--test", "parity", "--", "--ignored", "--nocapture", "--test-threads", "1"]);
    process::run(test.env("PARITY_PYTHON", python))
}

/// The Python of `target/parity-venv`, which is made anew when the requirements have changed.
pub(crate) fn environment() -> Result<PathBuf> {
    let folder = workspace::target().join("parity-venv");
    let requirements = workspace::root().join("tests/parity/requirements.txt");
    let wanted =
        fs::read(&requirements).with_context(|| format!("read {}", requirements.display()))?;
    // Written last, so it tells a whole environment from one whose making was interrupted.
    let installed = folder.join("requirements.txt");
    let python = folder.join("bin/python");
    if !fs::read(&installed).is_ok_and(|found| found == wanted) {
        make(&folder, &python, &requirements)?;
        fs::write(&installed, wanted).with_context(|| format!("write {}", installed.display()))?;
    }
    Ok(python)
}

fn make(folder: &Path, python: &Path, requirements: &Path) -> Result<()> {
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        bail!("there is no `python3`; {REMEDY}");
    }
    println!("making {} with PyTorch, about 5 GB, which takes some minutes", folder.display());
    process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder))
        .context(REMEDY)?;
    let mut install = Command::new(python);
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
        .arg(requirements);
    process::run(&mut install)
        .context("PyTorch could not be installed; is the package registry within reach?")
}
