//! Traces: what each thread did when, in the [Trace Event Format][format] that
//! <https://ui.perfetto.dev> and `chrome://tracing` show.
//!
//! A file is one JSON array with an event a line. It is written as `FILE.part` and takes its name
//! when it is whole; what a killed program leaves in `FILE.part` is an array without its end, which
//! the format allows and both viewers load.
//!
//! [format]: https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

/// Events are handed to the writing thread once there are this many, or after this long.
const EVENTS_HELD: usize = 256;
const TIME_HELD: Duration = Duration::from_secs(1);
/// Handfuls that may wait for the disk.
const QUEUE: usize = 1024;

/// Something a thread did.
#[derive(Debug, Clone, PartialEq)]
pub struct TraceSpan {
    /// What.
    pub name: &'static str,
    /// Its number, see [`TraceWriter::thread`].
    pub thread: usize,
    /// When it began.
    pub begun: Instant,
    /// How long it took.
    pub took: Duration,
    /// Figures that a viewer shows with it.
    pub figures: Vec<(&'static str, f64)>,
}

/// Writes one trace, on a thread of its own.
///
/// No method but [`create`](Self::create) and [`finish`](Self::finish) waits for the disk. Where
/// very much already waits for it, what comes is left out; once it refuses, nothing more is
/// written. Dropping the writer finishes the file.
#[derive(Debug)]
pub struct TraceWriter {
    path: PathBuf,
    origin: Instant,
    held: Vec<Held>,
    held_since: Instant,
    /// `None` when the writer is being closed, which ends the thread.
    queue: Option<SyncSender<Vec<Held>>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    n_lost: usize,
}

/// Why a trace is not whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The file system refused: no space, no rights, no such folder.
    #[error("cannot write {path}; name a file in a folder that exists and has room")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        source: io::Error,
    },
    /// The disk was too slow.
    #[error("{n_lost} spans were left out of {path}: the disk was too slow")]
    Lost {
        /// The file.
        path: PathBuf,
        /// Spans left out.
        n_lost: usize,
    },
}

#[derive(Debug)]
enum Held {
    Thread(usize, String),
    Span(TraceSpan),
}

impl TraceWriter {
    /// A new trace, whose time begins now, to be at `path`; a file that is there is replaced at the
    /// end. `process`: the name over all threads.
    ///
    /// # Errors
    /// [`TraceError::Write`] where `path` is a folder or a file beside it cannot be made.
    pub fn create(path: &Path, process: &str) -> Result<Self, TraceError> {
        let refuse = |source| TraceError::Write { path: path.to_owned(), source };
        if path.is_dir() {
            return Err(refuse(io::ErrorKind::IsADirectory.into()));
        }
        let mut part = OsString::from(path);
        part.push(".part");
        let (part, whole) = (PathBuf::from(part), path.to_owned());
        let mut out = BufWriter::new(File::create(&part).map_err(refuse)?);
        let (origin, first) = (Instant::now(), name_event("process_name", 0, process));
        write!(out, "[\n{first}").map_err(refuse)?;
        let (queue, handfuls) = sync_channel(QUEUE);
        let thread = thread::spawn(move || {
            write_events(&mut out, origin, &handfuls)?;
            out.write_all(b"\n]\n")?;
            out.flush()?;
            out.get_ref().sync_all()?;
            fs::rename(&part, &whole)
        });
        Ok(Self {
            path: path.to_owned(),
            origin,
            held: Vec::new(),
            held_since: origin,
            queue: Some(queue),
            thread: Some(thread),
            n_lost: 0,
        })
    }

    /// Gives the thread `number` a name.
    pub fn thread(&mut self, number: usize, name: String) {
        self.hold(Held::Thread(number, name));
    }

    /// Adds a span. Spans of one thread lie inside one another or apart, in any order; one that
    /// began before the trace did is moved to its beginning.
    pub fn span(&mut self, mut span: TraceSpan) {
        span.begun = span.begun.max(self.origin);
        self.hold(Held::Span(span));
    }

    /// Waits until everything is written and the file has its name.
    ///
    /// # Errors
    /// The first thing that kept the file from being whole.
    pub fn finish(mut self) -> Result<(), TraceError> {
        self.close()?;
        match self.n_lost {
            0 => Ok(()),
            n_lost => Err(TraceError::Lost { path: self.path.clone(), n_lost }),
        }
    }

