//! Diagnostics, which would tear the picture if they were written on its terminal.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Shared;

/// The dashboard whose log has the diagnostics, while there is one. It is the process's, as the
/// diagnostics are.
static DASHBOARD: Mutex<Option<Arc<Shared>>> = Mutex::new(None);

fn dashboard() -> MutexGuard<'static, Option<Arc<Shared>>> {
    DASHBOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends diagnostics to the log of `shared`, unless standard error goes elsewhere anyway.
pub(super) fn divert(shared: Arc<Shared>) {
    if io::stderr().is_terminal() {
        *dashboard() = Some(shared);
    }
}

/// Sends diagnostics to standard error.
pub(super) fn direct() {
    *dashboard() = None;
}

/// Writes diagnostics to standard error, or, while a dashboard has that terminal, to its log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Diagnostics;

impl Write for Diagnostics {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &*dashboard() {
            Some(shared) => {
                let text = without_colours(&String::from_utf8_lossy(bytes));
                shared.state().log(text, true);
                Ok(bytes.len())
            }
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// `text` less the escape sequences that colour it.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or_default().to_owned();
    let rest = pieces.map(|piece| piece.split_once('m').map_or(piece, |(_, text)| text));
    rest.fold(first, |text, piece| text + piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_text_stays() {
        let coloured = "\x1b[2m12:00\x1b[0m \x1b[33m WARN\x1b[0m cifar: memory [1m]";
        assert_eq!(without_colours(coloured), "12:00  WARN cifar: memory [1m]");
    }
}
