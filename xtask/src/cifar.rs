//! The real program, driven from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use safetensors::SafeTensors;

use crate::process::{self, as_typed};
use crate::workspace;

/// The built `cifar` program.
pub(crate) struct Cifar {
    program: PathBuf,
}

impl Cifar {
    /// Builds it as `cargo run` does: at full speed, for benchmarks and published results.
    pub(crate) fn build() -> Result<Self> {
        Self::build_in_profile("dev")
    }

    /// Builds it with the assertions of the tests, on the crates that were compiled for them.
    pub(crate) fn build_for_checks() -> Result<Self> {
        Self::build_in_profile("test")
    }

    fn build_in_profile(profile: &str) -> Result<Self> {
        process::run(cifar_testkit::build_program(profile).current_dir(workspace::root()))?;
        // Both profiles' programs lie here.
        let program = workspace::target()
            .join("debug")
            .join("cifar")
            .with_extension(std::env::consts::EXE_EXTENSION);
        Ok(Self { program })
    }

    /// The program with these arguments, in the workspace's root.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(workspace::root());
        command
    }

    /// Runs the program with `--json` and returns the document it writes.
    pub(crate) fn json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let mut command = self.command(arguments);
        command.arg("--json");
        println!("$ {}", as_typed(&command));
        serde_json::from_str(&process::capture(&mut command)?).context("read what --json wrote")
    }

    /// Runs the program with its output shown.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<()> {
        process::run(&mut self.command(arguments))
    }

    /// Runs the program with nothing shown but an error.
    pub(crate) fn run_silently(&self, arguments: &[&str]) -> Result<()> {
        process::capture(&mut self.command(arguments)).map(drop)
    }

    /// Starts the program, output discarded.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.command(arguments);
        command
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("start `{}`", as_typed(&command)))
    }
}

/// Kills a running program as `kill -9` does. `false` where it had ended by itself, well.
pub(crate) fn kill(child: &mut Child) -> Result<bool> {
    if let Some(status) = child.try_wait()? {
        ensure!(status.success(), "the program failed before it was killed ({status})");
        return Ok(false);
    }
    child.kill().context("kill the program")?;
    // It may have come to its end between the two lines above.
    Ok(!child.wait()?.success())
}

/// Waits until a run's log tells of `n_steps` steps.
pub(crate) fn wait_for_steps(child: &mut Child, run: &Path, n_steps: usize) -> Result<()> {
    let start = Instant::now();
    while steps_logged(run) < n_steps {
        ensure!(child.try_wait()?.is_none(), "the run ended before step {n_steps}");
        if start.elapsed() > Duration::from_secs(300) {
            bail!("{} has not come to step {n_steps} in five minutes", run.display());
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn steps_logged(run: &Path) -> usize {
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    log.lines().filter(|line| line.contains("\"event\":\"step\"")).count()
}

/// The weights of the last checkpoint, as they lie on disk.
pub(crate) fn last_weights(run: &Path) -> Result<Vec<u8>> {
    let path = run.join("checkpoints/last/model.safetensors");
    fs::read(&path).with_context(|| format!("read {}", path.display()))
}

/// Checks that every checkpoint of a killed run is whole. Returns how many there are.
///
/// A folder whose name starts with a dot is one that was being written or replaced; the run may
/// still need it (`.last.old` where `last` is missing), but then resuming shows whether it can.
pub(crate) fn check_checkpoints(run: &Path) -> Result<usize> {
    let Ok(folders) = fs::read_dir(run.join("checkpoints")) else { return Ok(0) };
    let mut n_checked = 0;
    for folder in folders {
        let folder = folder?;
        if folder.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        for name in ["model.safetensors", "optimizer.safetensors", "example_losses.safetensors"] {
            let path = folder.path().join(name);
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            SafeTensors::deserialize(&bytes)
                .with_context(|| format!("{} is damaged", path.display()))?;
        }
        let path = folder.path().join("state.json");
        let state = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
        serde_json::from_slice::<serde_json::Value>(&state)
            .with_context(|| format!("{} is damaged", path.display()))?;
        n_checked += 1;
    }
    Ok(n_checked)
}

/// An empty folder in the target directory for the runs of a check.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let folder = workspace::target().join("xtask").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("empty {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    Ok(folder)
}

/// A path as an argument.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is no text", path.display()))
}
