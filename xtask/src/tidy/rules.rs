//! The rules. Each takes a file and calls `add(line, what)` for what it finds.
//!
//! Words that the rules look for are put together from parts here, so that this file passes.

use std::ffi::OsStr;
use std::path::Path;

use super::code::{blank_out, test_lines};

/// Longest file, without its tests.
pub(super) const MAX_LINES: usize = 500;

const MAX_BYTES: usize = 1 << 20;

/// Largest file of published weights.
const MAX_WEIGHT_BYTES: usize = 5 << 20;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];

/// Marks of unfinished work.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("to", "do!"),
    concat!("unimple", "mented!"),
];

/// Package registries: a mirror must be able to take their place.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("python", "hosted.org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("deb.debian", ".org"),
];

/// First folders of paths that exist on one person's machine.
const PRIVATE_FOLDERS: &[&str] = &["home", "Users", "root", "work", "tmp", "opt", "mnt"];

/// Crates that may read the environment: programs, and what only tests use. Examples are programs
/// too.
const READ_ENVIRONMENT: &[&str] = &["crates/cifar-cli", "crates/cifar-testkit", "tests", "xtask"];

/// The two places for unsafe code.
const UNSAFE_PLACES: &[&str] =
    &["crates/cifar-kernels", "crates/cifar-ops/src/cuda", "crates/cifar-ops/src/cuda.rs"];

/// Modules and folders whose name says nothing.
pub(super) fn name(path: &Path, add: &mut impl FnMut(usize, String)) {
    let folders = path.parent().into_iter().flat_map(Path::iter);
    for part in folders.chain(path.file_stem()).filter_map(OsStr::to_str) {
        if EMPTY_NAMES.contains(&part.to_ascii_lowercase().as_str()) {
            add(1, format!("`{part}` says nothing; name the idea that is inside"));
        }
    }
}

/// Files too large to be kept in every clone for ever.
pub(super) fn size(path: &Path, bytes: &[u8], add: &mut impl FnMut(usize, String)) {
    let weights = path.starts_with("models")
        && path.extension().is_some_and(|extension| extension == "safetensors");
    let (most, what) = match weights {
        true => (MAX_WEIGHT_BYTES, "weights over 5 MiB"),
        false => (MAX_BYTES, "files over 1 MiB"),
    };
    if bytes.len() > most {
        add(1, format!("{} bytes; {what} are not committed", bytes.len()));
    }
}

/// Files too long to be read in one go.
pub(super) fn length(path: &Path, text: &str, allowed: bool, add: &mut impl FnMut(usize, String)) {
    let is_source = path
        .extension()
        .and_then(OsStr::to_str)
        .is_some_and(|e| ["rs", "py", "cu", "sh"].contains(&e));
    if !is_source || is_test_file(path) {
        return;
    }
    let n_lines = test_lines(&blank_out(text)).iter().filter(|is_test| !**is_test).count();
    match (n_lines > MAX_LINES, allowed) {
        (true, false) => add(
            MAX_LINES + 1,
            format!("{n_lines} lines without tests; over {MAX_LINES} a file is split"),
        ),
        (false, true) => add(1, "is on the list of long files but is long no more".to_owned()),
        _ => {}
    }
}

/// What no committed text may hold.
pub(super) fn text(path: &Path, text: &str, add: &mut impl FnMut(usize, String)) {
    // cargo writes the registry's name into its lock file itself.
    let is_lock = path.ends_with("Cargo.lock");
    for (line, content) in numbered(text) {
        for word in UNFINISHED {
            if has_word(content, word) {
                add(line, format!("`{word}`; finish it, or file it as an issue"));
            }
        }
        for host in REGISTRY_HOSTS.iter().filter(|host| !is_lock && content.contains(**host)) {
            add(
                line,
                format!(
                    "names the registry host {host}; name the package and leave the registry to the client"
                ),
            );
        }
        for folder in PRIVATE_FOLDERS.iter().filter(|folder| has_absolute_path(content, folder)) {
            add(
                line,
                format!("a path below /{folder}/ exists on one machine alone; make it relative"),
            );
        }
    }
}

/// What Rust code may do in some crates only.
pub(super) fn rust(path: &Path, text: &str, add: &mut impl FnMut(usize, String)) {
    let code = blank_out(text);
    let is_test = test_lines(&code);
    let unsafe_allowed = UNSAFE_PLACES.iter().any(|place| path.starts_with(place));
    let is_example = path.iter().any(|part| part == "examples");
    let environment_allowed = is_example
        || is_test_file(path)
        || READ_ENVIRONMENT.iter().any(|place| path.starts_with(place));
    for (line, content) in numbered(&code) {
        if !unsafe_allowed && has_word(content, "unsafe") {
            add(line, "`unsafe` outside cifar-kernels and cifar-ops::cuda".to_owned());
        }
        let reads_environment = content.contains("std::env") || has_word(content, "env::");
        if !environment_allowed && !is_test[line - 1] && reads_environment {
            add(
                line,
                "reads the environment; only programs do, and hand on what they found".to_owned(),
            );
        }
    }
}

fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(i, line)| (i + 1, line))
}

fn is_test_file(path: &Path) -> bool {
    let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    stem == "tests"
        || stem.starts_with("test_")
        || path.iter().any(|part| part == "tests" || part == "benches")
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Whether `word` stands in `line` with nothing of a longer word around it.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        let joined = word.ends_with(is_word_char) && after.is_some_and(is_word_char);
        !before.is_some_and(is_word_char) && !joined
    })
}

/// Whether `/folder/` stands in `line` as the start of a path.
fn has_absolute_path(line: &str, folder: &str) -> bool {
    let prefix = format!("/{folder}/");
    line.match_indices(&prefix).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before.is_some_and(|c| is_word_char(c) || "./-~}>)*$".contains(c))
    })
}
