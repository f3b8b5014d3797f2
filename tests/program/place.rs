//! A place of its own for each test, and what the program did there.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

pub(crate) use crate::built::program;

/// An empty folder with a data set beside it. Commands run in the folder.
pub(crate) struct Place {
    dir: TempDir,
}

/// What a command did.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Place {
    /// A place whose `data` holds 200 training and 40 test pictures.
    pub(crate) fn new() -> Self {
        let place = Self::empty();
        cifar_testkit::write_synthetic(&place.path("data"), 40, 7).unwrap();
        place
    }

    /// A place with nothing in it.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The batch `name` of the data set.
    pub(crate) fn batch(&self, name: &str) -> PathBuf {
        self.path("data").join(cifar_testkit::FOLDER).join(format!("{name}.bin"))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(program(), arguments)
    }

    /// A command of another program, in the same folder.
    pub(crate) fn command_of(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.dir.path()).env_remove("RUST_LOG");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.command(arguments).output().unwrap().into()
    }

    /// Trains SimpleNet in `run`, 20 pictures a batch, with these further arguments.
    pub(crate) fn train(&self, arguments: &[&str]) -> Ran {
        let train = [
            "train",
            "--recipe",
            "simplenet",
            "--set",
            "batch-size=20",
            "--threads",
            "1",
            "--out",
            "run",
        ];
        self.run(&[&train, arguments].concat())
    }

    pub(crate) fn weights(&self, run: &str) -> Vec<u8> {
        std::fs::read(self.path(run).join("checkpoints/last/model.safetensors")).unwrap()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// Asserts that the command did what it was asked.
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    /// Asserts that the command failed with exit code 1, and that its message holds each of
    /// `words`: the place, the value, the remedy.
    pub(crate) fn refused(self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{}{}", self.out, self.err);
        assert!(self.err.contains("error: ") && !self.err.contains("panicked"), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "no `{word}` in: {}", self.err);
        }
    }
}
