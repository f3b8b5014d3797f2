//! How a run shows itself while it works: a bar on a terminal, plain lines in a pipe.

use std::io;

use cifar_train::{EpochReport, Event, Observer, Start, StepReport};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::console::Console;
use crate::tables::{duration, grouped, percent};

/// Steps between two plain lines.
const LINE_EVERY: usize = 100;
/// The step after which a duration is projected; the first ones are slower than the rest.
const PROJECT_AFTER: usize = 10;
const TEMPLATE: &str = "{elapsed_precise} [{bar:30}] {pos}/{len} {msg}  ETA {eta}";

/// Shows a run on the console.
pub(crate) struct Progress<'a> {
    console: &'a mut Console,
    bar: Option<ProgressBar>,
    start: Option<Start>,
    /// Seconds and steps since the warm-up step.
    timed: (f64, usize),
    projected: bool,
    stop_at: Option<usize>,
}

impl<'a> Progress<'a> {
    /// `stop_at`: the step at which the user lets the run end early.
    pub(crate) fn new(console: &'a mut Console, stop_at: Option<usize>) -> Self {
        Self { console, bar: None, start: None, timed: (0.0, 0), projected: false, stop_at }
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        match &self.bar {
            Some(bar) => {
                let console = &mut self.console;
                bar.suspend(|| console.line(text))
            }
            None => self.console.line(text),
        }
    }

    fn begin(&mut self, start: Start) -> io::Result<()> {
        self.start = Some(start);
        if self.console.is_terminal() {
            let bar = ProgressBar::with_draw_target(
                Some(start.total_steps as u64),
                ProgressDrawTarget::stderr(),
            );
            bar.set_style(style());
            bar.set_position(start.step as u64);
            bar.reset_eta();
            self.bar = Some(bar);
        }
        if start.step > 0 {
            self.line(&going_on_line(&start))?;
        }
        Ok(())
    }

    fn step(&mut self, report: &StepReport) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            let rate = report.n_images as f64 / report.secs;
            bar.set_message(format!(
                "loss {:.4}  lr {:.2e}  {rate:.0} images/s",
                report.loss, report.learning_rate
            ));
            bar.set_position(report.step as u64);
        } else if report.batch.is_multiple_of(LINE_EVERY) {
            self.line(&format!("Batch [{}], Loss: {:.4}", report.batch, report.loss))?;
        }
        self.project(report)
    }

    /// Says once how long the run will take, from the steps after the first.
    fn project(&mut self, report: &StepReport) -> io::Result<()> {
        let Some(start) = self.start.filter(|_| !self.projected) else { return Ok(()) };
        if report.step > start.step + 1 {
            self.timed.0 += report.secs;
            self.timed.1 += 1;
        }
        if self.timed.1 < PROJECT_AFTER {
            return Ok(());
        }
        self.projected = true;
        let last = self.stop_at.map_or(start.total_steps, |stop| stop.min(start.total_steps));
        let secs_per_step = self.timed.0 / self.timed.1 as f64;
        let left = last.saturating_sub(report.step) as f64 * secs_per_step;
        self.line(&format!(
            "About {} of training to go ({:.0} ms a step)",
            duration(left),
            1000.0 * secs_per_step
        ))
    }

    fn epoch(&mut self, report: &EpochReport<'_>) -> io::Result<()> {
        let epochs = self.start.map_or(0, |start| start.epochs);
        self.line(&epoch_line(report, epochs))
    }
}

impl Observer for Progress<'_> {
    fn observe(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Start(start) => self.begin(*start),
            Event::Step(report) => self.step(report),
            Event::Epoch(report) => self.epoch(report),
            Event::EarlyStop { patience } => self.line(&early_stop_line(*patience)),
            Event::StepTensors(_) => Ok(()),
            Event::Saved { path, step, .. } => {
                tracing::debug!(path = %path.display(), step, "saved");
                Ok(())
            }
        }
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What is said of a run that goes on.
pub(crate) fn going_on_line(start: &Start) -> String {
    format!(
        "Going on after step {} of {}",
        grouped(start.step as u64),
        grouped(start.total_steps as u64)
    )
}

/// What is said of an epoch, one of `epochs`.
pub(crate) fn epoch_line(report: &EpochReport<'_>, epochs: u32) -> String {
    let mut text = format!(
        "Epoch {}/{epochs}: training loss {:.4}, accuracy {}",
        report.epoch,
        report.train_loss,
        percent(report.train_accuracy)
    );
    if let Some(validation) = &report.validation {
        text += &format!(
            "; validation loss {:.4}, accuracy {}",
            validation.loss,
            percent(validation.accuracy)
        );
        if validation.is_best {
            text += " (best)";
        }
    }
    format!("{text}; {:.0} images/s", report.images_per_second)
}

/// What is said of a run that ends before its last epoch.
pub(crate) fn early_stop_line(patience: u32) -> String {
    format!("No better validation accuracy for {patience} epochs: stopping early")
}

fn style() -> ProgressStyle {
    let style =
        ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_parses() {
        ProgressStyle::with_template(TEMPLATE).unwrap();
    }
}
