//! A run as TensorBoard shows it: the engine's events in an event file.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use candle_core::{DType, Tensor};
use cifar_data::Normalization;
use cifar_metrics::{ConfusionMatrix, Evaluation};
use cifar_report::tensorboard::{EventFileError, EventWriter, Hparam};
use cifar_report::{CellText, Drawing, confusion_matrix, first_layer_filters};
use cifar_train::{
    EpochReport, Event, Observer, Recipe, RunFolder, Start, StepReport, StepTensors,
};

use crate::{pictures, recipe_keys};

/// Pictures of the training batch that are shown.
const BATCH_SHOWN: usize = 32;

/// Writes what a sitting of a run does to an event file in the run's folder.
pub(crate) struct Board {
    folder: PathBuf,
    config: String,
    hparams: Vec<(String, Hparam)>,
    class_names: Arc<[String]>,
    normalization: Normalization,
    with_histograms: bool,
    start: Option<Start>,
    /// There from the first step on: a sitting that trains nothing leaves no file.
    writer: Option<EventWriter>,
}

impl Board {
    /// # Errors
    /// A recipe that has no TOML form.
    pub(crate) fn new(
        run: &RunFolder,
        recipe: &Recipe,
        class_names: &[String],
        with_histograms: bool,
    ) -> anyhow::Result<Self> {
        let config = recipe.to_toml()?;
        Ok(Self {
            folder: run.path().to_owned(),
            hparams: hparams(&config.parse()?),
            config,
            class_names: class_names.into(),
            normalization: recipe.data.normalization,
            with_histograms,
            start: None,
            writer: None,
        })
    }

    /// The result on the test images, after `step` steps, and the `mistakes` among it.
    pub(crate) fn test(&mut self, step: usize, test: &Evaluation, mistakes: Drawing) {
        let names = Arc::clone(&self.class_names);
        let Some(writer) = &mut self.writer else { return };
        writer.scalars(step, &[("test/accuracy", test.top1), ("test/loss", test.loss)]);
        draw_confusion(writer, "images/confusion_matrix_test", step, names, &test.confusion);
        writer.image("images/mistakes_test", step, move || mistakes);
    }

    /// The run has come to its end after `step` steps.
    pub(crate) fn end_of_run(&mut self, step: usize) {
        if let Some(writer) = &mut self.writer {
            writer.end_of_run(step);
        }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// What kept the file from being whole.
    pub(crate) fn finish(self) -> Result<(), EventFileError> {
        self.writer.map_or(Ok(()), EventWriter::finish)
    }

    fn begin(&self) -> EventWriter {
        let step = self.start.map_or(0, |start| start.step);
        let mut writer = EventWriter::create(&self.folder, step);
        if step == 0 {
            writer.text("config", 0, format!("```toml\n{}```\n", self.config));
            writer.hparams(self.hparams.clone());
        }
        writer
    }

    fn step(&mut self, report: &StepReport) {
        let mut writer = self.writer.take().unwrap_or_else(|| self.begin());
        writer.scalars(
            report.step,
            &[
                ("step/loss", report.loss),
                ("step/learning_rate", report.learning_rate),
                ("step/gradient_norm", report.gradient_norm),
                ("step/images_per_second", report.n_images as f64 / report.secs),
            ],
        );
        self.writer = Some(writer);
    }

    fn tensors(&mut self, tensors: &StepTensors<'_>) {
        let Some(writer) = &mut self.writer else { return };
        let StepReport { step, epoch, batch, .. } = *tensors.report;
        if batch == 1 {
            let shown = pictures::first(tensors.batch, BATCH_SHOWN);
            let (names, normalization) = (Arc::clone(&self.class_names), self.normalization);
            let title = format!("First training batch of epoch {epoch}");
            writer.image("images/train_batch", step, move || {
                pictures::batch(&title, &shown, &normalization, &names)
            });
        }
        if self.start.is_some_and(|start| batch == start.steps_per_epoch) {
            draw_filters(writer, tensors);
            if self.with_histograms {
                write_histograms(writer, tensors);
            }
        }
    }

    fn epoch(&mut self, report: &EpochReport<'_>) {
        let Some(writer) = &mut self.writer else { return };
        let mut scalars = vec![
            ("epoch/train_loss", report.train_loss),
            ("epoch/train_accuracy", report.train_accuracy),
        ];
        if let Some(validation) = &report.validation {
            scalars.push(("epoch/validation_loss", validation.loss));
            scalars.push(("epoch/validation_accuracy", validation.accuracy));
            let names = Arc::clone(&self.class_names);
            let confusion = &validation.evaluation.confusion;
            let tag = "images/confusion_matrix_validation";
            draw_confusion(writer, tag, report.step, names, confusion);
        }
        writer.scalars(report.step, &scalars);
        writer.flush();
    }
}

impl Observer for Board {
    fn observe(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Start(start) => self.start = Some(*start),
            Event::Step(report) => self.step(report),
            Event::StepTensors(tensors) => self.tensors(tensors),
            Event::Epoch(report) => self.epoch(report),
            // What a resumed run will not tell again should be on disk with the checkpoint.
            Event::Saved { .. } => {
                if let Some(writer) = &mut self.writer {
                    writer.flush();
                }
            }
            Event::EarlyStop { .. } => {}
        }
        Ok(())
    }
}

