//! Links and pictures of Markdown files that lead to other files of the workspace.

use std::path::{Component, Path, PathBuf};

/// The folder of the book. A page that links out of it works in the repository and not in the book.
const BOOK: &str = "docs";

/// Finds links of `path` that lead to none of `files`, nor to a folder of one.
pub(super) fn check(
    path: &Path,
    text: &str,
    files: &[PathBuf],
    add: &mut impl FnMut(usize, String),
) {
    for (line, target) in relative_links(text) {
        let file = target.split('#').next().unwrap_or_default();
        match resolve(path, file) {
            Some(found) if !files.iter().any(|known| known.starts_with(&found)) => {
                add(line, format!("links to {target}, which is not in the workspace"));
            }
            Some(found) if path.starts_with(BOOK) && !found.starts_with(BOOK) => {
                add(line, format!("links to {target}, which is not in the book"));
            }
            Some(_) => {}
            None => add(line, format!("links to {target}, outside of the workspace")),
        }
    }
}

/// Line and target of each `[text](target)` and `![text](target)`, code aside, that names no host
/// and leaves its page.
fn relative_links(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut in_fence = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        } else if !in_fence {
            let outside_code = line.split('`').step_by(2);
            let starts = outside_code.flat_map(|part| part.split("](").skip(1));
            let targets = starts.filter_map(|rest| rest.split([')', ' ']).next());
            let relative = |target: &&str| !target.contains(':') && !target.starts_with('#');
            links.extend(targets.filter(relative).map(|target| (number, target)));
        }
    }
    links
}

/// `target` seen from the file `path`, relative to the root; `None` if it leaves the root.
fn resolve(path: &Path, target: &str) -> Option<PathBuf> {
    let mut resolved = path.parent()?.to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::Normal(name) => resolved.push(name),
            Component::CurDir => {}
            Component::ParentDir if resolved.pop() => {}
            _ => return None,
        }
    }
    Some(resolved)
}
