//! `cifar train --tui`: a run as a picture in the terminal, drawn while it works.
//!
//! The training thread hands events over and goes on; a thread of its own draws a copy of the
//! state some five times a second and reads the keys.

mod curve;
mod diagnostics;
mod draw;
mod keys;
mod place;
mod screen;
mod state;

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use cifar_train::{Event, Observer};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event;

use self::draw::Resources;
use self::keys::Order;
use self::screen::{Picture, Stream};
use self::state::State;
use crate::console::Console;
use crate::host;

pub(crate) use self::diagnostics::Diagnostics;
pub(crate) use self::screen::restore;
pub(crate) use self::state::About;

/// Time between two pictures, unless a key or a resize asks for one.
const TICK: Duration = Duration::from_millis(200);

/// Refuses a dashboard that nobody would see, before anything is begun.
///
/// # Errors
/// The stream that is no terminal, and what to do.
pub(crate) fn require_terminal(json: bool) -> anyhow::Result<()> {
    if json && !io::stderr().is_terminal() {
        bail!(
            "--tui with --json is drawn on standard error, which is not a terminal; \
             leave --tui out"
        );
    }
    if !json && !io::stdout().is_terminal() {
        bail!(
            "--tui is drawn on standard output, which is not a terminal; \
             leave --tui out for plain lines"
        );
    }
    Ok(())
}

/// Shows a run until it is dropped; then the lines of the run are on the console, as they would
/// be without it.
pub(crate) struct Dashboard<'a> {
    console: &'a mut Console,
    shared: Arc<Shared>,
    drawer: Option<JoinHandle<()>>,
}

/// What the training thread and the drawing thread have in common.
struct Shared {
    state: Mutex<State>,
    opened: Instant,
    done: AtomicBool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A state that a panic left is still worth its log.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Dashboard<'a> {
    /// Takes the terminal. `interrupt` is set where the user asks the run to stop.
    ///
    /// # Errors
    /// A terminal that cannot be drawn on or has no keyboard.
    pub(crate) fn open(
        console: &'a mut Console,
        about: About,
        interrupt: Arc<AtomicBool>,
    ) -> anyhow::Result<Self> {
        let stream = if console.is_json() { Stream::Error } else { Stream::Output };
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(about)),
            opened: Instant::now(),
            done: AtomicBool::new(false),
        });
        let mut terminal =
            screen::take(stream).context("--tui cannot use this terminal; leave it out")?;
        let mut dashboard = Self { console, shared: Arc::clone(&shared), drawer: None };
        diagnostics::divert(Arc::clone(&shared));
        let work = move || {
            if let Err(error) = show(&shared, &mut terminal, &interrupt) {
                screen::restore();
                shared.state().log(format!("The dashboard ended early: {error}"), true);
            }
        };
        let drawer = thread::Builder::new().name("dashboard".to_owned()).spawn(work);
        dashboard.drawer = Some(drawer.context("cannot start the dashboard's thread")?);
        Ok(dashboard)
    }
}

impl Observer for Dashboard<'_> {
    fn observe(&mut self, event: &Event<'_>) -> io::Result<()> {
        let now = self.shared.opened.elapsed();
        self.shared.state().observe(event, now);
        Ok(())
    }
}

impl Drop for Dashboard<'_> {
    fn drop(&mut self) {
        self.shared.done.store(true, Ordering::Relaxed);
        if let Some(drawer) = self.drawer.take() {
            // Where it panicked, the hook has said so.
            let _ = drawer.join();
        }
        screen::restore();
        diagnostics::direct();
        for line in self.shared.state().log.iter().filter(|line| line.stays) {
            // An error here has to give way to the one that may have ended the run.
            let _ = self.console.line(&line.text);
        }
    }
}

/// Draws and listens until the run is over or the terminal is given back.
fn show(
    shared: &Shared,
    terminal: &mut Terminal<CrosstermBackend<Picture>>,
    interrupt: &AtomicBool,
) -> io::Result<()> {
    while screen::is_taken() && !shared.done.load(Ordering::Relaxed) {
        // A copy, so that training never waits for a terminal.
        let state = shared.state().clone();
        let resources = Resources {
            elapsed_secs: shared.opened.elapsed().as_secs_f64(),
            memory: host::memory(),
        };
        terminal.draw(|frame| draw::draw(frame, &state, resources))?;
        let mut wait = TICK;
        while event::poll(wait)? {
            wait = Duration::ZERO;
            let Some(key) = event::read()?.as_key_event() else { continue };
            let order = keys::press(&mut shared.state(), key);
            match order {
                Order::None => {}
                Order::Stop => interrupt.store(true, Ordering::Relaxed),
                Order::Abort => {
                    screen::restore();
                    std::process::exit(i32::from(crate::INTERRUPTED));
                }
            }
        }
    }
    Ok(())
}
