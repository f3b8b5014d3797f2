//! From the training thread to the file.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost::Message;

use super::histogram::Histogram;
use super::proto::{Event, SessionLog, Summary};
use super::record;
use super::summary::{self, Hparam};
use crate::Drawing;

/// Start of an event file's name; the time in seconds follows.
const NAME: &str = "events.out.tfevents.";
/// Parcels that may wait for the disk.
const QUEUE: usize = 1024;
/// Scalars are handed over once there are those of this many steps, or after this long.
const STEPS_HELD: usize = 64;
const TIME_HELD: Duration = Duration::from_secs(1);

/// Writes one event file, on a thread of its own.
///
/// No method waits for the disk. Where a thousand parcels already wait for it, what comes is left
/// out; once it refuses, nothing more is written. Neither ends a run; [`finish`](Self::finish)
/// tells of it. Scalars are on their way to the file within a second (at the next call) and at once
/// after a [`flush`](Self::flush). Dropping the writer waits until everything is written.
#[derive(Debug)]
pub struct EventWriter {
    folder: PathBuf,
    /// `None` when the writer is being dropped, which ends the thread.
    queue: Option<SyncSender<Parcel>>,
    thread: Option<JoinHandle<Result<(), EventFileError>>>,
    held: Vec<Scalars>,
    held_since: Instant,
    n_lost: usize,
}

/// Why an event file is not whole. What it holds up to there can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventFileError {
    /// The file system refused: no space, no rights.
    #[error("cannot write {path}")]
    Write {
        /// The file, or its folder where it could not be made.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// The disk was too slow.
    #[error("{n_lost} events were left out of the event file in {folder}: the disk was too slow")]
    Lost {
        /// The folder of the file.
        folder: PathBuf,
        /// Events left out.
        n_lost: usize,
    },
    /// A picture could not be drawn.
    #[error("drawing for the event file in {folder} failed")]
    Drawing {
        /// The folder of the file.
        folder: PathBuf,
    },
}

/// What goes to the writing thread at once.
enum Parcel {
    Scalars(Vec<Scalars>),
    /// A summary that the thread makes itself.
    Summary {
        wall_time: f64,
        step: usize,
        make: Box<dyn FnOnce() -> io::Result<Summary> + Send>,
    },
}

/// The scalars of one step.
#[derive(Debug)]
struct Scalars {
    wall_time: f64,
    step: usize,
    values: Vec<(&'static str, f32)>,
}

impl EventWriter {
    /// A new event file in `folder`, which sorts behind those that are there. `step`: optimiser
    /// steps done before; what older files tell of later steps, TensorBoard then forgets.
    pub fn create(folder: &Path, step: usize) -> Self {
        let at = folder.to_owned();
        Self::start(folder, step, move || {
            let path =
                next_path(&at).map_err(|source| EventFileError::Write { path: at, source })?;
            match File::create_new(&path) {
                Ok(file) => Ok((path, BufWriter::new(file))),
                Err(source) => Err(EventFileError::Write { path, source }),
            }
        })
    }

    /// Starts the thread, which opens the file itself: that too may take long.
    pub(super) fn start<W: Write>(
        folder: &Path,
        step: usize,
        open: impl FnOnce() -> Result<(PathBuf, W), EventFileError> + Send + 'static,
    ) -> Self {
        let (queue, parcels) = sync_channel(QUEUE);
        let thread = thread::spawn(move || {
            let (path, out) = open()?;
            write(out, step, &parcels).map_err(|source| EventFileError::Write { path, source })
        });
        Self {
            folder: folder.to_owned(),
            queue: Some(queue),
            thread: Some(thread),
            held: Vec::new(),
            held_since: Instant::now(),
            n_lost: 0,
        }
    }

