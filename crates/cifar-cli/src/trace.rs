//! A run as a trace: the engine's events as spans of its threads.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use cifar_report::trace::{TraceError, TraceSpan, TraceWriter};
use cifar_train::{Event, Observer, Span, StepReport};

/// Number of the thread that trains; those of data workers follow.
const TRAINING: usize = 0;

/// Writes what a sitting of a run does to a trace.
pub(crate) struct Trace {
    writer: TraceWriter,
    /// Number and time of the epoch in progress, up to what it did last.
    epoch: Option<(u32, Instant, Instant)>,
    /// Workers that have a name.
    n_workers: usize,
}

impl Trace {
    /// # Errors
    /// A place that cannot be written to.
    pub(crate) fn create(path: &Path, recipe: &str) -> Result<Self, TraceError> {
        let mut writer = TraceWriter::create(path, &format!("cifar train, {recipe}"))?;
        writer.thread(TRAINING, "training".to_owned());
        Ok(Self { writer, epoch: None, n_workers: 0 })
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// What kept the file from being whole.
    pub(crate) fn finish(mut self) -> Result<(), TraceError> {
        self.end_epoch();
        self.writer.finish()
    }

    fn step(&mut self, report: &StepReport) {
        let times = report.times;
        let (_, _, end) = self.epoch.get_or_insert((report.epoch, times.begun, times.begun));
        *end = times.begun + times.total();
        let figures = vec![
            ("step", report.step as f64),
            ("batch", report.batch as f64),
            ("images", report.n_images as f64),
            ("loss", report.loss),
        ];
        self.span("step", times.begun, times.total(), figures);
        let mut begun = times.begun;
        for (name, took) in times.parts() {
            self.span(name, begun, took, Vec::new());
            begun += took;
        }
        if let Some(prepared) = times.prepared {
            let thread = TRAINING + 1 + prepared.worker;
            while self.n_workers <= prepared.worker {
                let name = format!("data worker {}", self.n_workers + 1);
                self.writer.thread(TRAINING + 1 + self.n_workers, name);
                self.n_workers += 1;
            }
            self.writer.span(TraceSpan {
                name: "batch",
                thread,
                begun: prepared.begun,
                took: prepared.took,
                figures: vec![("step", report.step as f64)],
            });
        }
    }

    fn span(
        &mut self,
        name: &'static str,
        begun: Instant,
        took: Duration,
        figures: Vec<(&'static str, f64)>,
    ) {
        self.writer.span(TraceSpan { name, thread: TRAINING, begun, took, figures });
    }

    fn end_epoch(&mut self) {
        if let Some((epoch, begun, end)) = self.epoch.take() {
            let figures = vec![("epoch", f64::from(epoch))];
            self.span("epoch", begun, end - begun, figures);
        }
    }
}

impl Observer for Trace {
    fn observe(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Step(report) => self.step(report),
            Event::Epoch(report) => {
                if let Some(validation) = &report.validation {
                    let Span { begun, took } = validation.span;
                    self.span("evaluation", begun, took, Vec::new());
                    if let Some((_, _, end)) = &mut self.epoch {
                        *end = begun + took;
                    }
                }
                self.end_epoch();
            }
            Event::Saved { span: Span { begun, took }, step, .. } => {
                self.span("checkpoint", *begun, *took, vec![("step", *step as f64)]);
            }
            Event::Start(_) | Event::StepTensors(_) | Event::EarlyStop { .. } => {}
        }
        Ok(())
    }
}
