//! `tidy`: what no compiler checks. Each finding is one line, `file:line: what`.

mod code;
mod links;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Files that may be longer than [`rules::MAX_LINES`], each with the reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Something that should not be there.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: PathBuf,
    /// Counted from 1.
    line: usize,
    what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

/// Prints what it finds in the files of the workspace and fails if that is anything.
pub(crate) fn run() -> Result<()> {
    let findings = check(workspace::root(), &workspace::files()?, LONG_FILES)?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        n => bail!("{n} untidy places"),
    }
}

/// Applies every rule to `files`, paths relative to `root`.
fn check(root: &Path, files: &[PathBuf], long_files: &[(&str, &str)]) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in files {
        let bytes =
            fs::read(root.join(path)).with_context(|| format!("read {}", path.display()))?;
        let mut add = |line, what| findings.push(Finding { path: path.clone(), line, what });
        rules::name(path, &mut add);
        rules::size(path, &bytes, &mut add);
        let Ok(text) = String::from_utf8(bytes) else { continue };
        rules::text(path, &text, &mut add);
        if path.extension().is_some_and(|extension| extension == "rs") {
            rules::rust(path, &text, &mut add);
        }
        if path.extension().is_some_and(|extension| extension == "md") {
            links::check(path, &text, files, &mut add);
        }
        let allowed = long_files.iter().any(|(long, _)| Path::new(long) == path);
        rules::length(path, &text, allowed, &mut add);
    }
    for (long, _) in long_files {
        if !files.iter().any(|path| path == Path::new(long)) {
            findings.push(Finding {
                path: long.into(),
                line: 1,
                what: "is on the list of long files but is no more".into(),
            });
        }
    }
    Ok(findings)
}
