//! `ci`: everything that must hold, cheapest first.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use cifar_testkit::FEATURES;
use clap::Args;

use crate::process::{self, as_typed};
use crate::{browser, parity, tensorboard, workspace};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Leave out what needs Python or the real data
    #[arg(long)]
    fast: bool,
}

/// One thing that must hold.
struct Step {
    name: &'static str,
    check: Check,
}

enum Check {
    /// A cargo command, and a variable of its environment.
    Cargo(Vec<&'static str>, Option<(&'static str, &'static str)>),
    /// A command of this program.
    Xtask(&'static [&'static str]),
    /// `cargo deny`, which may have to be installed first.
    Deny,
    /// `browser`, where there is one.
    Browser,
}

/// What a step came to.
struct Outcome {
    name: &'static str,
    took: Duration,
    /// What was left out, and why.
    note: Option<String>,
}

/// Runs the steps in order and ends at the first that fails.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if !arguments.fast {
        // What is fetched comes while the compiler works. The steps that need it wait for it, and try
        // again and say why where it failed.
        thread::spawn(|| {
            for environment in [parity::ENVIRONMENT, tensorboard::ENVIRONMENT] {
                let _ = environment.python();
            }
        });
    }
    let mut outcomes = Vec::new();
    for step in steps(arguments.fast) {
        println!("\n=== {}: {}", step.name, step.check.as_typed());
        let start = Instant::now();
        let note = step.check.run().with_context(|| {
            format!(
                "step `{}` failed; run it alone with\n  {}\nerror",
                step.name,
                step.check.as_typed()
            )
        })?;
        let took = start.elapsed();
        println!("=== {} ok, {:.1} s", step.name, took.as_secs_f64());
        outcomes.push(Outcome { name: step.name, took, note });
    }
    print_table(&outcomes);
    Ok(())
}

fn steps(fast: bool) -> Vec<Step> {
    let cargo =
        |name, words: &[&'static str]| Step { name, check: Check::Cargo(words.to_vec(), None) };
    let workspace = |name, before: &[&'static str], after: &[&'static str]| {
        cargo(name, &[before, &["--workspace"], &FEATURES, after].concat())
    };
    let xtask =
        |words: &'static [&'static str]| Step { name: words[0], check: Check::Xtask(words) };
    let mut doc = workspace("doc", &["doc"], &["--no-deps"]);
    if let Check::Cargo(_, environment) = &mut doc.check {
        *environment = Some(("RUSTDOCFLAGS", "-D warnings"));
    }
    let mut steps = vec![
        cargo("fmt", &["fmt", "--all", "--check"]),
        xtask(&["tidy"]),
        xtask(&["layers"]),
        xtask(&["results", "--check"]),
        workspace("clippy", &["clippy"], &["--all-targets", "--", "-D", "warnings"]),
        workspace("test", &["test"], &["--lib", "--bins", "--tests"]),
        workspace("doc-test", &["test"], &["--doc"]),
        doc,
        Step { name: "deny", check: Check::Deny },
    ];
    if !fast {
        steps.extend([xtask(&["parity"]), xtask(&["smoke"])]);
        steps.push(Step { name: "browser", check: Check::Browser });
        steps.extend([xtask(&["tensorboard"]), xtask(&["kill-test"])]);
    }
    steps
}

impl Check {
    /// The command for a person who wants this step alone.
    fn as_typed(&self) -> String {
        match self {
            Self::Cargo(words, environment) => {
                let variable = environment
                    .map(|(name, value)| format!("{name}='{value}' "))
                    .unwrap_or_default();
                format!("{variable}{}", as_typed(Command::new("cargo").args(words)))
            }
            Self::Xtask(words) => format!("cargo xtask {}", words.join(" ")),
            Self::Browser => "cargo xtask browser".to_owned(),
            Self::Deny => as_typed(Command::new("cargo").args(DENY)),
        }
    }

    fn run(&self) -> Result<Option<String>> {
        match self {
            Self::Cargo(words, environment) => {
                let mut command = workspace::cargo();
                process::run(command.args(words).envs(*environment))?;
                Ok(None)
            }
            Self::Xtask(words) => xtask(words).map(|()| None),
            Self::Browser => {
                let skipped = browser::chromium().is_none();
                xtask(&["browser"]).map(|()| skipped.then(|| browser::SKIPPED.to_owned()))
            }
            Self::Deny => deny(),
        }
    }
}

/// Runs a command of this program.
fn xtask(words: &[&str]) -> Result<()> {
    let this = std::env::current_exe().context("find this program")?;
    process::run(Command::new(this).args(words).current_dir(workspace::root()))
}

const DENY: [&str; 5] = ["deny", "check", "bans", "licenses", "sources"];

/// Licences, sources and banned crates; known vulnerabilities where their list can be fetched.
fn deny() -> Result<Option<String>> {
    let mut probe = workspace::cargo();
    let installed =
        probe.args(["deny", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("cargo-deny is missing; installing it, which takes a minute or two");
        // Optimised it would save four seconds here, and cost more than that to compile.
        let install = ["install", "--locked", "--quiet", "--debug", "cargo-deny"];
        process::run(workspace::cargo().args(install))?;
    }
    process::run(workspace::cargo().args(DENY))?;
    advisories()
}

fn advisories() -> Result<Option<String>> {
    let mut command = workspace::cargo();
    command.args(["deny", "check", "advisories"]);
    let output = command.output().with_context(|| format!("start `{}`", as_typed(&command)))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(None);
    }
    if said.contains("failed to fetch advisory database")
        || said.contains("failed to load advisory database")
    {
        let note = "advisories skipped: their database lies outside the package registry and cannot be reached";
        println!("{note}");
        return Ok(Some(note.to_owned()));
    }
    bail!("`{}` failed:\n{said}", as_typed(&command))
}

fn print_table(outcomes: &[Outcome]) {
    println!("\n{:<12}{:>9}", "step", "seconds");
    for Outcome { name, took, note } in outcomes {
        let note = note.as_deref().map(|note| format!("  {note}")).unwrap_or_default();
        println!("{name:<12}{:>9.1}{note}", took.as_secs_f64());
    }
    let total: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    println!("{:<12}{:>9.1}", "all", total.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(fast: bool) -> Vec<&'static str> {
        steps(fast).iter().map(|step| step.name).collect()
    }

    #[test]
    fn fast_is_the_same_list_cut_short() {
        let (fast, whole) = (names(true), names(false));
        assert_eq!(fast[..], whole[..fast.len()]);
        assert!(
            whole.ends_with(&["parity", "smoke", "browser", "tensorboard", "kill-test"]),
            "{whole:?}"
        );
    }

    #[test]
    fn each_step_says_how_to_run_it_alone() {
        let typed: Vec<String> = steps(false).iter().map(|step| step.check.as_typed()).collect();
        let doc = "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --features cifar-data/candle-datasets --no-deps";
        assert!(typed.iter().any(|command| command == doc), "{typed:#?}");
        assert!(typed.iter().any(|command| command == "cargo xtask layers"), "{typed:#?}");
        assert!(
            typed.iter().any(|command| command == "cargo deny check bans licenses sources"),
            "{typed:#?}"
        );
    }
}
