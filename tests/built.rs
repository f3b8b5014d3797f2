//! The program, for the tests that run it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The built program. Builds it once, with the assertions of the tests themselves.
pub(crate) fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        // This test lies in TARGET/debug/deps.
        let this = std::env::current_exe().unwrap();
        let target = this.ancestors().nth(3).unwrap();
        let mut build = cifar_testkit::build_program("test");
        build.args(["--quiet", "--target-dir"]).arg(target);
        let status = build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(status.success(), "{build:?}: {status}");
        target.join("debug/cifar")
    })
}
