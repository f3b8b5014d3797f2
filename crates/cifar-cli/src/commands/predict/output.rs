//! Predictions as a table, as CSV or for a JSON document.

use super::inputs::Input;
use super::{Failure, Predicted, Prediction};
use crate::args::PredictArgs;
use crate::console::{Console, printable};
use crate::tables::percent;

/// Where predictions go: rows leave at once, so that memory does not grow with them.
pub(super) struct Output {
    form: Form,
    /// Classes of each image.
    pub(super) top_k: usize,
}

enum Form {
    Table { image_width: usize, class_width: usize, with_truth: bool },
    Csv,
    Collected(Vec<Predicted>),
}

/// A percentage with two digits is no wider.
const PERCENT_WIDTH: usize = 8;

impl Output {
    pub(super) fn new(args: &PredictArgs, files: &[Input], class_names: &[String]) -> Self {
        let width = |text: &str| printable(text).chars().count();
        let form = match (args.json, args.csv) {
            (true, _) => Form::Collected(Vec::new()),
            (_, true) => Form::Csv,
            _ => {
                let images = files.iter().map(|file| width(&file.path.display().to_string()));
                let classes = class_names.iter().map(|name| width(name));
                Form::Table {
                    image_width: images.max().unwrap_or(0).max("image".len()),
                    class_width: classes.max().unwrap_or(0).max("true class".len()),
                    with_truth: files.iter().any(|file| file.truth.is_some()),
                }
            }
        };
        Self { form, top_k: args.top_k.min(class_names.len()) }
    }

    /// Writes the names of the columns.
    pub(super) fn begin(&self, console: &mut Console) -> anyhow::Result<()> {
        let places = 1..=self.top_k;
        match &self.form {
            Form::Table { image_width, class_width, with_truth } => {
                let truth = if *with_truth {
                    format!("  {:<class_width$}", "true class")
                } else {
                    String::new()
                };
                let place_width = class_width + 1 + PERCENT_WIDTH;
                let places: String =
                    places.map(|place| format!("  {place:<place_width$}")).collect();
                let header = format!("{:<image_width$}{truth}{places}", "image");
                console.line(header.trim_end())?;
                console.line("-".repeat(header.chars().count()))?;
            }
            Form::Csv => {
                let places: String =
                    places.map(|place| format!(",class_{place},probability_{place}")).collect();
                console.document_line(&format!("image,true_class{places},error"))?;
            }
            Form::Collected(_) => {}
        }
        Ok(())
    }

    pub(super) fn predicted(
        &mut self,
        console: &mut Console,
        predicted: Predicted,
    ) -> anyhow::Result<()> {
        let Predicted { image, true_class, predictions } = &predicted;
        let truth = true_class.as_deref().unwrap_or_default();
        match &mut self.form {
            Form::Table { image_width, class_width, with_truth } => {
                let mut line = format!("{:<image_width$}", printable(image));
                if *with_truth {
                    line += &format!("  {:<class_width$}", printable(truth));
                }
                for Prediction { class, probability } in predictions {
                    let (class, percent) = (printable(class), percent(*probability));
                    line += &format!("  {class:<class_width$} {percent:>PERCENT_WIDTH$}");
                }
                console.line(line)?;
            }
            Form::Csv => {
                let mut line = format!("{},{}", cell(image), cell(truth));
                for Prediction { class, probability } in predictions {
                    line += &format!(",{},{probability:.6}", cell(class));
                }
                console.document_line(&(line + ","))?;
            }
            Form::Collected(all) => all.push(predicted),
        }
        Ok(())
    }

    /// A file that could not be read.
    pub(super) fn failed(&self, console: &mut Console, failure: &Failure) -> anyhow::Result<()> {
        if let Form::Csv = self.form {
            let (image, error) = (cell(&failure.image), cell(&failure.error));
            let nothing = ",".repeat(1 + 2 * self.top_k);
            console.document_line(&format!("{image}{nothing},{error}"))?;
        }
        Ok(())
    }

    /// What was kept for the JSON document.
    pub(super) fn into_collected(self) -> Vec<Predicted> {
        match self.form {
            Form::Collected(all) => all,
            Form::Table { .. } | Form::Csv => Vec::new(),
        }
    }
}

/// A cell of CSV, in quotation marks where it needs them (RFC 4180).
fn cell(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
