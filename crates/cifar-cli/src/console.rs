//! The one place that writes to the terminal.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Human-readable output, and the document where one was asked for.
///
/// Without `--json` people read standard output; with it, standard output holds one JSON
/// document and people read standard error. The same goes for `--csv`.
pub(crate) struct Console {
    document: bool,
}

impl Console {
    pub(crate) fn new(document: bool) -> Self {
        Self { document }
    }

    /// Whether standard output is reserved for a JSON document.
    pub(crate) fn is_json(&self) -> bool {
        self.document
    }

    /// Whether a person watches, so that a moving bar makes sense.
    pub(crate) fn is_terminal(&self) -> bool {
        if self.document { io::stderr().is_terminal() } else { io::stdout().is_terminal() }
    }

    /// One line, or several, for people.
    ///
    /// # Errors
    /// The system's, a closed pipe for example.
    pub(crate) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        let text = text.as_ref();
        if self.document {
            writeln!(io::stderr(), "{text}")
        } else {
            writeln!(io::stdout(), "{text}")
        }
    }

    /// One line of a document that is written line by line.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn document_line(&mut self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    /// The command's JSON document, where `--json` was given.
    ///
    /// # Errors
    /// The system's.
    pub(crate) fn document(&mut self, value: &impl Serialize) -> io::Result<()> {
        if self.document {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, value)?;
            writeln!(out)?;
        }
        Ok(())
    }
}

/// The error and its causes, and that the rest goes on.
pub(crate) fn report_skipped(error: &anyhow::Error) {
    let _ = writeln!(io::stderr(), "skipped: {}", printable(&format!("{error:#}")));
}

/// `text` with its control characters made visible: file names must not command the terminal.
pub(crate) fn printable(text: &str) -> String {
    let visible = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    text.chars().map(visible).collect()
}

/// The error and its causes in one line on standard error.
pub(crate) fn report_error(error: &anyhow::Error) {
    // Nothing is left to do where even standard error is closed.
    let _ = writeln!(io::stderr(), "error: {error:#}");
}
