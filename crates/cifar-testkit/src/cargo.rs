//! Cargo, run by tests and checks.

use std::env;
use std::process::Command;

/// What tests and checks compile the workspace with, so that no command of theirs compiles a crate
/// that another one compiled already.
pub const FEATURES: [&str; 2] = ["--features", "cifar-data/candle-datasets"];

/// The command that builds the program: in profile `test` with the assertions of the tests, on the
/// crates that were compiled for them, in `dev` at full speed. Either lies in `TARGET/debug`.
pub fn build_program(profile: &str) -> Command {
    let mut build = cargo();
    build.args(["build", "--profile", profile, "--workspace", "--bin", "cifar"]).args(FEATURES);
    build
}

/// A cargo command: of the cargo that runs this program, if one does.
///
/// It does not see what cargo tells this program about its package. The build scripts of some
/// dependencies look at that, and would run again, with all that depends on them, whenever a command
/// is typed in the place of one run from here.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if name.to_str().is_some_and(|name| told.iter().any(|told| name.starts_with(told))) {
            command.env_remove(name);
        }
    }
    command
}
