//! `fuzz`: the readers of untrusted files under cargo-fuzz, each for a while, with limits to memory.
//!
//! The targets are in `fuzz/targets.rs`; a test of `tests/untrusted` replays their seeds on stable.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{process, workspace};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// These alone [default: all]
    targets: Vec<String>,
}

/// Longest input, bytes: a batch of one picture fits.
const MAX_LEN: u32 = 16_384;
/// Most memory of the whole process, with what the address sanitiser keeps of freed memory.
const RSS_LIMIT_MB: u32 = 1024;
/// Largest single allocation. A picture of a few bytes may say that it has
/// `image_file::MAX_PIXELS`; nothing else may ask for much more than its input.
const MALLOC_LIMIT_MB: u32 = 64;
const PICTURE_LIMIT_MB: u32 = 700;

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut probe = cargo_fuzz(&["--version"]);
    let installed = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        bail!(
            "there is no `cargo +nightly fuzz`; install it: rustup toolchain install nightly, \
             cargo install --locked cargo-fuzz"
        );
    }
    // The same versions of all crates as in the workspace.
    let folder = workspace::root().join("fuzz");
    fs::copy(workspace::root().join("Cargo.lock"), folder.join("Cargo.lock"))
        .context("copy Cargo.lock to fuzz/Cargo.lock")?;
    let listed = process::capture(&mut cargo_fuzz(&["list"]))?;
    let all: Vec<&str> = listed.lines().collect();
    if let Some(unknown) = arguments.targets.iter().find(|target| !all.contains(&target.as_str())) {
        bail!("there is no fuzz target `{unknown}`; there are {}", all.join(", "));
    }
    let chosen = |target: &str| {
        arguments.targets.is_empty() || arguments.targets.iter().any(|chosen| chosen == target)
    };
    for target in all.into_iter().filter(|target| chosen(target)) {
        println!("=== {target}, {} s", arguments.seconds);
        let malloc_limit_mb =
            if target.starts_with("image") { PICTURE_LIMIT_MB } else { MALLOC_LIMIT_MB };
        let mut fuzz = cargo_fuzz(&["run", target, "--"]);
        fuzz.arg(format!("-max_total_time={}", arguments.seconds));
        fuzz.arg(format!("-max_len={MAX_LEN}"));
        fuzz.arg(format!("-rss_limit_mb={}", RSS_LIMIT_MB + malloc_limit_mb));
        fuzz.arg(format!("-malloc_limit_mb={malloc_limit_mb}"));
        process::run(fuzz.args(["-timeout=10", "-print_final_stats=1"])).with_context(|| {
            format!("{target} found something; it lies in fuzz/artifacts/{target}")
        })?;
    }
    Ok(())
}

fn cargo_fuzz(words: &[&str]) -> Command {
    let mut cargo = Command::new("cargo");
    // Run under cargo, its own choice of a toolchain would win over `+nightly`.
    cargo.env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO").current_dir(workspace::root());
    cargo.args(["+nightly", "fuzz"]).args(words);
    cargo
}
