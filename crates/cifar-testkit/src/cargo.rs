//! Cargo, run by tests and checks.

use std::env;
use std::process::Command;

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
