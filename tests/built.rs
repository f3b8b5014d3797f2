//! The program, for the tests that run it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The built program. Builds it once, with the features of the tests themselves, so that nothing
/// below it is compiled a second time.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // This test lies in TARGET/debug/deps.
        let this = std::env::current_exe().unwrap();
        let target = this.ancestors().nth(3).unwrap();
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build.args(["build", "--quiet", "--workspace", "--bin", "cifar"]);
        build.args(["--features", "cifar-data/candle-datasets", "--target-dir"]).arg(target);
        // What cargo tells this test about its package is none of a build script's business: some
        // would run again, with all that depends on them.
        for (name, _) in std::env::vars_os() {
            let told = ["CARGO_PKG_", "CARGO_MANIFEST_"];
            if name.to_str().is_some_and(|name| told.iter().any(|told| name.starts_with(told))) {
                build.env_remove(name);
            }
        }
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(status.success(), "cargo build --workspace --bin cifar: {status}");
        target.join("debug/cifar")
    })
}
