//! Running other programs.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The command as a person would type it, without its environment.
pub(crate) fn as_typed(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let program = program.rsplit('/').next().unwrap_or_default().to_owned();
    let words = command.get_args().map(|word| {
        let word = word.to_string_lossy();
        if word.is_empty() || word.contains([' ', '*', '$']) {
            format!("'{word}'")
        } else {
            word.into_owned()
        }
    });
    std::iter::once(program).chain(words).collect::<Vec<_>>().join(" ")
}

/// Runs the command with this program's output; an exit code other than 0 is an error.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start `{}`", as_typed(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", as_typed(command));
    }
    Ok(())
}

/// Runs the command and returns what it writes to stdout; stderr is shown as it comes.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let typed = as_typed(command);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("start `{typed}`"))?;
    if !output.status.success() {
        bail!("`{typed}` failed ({})", output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("`{typed}` wrote something else than text"))
}