    /// Values of one step, each under its tag; they are stored as f32. Tags that share what stands
    /// before their `/` are shown together.
    pub fn scalars(&mut self, step: usize, values: &[(&'static str, f64)]) {
        let values = values.iter().map(|&(tag, value)| (tag, value as f32)).collect();
        if self.held.is_empty() {
            self.held_since = Instant::now();
        }
        self.held.push(Scalars { wall_time: now(), step, values });
        if self.held.len() >= STEPS_HELD || self.held_since.elapsed() >= TIME_HELD {
            self.flush();
        }
    }

    /// A picture, which the writing thread draws.
    pub fn image(
        &mut self,
        tag: &'static str,
        step: usize,
        draw: impl FnOnce() -> Drawing + Send + 'static,
    ) {
        self.summary(step, now(), move || summary::image(tag.to_owned(), &draw()));
    }

    /// The distribution of `values`; nothing where none of them is finite.
    pub fn histogram(&mut self, tag: String, step: usize, values: &[f32]) {
        if let Some(histogram) = Histogram::of(values) {
            self.summary(step, now(), move || Ok(summary::histogram(tag, &histogram)));
        }
    }

    /// Text in Markdown.
    pub fn text(&mut self, tag: &'static str, step: usize, markdown: String) {
        self.summary(step, now(), move || Ok(summary::text(tag.to_owned(), markdown)));
    }

    /// The hyperparameters of the run, once at its beginning.
    pub fn hparams(&mut self, hparams: Vec<(String, Hparam)>) {
        let wall_time = now();
        self.summary(0, wall_time, move || Ok(summary::session_start(&hparams, wall_time)));
    }

    /// The run has come to its end; TensorBoard shows it as a success among the hyperparameters.
    pub fn end_of_run(&mut self, step: usize) {
        let wall_time = now();
        self.summary(step, wall_time, move || Ok(summary::session_end(wall_time)));
    }

    /// Hands over the scalars that are still held. Does not wait.
    pub fn flush(&mut self) {
        if !self.held.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.send(held.len(), Parcel::Scalars(held));
        }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The first thing that kept the file from being whole.
    pub fn finish(mut self) -> Result<(), EventFileError> {
        let written = self.close();
        match self.n_lost {
            0 => written,
            n_lost => {
                written.and(Err(EventFileError::Lost { folder: self.folder.clone(), n_lost }))
            }
        }
    }

    fn summary(
        &mut self,
        step: usize,
        wall_time: f64,
        make: impl FnOnce() -> io::Result<Summary> + Send + 'static,
    ) {
        self.flush();
        self.send(1, Parcel::Summary { wall_time, step, make: Box::new(make) });
    }

    fn send(&mut self, n_events: usize, parcel: Parcel) {
        match self.queue.as_ref().map(|queue| queue.try_send(parcel)) {
            Some(Err(TrySendError::Full(_))) => self.n_lost += n_events,
            // Disconnected: the thread has met an error, which `finish` tells.
            Some(Ok(()) | Err(TrySendError::Disconnected(_))) | None => {}
        }
    }

    fn close(&mut self) -> Result<(), EventFileError> {
        self.flush();
        self.queue = None;
        let drawing = || EventFileError::Drawing { folder: self.folder.clone() };
        match self.thread.take() {
            Some(thread) => thread.join().map_err(|_panic| drawing())?,
            None => Ok(()),
        }
    }
}

impl Drop for EventWriter {
    fn drop(&mut self) {
        // Whoever wants to know calls `finish`.
        let _ = self.close();
    }
}

/// The writing thread. Whatever has come is written out before it waits for more.
fn write(mut out: impl Write, step: usize, parcels: &Receiver<Parcel>) -> io::Result<()> {
    let put = |out: &mut _, event: Event| record::write(out, &event.encode_to_vec());
    put(&mut out, version())?;
    put(&mut out, start(step))?;
    loop {
        let parcel = match parcels.try_recv() {
            Ok(parcel) => parcel,
            Err(TryRecvError::Disconnected) => break,
            Err(TryRecvError::Empty) => {
                out.flush()?;
                let Ok(parcel) = parcels.recv() else { break };
                parcel
            }
        };
        match parcel {
            Parcel::Scalars(steps) => {
                for Scalars { wall_time, step, values } in steps {
                    put(&mut out, event(wall_time, step, summary::scalars(&values)))?;
                }
            }
            Parcel::Summary { wall_time, step, make } => {
                put(&mut out, event(wall_time, step, make()?))?;
            }
        }
    }
    out.flush()
}

fn event(wall_time: f64, step: usize, summary: Summary) -> Event {
    Event { wall_time, step: step as i64, summary: Some(summary), ..Event::default() }
}

/// The first event of every file. Version 2 is the one whose restarts are told by a `SessionLog`.
fn version() -> Event {
    let file_version = Some("brain.Event:2".to_owned());
    Event { wall_time: now(), file_version, ..Event::default() }
}

/// The second: makes a reader forget what it knows of the steps that now follow; of a run that
/// starts over, its configuration too, which stands at step 0.
fn start(steps_done: usize) -> Event {
    let step = if steps_done == 0 { 0 } else { steps_done as i64 + 1 };
    let session_log = Some(SessionLog { status: 1 });
    Event { wall_time: now(), step, session_log, ..Event::default() }
}

/// A path whose name sorts behind those of the event files in `folder`, because TensorBoard reads
/// them in that order; clocks may be turned back between two sittings.
fn next_path(folder: &Path) -> io::Result<PathBuf> {
    let mut secs = now() as u64;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let time = name.to_str().and_then(|name| name.strip_prefix(NAME)?.split('.').next());
        if let Some(earlier) = time.and_then(|time| time.parse::<u64>().ok()) {
            secs = secs.max(earlier.saturating_add(1));
        }
    }
    Ok(folder.join(format!("{NAME}{secs:010}.cifar")))
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
