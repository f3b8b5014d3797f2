//! `layers`: the dependencies between crates against the table of allowed ones.
//!
//! Dev-dependencies are free: a test may use whatever helps it.

mod table;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{process, workspace};
use table::{Externals, RESERVED, TABLE};

/// What `cargo metadata --no-deps` says, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// `None` for a normal dependency, else `build` or `dev`.
    kind: Option<String>,
}

/// Prints each forbidden edge and fails if there is one.
pub(crate) fn run() -> Result<()> {
    let mut command = workspace::cargo();
    command.args(["metadata", "--no-deps", "--format-version", "1"]);
    let json = process::capture(&mut command)?;
    let forbidden = forbidden_edges(&json)?;
    for edge in &forbidden {
        println!("{edge}");
    }
    match forbidden.len() {
        0 => Ok(()),
        n => {
            bail!("{n} dependencies that the layers forbid; the table is xtask/src/layers/table.rs")
        }
    }
}

/// One line, `cifar-x -> cifar-y: why`, for each edge of the metadata that the table forbids.
fn forbidden_edges(metadata: &str) -> Result<Vec<String>> {
    let metadata: Metadata =
        serde_json::from_str(metadata).context("read the output of cargo metadata")?;
    let members: Vec<&str> =
        metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut found = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            if dependency.kind.as_deref() == Some("dev") {
                continue;
            }
            let is_member = members.contains(&dependency.name.as_str());
            if let Some(why) = objection(&package.name, &dependency.name, is_member) {
                found.push(format!("{} -> {}: {why}", package.name, dependency.name));
            }
        }
    }
    Ok(found)
}

/// Why `package` may not depend on `dependency`; `None` where it may.
fn objection(package: &str, dependency: &str, is_member: bool) -> Option<String> {
    let Some(row) = TABLE.iter().find(|row| row.name == package) else {
        return Some("the crate has no row in the table of layers".to_owned());
    };
    if is_member {
        return (!row.may_use.contains(&dependency)).then(|| row.because.to_owned());
    }
    if let Some(reserved) = RESERVED.iter().find(|reserved| reserved.name == dependency)
        && !reserved.users.contains(&package)
    {
        return Some(format!(
            "only {} may use it: {}",
            reserved.users.join(", "),
            reserved.because
        ));
    }
    match row.externals {
        Externals::Any => None,
        Externals::Only(names) if names.contains(&dependency) => None,
        Externals::Only(names) => {
            Some(format!("from outside it may use {} alone: {}", names.join(", "), row.because))
        }
    }
}