fn draw_confusion(
    writer: &mut EventWriter,
    tag: &'static str,
    step: usize,
    class_names: Arc<[String]>,
    confusion: &ConfusionMatrix,
) {
    let (title, confusion) = (format!("Confusion matrix after step {step}"), confusion.clone());
    writer.image(tag, step, move || {
        confusion_matrix(&title, &class_names, &confusion, CellText::Count)
    });
}

/// The filters of the first convolution, where it sees the three colours.
fn draw_filters(writer: &mut EventWriter, tensors: &StepTensors<'_>) {
    let filters = tensors.variables.iter().find_map(|variable| match *variable.var.dims() {
        [k, 3, h, w] => Some((variable, [k, 3, h, w])),
        _ => None,
    });
    let Some((variable, shape)) = filters else { return };
    let Some(values) = values(&variable.var) else { return };
    let step = tensors.report.step;
    let title = format!("{} after step {step}", variable.name);
    writer.image("images/first_layer", step, move || first_layer_filters(&title, &values, shape));
}

fn write_histograms(writer: &mut EventWriter, tensors: &StepTensors<'_>) {
    let trained = tensors.variables.iter().filter(|variable| variable.trainable);
    for (variable, gradient) in trained.zip(tensors.gradients) {
        for (kind, tensor) in [("weights", variable.var.as_tensor()), ("gradients", gradient)] {
            if let Some(values) = values(tensor) {
                let tag = format!("{kind}/{}", variable.name);
                writer.histogram(tag, tensors.report.step, &values);
            }
        }
    }
}

/// The values of a tensor. One that cannot be read is left out: the next step fails on it anyway,
/// with the better message.
fn values(tensor: &Tensor) -> Option<Vec<f32>> {
    let read = || tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1();
    read().ok()
}

/// The recipe's keys, dotted, with their values.
fn hparams(recipe: &toml::Table) -> Vec<(String, Hparam)> {
    let hparam = |value| match value {
        toml::Value::Integer(number) => Hparam::Number(number as f64),
        toml::Value::Float(number) => Hparam::Number(number),
        toml::Value::Boolean(bool) => Hparam::Bool(bool),
        toml::Value::String(text) => Hparam::Text(text),
        other => Hparam::Text(other.to_string()),
    };
    recipe_keys::dotted(recipe).into_iter().map(|(key, value)| (key, hparam(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hyperparameters_are_the_recipes_dotted_keys() {
        let recipe = "seed = 1\n[optimizer]\nkind = \"sgd\"\nnesterov = true\nlearning-rate = 0.5\n\
                      [data.normalization]\nmean = [0.5, 0.25]";
        let text = |text: &str| Hparam::Text(text.to_owned());
        let mut found = hparams(&recipe.parse().unwrap());
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let expected = [
            ("data.normalization.mean", text("[0.5, 0.25]")),
            ("optimizer.kind", text("sgd")),
            ("optimizer.learning-rate", Hparam::Number(0.5)),
            ("optimizer.nesterov", Hparam::Bool(true)),
            ("seed", Hparam::Number(1.0)),
        ];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value)));
    }
}
