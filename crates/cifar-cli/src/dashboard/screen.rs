//! The terminal while the dashboard has it: taken, drawn on, given back in every case.

use std::io::{self, Write};
use std::panic;
use std::sync::atomic::{AtomicU8, Ordering};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

/// The stream whose terminal the dashboard has, by [`Stream`]'s number; 0 while it has none. It is
/// the process's, as a panic or a signal anywhere has to give the terminal back.
static TAKEN: AtomicU8 = AtomicU8::new(0);

/// Where the dashboard is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stream {
    Output = 1,
    Error = 2,
}

impl Stream {
    fn taken() -> Option<Self> {
        [Self::Output, Self::Error]
            .into_iter()
            .find(|stream| *stream as u8 == TAKEN.load(Ordering::SeqCst))
    }

    fn lock(self) -> Box<dyn Write> {
        match self {
            Self::Output => Box::new(io::stdout().lock()),
            Self::Error => Box::new(io::stderr().lock()),
        }
    }
}

/// Takes the terminal of `stream`, until [`restore`].
///
/// # Errors
/// The system's, where there is no terminal to read keys from for example.
pub(super) fn take(stream: Stream) -> io::Result<Terminal<CrosstermBackend<Picture>>> {
    let earlier = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // The message would be lost with the screen it is written on.
        restore();
        earlier(info);
    }));
    enable_raw_mode()?;
    TAKEN.store(stream as u8, Ordering::SeqCst);
    let opened = execute!(stream.lock(), EnterAlternateScreen, Hide)
        .and_then(|()| Terminal::new(CrosstermBackend::new(Picture::default())));
    if opened.is_err() {
        restore();
    }
    opened
}

/// Whether the dashboard still has the terminal.
pub(super) fn is_taken() -> bool {
    Stream::taken().is_some()
}

/// Gives the terminal back as it was, where the dashboard has it.
pub(crate) fn restore() {
    let Some(stream) = Stream::taken() else { return };
    TAKEN.store(0, Ordering::SeqCst);
    // A terminal that is gone needs nothing.
    let _ = execute!(stream.lock(), Show, LeaveAlternateScreen);
    let _ = disable_raw_mode();
}

/// Collects what is drawn and writes it at once, unless the terminal was given back meanwhile.
#[derive(Debug, Default)]
pub(super) struct Picture {
    pending: Vec<u8>,
}

impl Write for Picture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let pending = std::mem::take(&mut self.pending);
        let Some(stream) = Stream::taken() else { return Ok(()) };
        let mut out = stream.lock();
        out.write_all(&pending)?;
        out.flush()
    }
}
