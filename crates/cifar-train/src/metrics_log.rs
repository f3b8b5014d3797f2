//! `metrics.jsonl` and `metrics.csv`: every step and epoch of a run, for other programs.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use cifar_files::PendingFile;
use serde::{Deserialize, Serialize};

use crate::event::{EpochReport, Event, Observer, StepReport};

/// Writes one JSON object a line: `{"event":"step",…}` with the fields of [`StepReport`] and
/// `{"event":"epoch",…}` with those of [`EpochReport`].
///
/// Each line is one write, so a killed process loses no line it has told of.
#[derive(Debug)]
pub struct JsonLines {
    file: File,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Line<'a> {
    Step(&'a StepReport),
    Epoch(&'a EpochReport<'a>),
}

#[derive(Deserialize)]
struct StepOf {
    step: usize,
}

impl JsonLines {
    /// Appends to `path`, after dropping what an interrupted run wrote past step `step`, so that
    /// the steps it repeats do not stand there twice.
    ///
    /// # Errors
    /// The system's, naming nothing; the caller knows `path`.
    pub fn open(path: &Path, step: usize) -> io::Result<Self> {
        let keep = |line: &str| serde_json::from_str::<StepOf>(line).is_ok_and(|l| l.step <= step);
        Ok(Self { file: open_kept(path, keep)? })
    }
}

impl Observer for JsonLines {
    fn observe(&mut self, event: &Event<'_>) -> io::Result<()> {
        let line = match event {
            Event::Step(report) => Line::Step(report),
            Event::Epoch(report) => Line::Epoch(report),
            _ => return Ok(()),
        };
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}

const CSV_HEADER: &str =
    "step,epoch,batch,loss,accuracy,learning_rate,gradient_norm,images_per_second";

/// Writes one row a step, for spreadsheets.
#[derive(Debug)]
pub struct Csv {
    file: File,
}

impl Csv {
    /// Appends to `path`, after dropping rows past step `step`; writes the header first.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path, step: usize) -> io::Result<Self> {
        let of_row =
            |line: &str| line.split(',').next().and_then(|cell| cell.parse::<usize>().ok());
        let keep = |line: &str| line == CSV_HEADER || of_row(line).is_some_and(|s| s <= step);
        let mut file = open_kept(path, keep)?;
        if file.metadata()?.len() == 0 {
            writeln!(file, "{CSV_HEADER}")?;
        }
        Ok(Self { file })
    }
}

impl Observer for Csv {
    fn observe(&mut self, event: &Event<'_>) -> io::Result<()> {
        let Event::Step(r) = event else { return Ok(()) };
        let rate = r.n_images as f64 / r.secs;
        let row = format!(
            "{},{},{},{},{},{},{},{rate:.1}\n",
            r.step, r.epoch, r.batch, r.loss, r.accuracy, r.learning_rate, r.gradient_norm
        );
        self.file.write_all(row.as_bytes())
    }
}

/// Opens `path` for appending, with only those whole lines left that `keep` wants.
fn open_kept(path: &Path, keep: impl Fn(&str) -> bool) -> io::Result<File> {
    if path.exists() {
        let mut out = io::BufWriter::new(PendingFile::create(path)?);
        for line in BufReader::new(File::open(path)?).lines() {
            let line = line?;
            if keep(&line) {
                writeln!(out, "{line}")?;
            }
        }
        out.into_inner()?.commit()?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::StepTimes;

    fn step(step: usize) -> StepReport {
        StepReport {
            step,
            epoch: 1,
            batch: step,
            loss: 2.0,
            accuracy: 0.5,
            learning_rate: 0.1,
            momentum: None,
            gradient_norm: 1.0,
            n_images: 8,
            secs: 0.5,
            times: StepTimes::at_once(),
        }
    }

    fn steps_in(path: &Path) -> Vec<usize> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str::<StepOf>(line).unwrap().step).collect()
    }

    #[test]
    fn a_resumed_log_repeats_no_step_and_drops_a_half_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let mut log = JsonLines::open(&path, 0).unwrap();
        for i in 1..=5 {
            log.observe(&Event::Step(step(i))).unwrap();
        }
        log.file.write_all(b"{\"event\":\"step\",\"st").unwrap();
        let mut log = JsonLines::open(&path, 3).unwrap();
        log.observe(&Event::Step(step(4))).unwrap();
        assert_eq!(steps_in(&path), [1, 2, 3, 4]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn csv_has_one_header_over_all_sittings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.csv");
        for sitting in 0..2 {
            let mut csv = Csv::open(&path, sitting).unwrap();
            csv.observe(&Event::Step(step(sitting + 1))).unwrap();
        }
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{CSV_HEADER}\n1,1,1,2,0.5,0.1,1,16.0\n2,1,2,2,0.5,0.1,1,16.0\n"));
    }
}