    fn hold(&mut self, event: Held) {
        if self.held.is_empty() {
            self.held_since = Instant::now();
        }
        self.held.push(event);
        if self.held.len() >= EVENTS_HELD || self.held_since.elapsed() >= TIME_HELD {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        let held = std::mem::take(&mut self.held);
        match self.queue.as_ref().map(|queue| queue.try_send(held)) {
            Some(Err(TrySendError::Full(held))) => self.n_lost += held.len(),
            // Disconnected: the thread has met an error, which `finish` tells.
            Some(Ok(()) | Err(TrySendError::Disconnected(_))) | None => {}
        }
    }

    fn close(&mut self) -> Result<(), TraceError> {
        self.hand_over();
        self.queue = None;
        let refuse = |source| TraceError::Write { path: self.path.clone(), source };
        match self.thread.take() {
            Some(thread) => thread
                .join()
                .unwrap_or_else(|_panic| Err(io::Error::other("the writing thread panicked")))
                .map_err(refuse),
            None => Ok(()),
        }
    }
}

impl Drop for TraceWriter {
    fn drop(&mut self) {
        // Whoever wants to know calls `finish`.
        let _ = self.close();
    }
}

/// The writing thread. Whatever has come is written out before it waits for more.
fn write_events(
    out: &mut impl Write,
    origin: Instant,
    handfuls: &Receiver<Vec<Held>>,
) -> io::Result<()> {
    loop {
        let handful = match handfuls.try_recv() {
            Ok(handful) => handful,
            Err(TryRecvError::Disconnected) => return Ok(()),
            Err(TryRecvError::Empty) => {
                out.flush()?;
                let Ok(handful) = handfuls.recv() else { return Ok(()) };
                handful
            }
        };
        for event in handful {
            let event = match event {
                Held::Thread(number, name) => name_event("thread_name", number, &name),
                Held::Span(span) => span_event(&span, origin),
            };
            write!(out, ",\n{event}")?;
        }
    }
}

/// A metadata event. There is one process, and it has the number 1.
fn name_event(kind: &str, thread: usize, name: &str) -> serde_json::Value {
    json!({"ph": "M", "name": kind, "pid": 1, "tid": thread, "args": {"name": name}})
}

/// A complete event; times are in microseconds, told to the nanosecond.
fn span_event(span: &TraceSpan, origin: Instant) -> serde_json::Value {
    let micros = |duration: Duration| duration.as_nanos() as f64 / 1e3;
    let begun = micros(span.begun.saturating_duration_since(origin));
    let (took, args) = (micros(span.took), span.figures.iter().copied());
    let args: serde_json::Map<_, _> =
        args.map(|(name, value)| (name.into(), value.into())).collect();
    json!({
        "ph": "X", "name": span.name, "pid": 1, "tid": span.thread, "ts": begun, "dur": took,
        "args": args,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn span(name: &'static str, thread: usize, begun: Instant, micros: u64) -> TraceSpan {
        let took = Duration::from_micros(micros);
        TraceSpan { name, thread, begun, took, figures: vec![("loss", 2.5)] }
    }

    #[test]
    fn a_trace_is_one_array_of_names_and_spans() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace.json");
        let mut writer = TraceWriter::create(&path, "a \"run\"").unwrap();
        writer.thread(1, "worker".to_owned());
        let begun = Instant::now();
        for _ in 0..3 * EVENTS_HELD {
            writer.span(span("step", 1, begun, 1500));
        }
        assert!(!path.exists() && dir.path().join("trace.json.part").exists());
        writer.finish().unwrap();
        let events: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(events.len(), 2 + 3 * EVENTS_HELD);
        assert_eq!(events[0]["args"]["name"], "a \"run\"");
        assert_eq!((&events[1]["name"], &events[1]["tid"]), (&"thread_name".into(), &1.into()));
        let last = events.last().unwrap();
        assert_eq!((&last["ph"], &last["dur"]), (&"X".into(), &1500.0.into()));
        assert_eq!(last["args"]["loss"], 2.5);
        assert!(!dir.path().join("trace.json.part").exists());
    }

    #[test]
    fn a_killed_program_leaves_an_array_that_only_lacks_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let (path, part) = (dir.path().join("t.json"), dir.path().join("t.json.part"));
        let mut writer = TraceWriter::create(&path, "run").unwrap();
        for _ in 0..EVENTS_HELD {
            writer.span(span("step", 0, Instant::now(), 1));
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut text = String::new();
        while text.lines().count() < 2 + EVENTS_HELD && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
            text = fs::read_to_string(&part).unwrap();
        }
        let events: Vec<Value> = serde_json::from_str(&format!("{text}]")).unwrap();
        assert_eq!(events.len(), 1 + EVENTS_HELD);
    }

    #[test]
    fn a_span_from_before_the_trace_is_moved_to_its_beginning() {
        let dir = tempfile::tempdir().unwrap();
        let (before, path) = (Instant::now(), dir.path().join("t.json"));
        let mut writer = TraceWriter::create(&path, "run").unwrap();
        writer.span(span("early", 0, before, 1));
        writer.finish().unwrap();
        let events: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(events[1]["ts"], 0.0);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_named_before_anything_is_traced() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("none/t.json")] {
            let error = TraceWriter::create(&path, "run").unwrap_err().to_string();
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }
}
