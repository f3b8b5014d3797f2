//! The one place that writes to the terminal.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Human-readable output, and the JSON document where one was asked for.
///
/// Without `--json` people read standard output; with it, standard output holds one JSON
/// document and people read standard error.
pub(crate) struct Console {
    json: bool,
}

impl Console {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether standard output is reserved for a JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches, so that a moving bar makes sense.
    pub(crate) fn is_terminal(&self) -> bool {
        if self.json { io::stderr().is_terminal() } else { io::stdout().is_terminal() }
    }

    /// One line, or several, for people.
    ///
    /// # Errors
    /// The system's, a closed pipe for example.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        let text = text.as_ref();
        if self.json { writeln!(io::stderr(), "{text}") } else { writeln!(io::stdout(), "{text}") }
    }

    /// The command's JSON document, where `--json` was given.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn document(&mut self, value: &impl Serialize) -> io::Result<()> {
        if self.json {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, value)?;
            writeln!(out)?;
        }
        Ok(())
    }
}

/// The error and its causes in one line on standard error.
pub(crate) fn report_error(error: &anyhow::Error) {
    // Nothing is left to do where even standard error is closed.
    let _ = writeln!(io::stderr(), "error: {error:#}");
}
