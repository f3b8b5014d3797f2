//! A run, or several, as one web page that needs nothing but itself: style, script, curves and
//! pictures are in the file, and its policy forbids it to load anything.
//!
//! Every text that comes from a recipe or a data set passes through the template's escaping.

mod compare_page;
mod confusion;
mod facts;
mod gallery;
mod insight;
mod plot;
mod run_page;
mod shell;
mod sprites;
mod suspects;
#[cfg(test)]
mod tests;
mod time;

use std::io::Write;
use std::path::Path;

use cifar_metrics::{Evaluation, Verdict};

use crate::curves::{EpochPoint, StepPoint};
use crate::run_curves::RunCurves;
use crate::save::{ReportError, save};

pub use self::insight::{Filters, Insight, worth_explaining};

/// A web page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Html(String);

impl Html {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Saves the page at `path` as [`Drawing::save`](crate::Drawing::save) saves a picture.
    ///
    /// # Errors
    /// If `path` is a folder, its folder does not exist, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ReportError> {
        save(path, |out| out.write_all(self.0.as_bytes()))
    }
}

/// Something with a name and a value, both for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// What it is like, with its unit.
    pub value: String,
}

impl Fact {
    /// A fact from anything that reads as text.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// What a page tells of one run. Whatever is absent is said to be.
#[derive(Debug, Clone)]
pub struct RunReport<'a> {
    /// The page's title.
    pub title: &'a str,
    /// The figures that come first.
    pub headline: Vec<Fact>,
    /// What could not be told, and why, in words.
    pub missing: Vec<String>,
    /// The command that does the run again.
    pub command: &'a str,
    /// What there is to know about the command.
    pub command_note: &'a str,
    /// The recipe as TOML.
    pub config: &'a str,
    /// Names of the classes.
    pub class_names: &'a [String],
    /// What the data are like.
    pub data: Option<DataReport>,
    /// Every optimiser step.
    pub steps: &'a [StepPoint],
    /// Every validation.
    pub validation: &'a [EpochPoint],
    /// The figures of the test.
    pub evaluation: Option<&'a Evaluation>,
    /// What became of each test image.
    pub tested: Option<TestedImages<'a>>,
    /// What goes on in the network; shown where `tested` is.
    pub insight: Option<&'a Insight>,
    /// The training images that were hardest to learn.
    pub suspects: Option<Suspects<'a>>,
    /// How long steps and run took.
    pub timing: Vec<Fact>,
    /// What the run's time went into: the name of each part, and its seconds.
    pub time_parts: Vec<(String, f64)>,
    /// What it ran on.
    pub environment: Vec<Fact>,
}

/// Test images and what the network made of them.
#[derive(Debug, Clone, Copy)]
pub struct TestedImages<'a> {
    /// One for each image.
    pub verdicts: &'a [Verdict],
    /// 3072 bytes an image: planes R, G, B of 32 x 32, each row-major.
    pub pixels: &'a [u8],
}

/// Training images whose labels may be wrong.
#[derive(Debug, Clone)]
pub struct Suspects<'a> {
    /// The suspects, the first one first: what the network makes of an image now, and the mean of
    /// its loss over the epochs, in nats.
    pub examples: Vec<(Verdict, f64)>,
    /// Epochs in which the first was trained on.
    pub n_epochs: u32,
    /// As in [`TestedImages`], of the training images.
    pub pixels: &'a [u8],
}

/// What the data are like.
#[derive(Debug, Clone, PartialEq)]
pub struct DataReport {
    /// The parts of the data set, each with its number of images per class.
    pub parts: Vec<(String, Vec<usize>)>,
    /// Mean of the red, green and blue values of the training images, in `0..=1`.
    pub mean: [f64; 3],
    /// Their standard deviation.
    pub std: [f64; 3],
}

/// What a page tells of several runs.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What the columns show, for each run in turn.
    pub columns: Vec<String>,
    /// One row per run, with a cell per column.
    pub rows: Vec<Vec<String>>,
    /// Recipe keys whose values differ, each with the value of every run.
    pub differences: Vec<(String, Vec<String>)>,
    /// What the time went into, part by part, each with a cell for every run.
    pub times: Vec<(String, Vec<String>)>,
    /// The curves of each run.
    pub curves: Vec<RunCurves>,
    /// What could not be told, and why, in words.
    pub missing: Vec<String>,
}

impl RunReport<'_> {
    /// The page.
    ///
    /// # Panics
    /// If an evaluation or a list of counts is not of as many classes as there are names, or a
    /// verdict is of an image that is not among the pixels.
    pub fn to_html(&self) -> Html {
        Html(run_page::page(self).into_string())
    }
}

impl Comparison {
    /// The page.
    pub fn to_html(&self) -> Html {
        Html(compare_page::page(self).into_string())
    }
}
