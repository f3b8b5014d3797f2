//! `parity`: the same weights and images through PyTorch and through this workspace.
//!
//! The comparison itself is the test `tests/parity/main.rs`; here it gets its Python.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::cifar::Cifar;
use crate::python::Environment;
use crate::{process, workspace};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A Python that has the packages of tests/parity/requirements.txt
    /// [default: a virtual environment in target/, made if need be]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

/// PyTorch and what stands beside it, for the benchmarks too.
pub(crate) const ENVIRONMENT: Environment = Environment {
    purpose: "parity",
    requirements: "tests/parity/requirements.txt",
    content: "PyTorch, about 6 GB",
};

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let python = match &arguments.python {
        Some(python) => std::path::absolute(python)?,
        None => ENVIRONMENT.python()?,
    };
    // PyTorch trains and is asked on the real images; the tests find them in data/.
    Cifar::build_for_checks()?.run(&["data", "fetch"])?;
    let mut test = workspace::cargo();
    test.args(["test", "--workspace"]).args(cifar_testkit::FEATURES);
    test.args(["--test", "parity", "--", "--ignored", "--nocapture"]);
    process::run(test.env("PARITY_PYTHON", python))
}
