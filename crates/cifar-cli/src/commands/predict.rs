//! `cifar predict`: what pictures show.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use candle_core::Device;
use cifar_data::{DecodeAhead, ImageFileError, Normalization, SIDE, image_file};
use cifar_metrics::{ConfusedPair, Evaluation, Evaluator, ranking};
use cifar_models::Model;
use cifar_train::{Predictor, Recipe, TestTimeAugmentation};
use serde::Serialize;

use crate::args::PredictArgs;
use crate::console::{self, Console};
use crate::tables::{self, grouped};
use crate::{host, session};
use inputs::{Input, Inputs, STANDARD_INPUT};
use output::Output;

mod inputs;
mod output;

/// Exit code where some of the files could not be read.
const SOME_FAILED: u8 = 3;

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    weights: &'a Path,
    model: &'a str,
    class_names: &'a [String],
    images: &'a [Predicted],
    failures: &'a [Failure],
    /// Of the images whose true class is known; null where there is none.
    evaluation: Option<&'a Evaluation>,
    most_confused: Vec<ConfusedPair>,
    /// Reading and predicting, without the start of the program.
    secs: f64,
    images_per_second: f64,
    peak_rss_bytes: Option<u64>,
}

/// What an image shows.
#[derive(Debug, Serialize)]
struct Predicted {
    image: String,
    true_class: Option<String>,
    /// The most probable first.
    predictions: Vec<Prediction>,
}

#[derive(Debug, Serialize)]
struct Prediction {
    class: String,
    probability: f64,
}

/// A file that shows nothing.
#[derive(Debug, Serialize)]
struct Failure {
    image: String,
    error: String,
}

pub(crate) fn run(args: &PredictArgs, console: &mut Console) -> anyhow::Result<ExitCode> {
    if args.top_k == 0 {
        bail!("--top-k is 0, expected at least 1");
    }
    let (recipe, weights) = session::trained(&args.trained)?;
    let (device, _) = host::device(&args.compute)?;
    let class_names = recipe.class_names();
    let model = session::load_model(&recipe, class_names.len(), &weights, &device)?;
    let begun = Instant::now();
    let inputs = Inputs::find(&args.images, &class_names)?;
    for note in &inputs.notes {
        console.line(console::printable(note))?;
    }
    let output = Output::new(args, &inputs.files, &class_names);
    let mut work = Work { class_names: &class_names, output, console, done: Done::default() };
    work.predict(inputs, &model, &recipe, args, &device)?;
    let Work { output, done: Done { n_read, failures, evaluator, .. }, .. } = work;
    let secs = begun.elapsed().as_secs_f64();

    let evaluation = evaluator.map(Evaluator::finish);
    if let Some(evaluation) = &evaluation {
        console.line(format!("\n{}", tables::evaluation(evaluation, &class_names)))?;
    }
    let speed = n_read as f64 / secs;
    if n_read > 1 {
        let n = grouped(n_read as u64);
        console.line(format!("\n{n} images in {}, {speed:.0} a second", tables::duration(secs)))?;
    }
    if !failures.is_empty() && n_read > 0 {
        let n = failures.len();
        console.line(format!("{n} of {} could not be read", n_read + n))?;
    }
    if args.json {
        console.document(&Report {
            weights: &weights,
            model: &recipe.model,
            class_names: &class_names,
            images: &output.into_collected(),
            failures: &failures,
            most_confused: evaluation
                .as_ref()
                .map_or_else(Vec::new, |evaluation| evaluation.confusion.most_confused(5)),
            evaluation: evaluation.as_ref(),
            secs,
            images_per_second: speed,
            peak_rss_bytes: host::peak_rss_bytes(),
        })?;
    }
    Ok(match (failures.is_empty(), n_read) {
        (true, _) => ExitCode::SUCCESS,
        (false, 0) => ExitCode::FAILURE,
        (false, _) => ExitCode::from(SOME_FAILED),
    })
}

/// The state of a prediction.
struct Work<'a> {
    class_names: &'a [String],
    output: Output,
    console: &'a mut Console,
    done: Done,
}

#[derive(Default)]
struct Done {
    n_read: usize,
    failures: Vec<Failure>,
    /// There once an image has a true class.
    evaluator: Option<Evaluator>,
}

impl Work<'_> {
    /// Decodes the files ahead of the network, and writes down what each shows.
    fn predict(
        &mut self,
        inputs: Inputs,
        model: &Model,
        recipe: &Recipe,
        args: &PredictArgs,
        device: &Device,
    ) -> anyhow::Result<()> {
        let views = args.tta.map(Into::into).or(recipe.test_time_augmentation);
        let views = views.unwrap_or(TestTimeAugmentation::None);
        let learner = session::learner(model);
        let mut predictor = Predictor::new(learner, device, recipe.arithmetic(), views)?;
        self.output.begin(self.console)?;
        for (path, error) in inputs.problems {
            self.skip(path, error)?;
        }
        let files = Arc::new(inputs.files);
        let (normalization, to_decode) = (recipe.data.normalization, Arc::clone(&files));
        let decode = move |index: usize| decoded(&to_decode[index], &normalization);
        let ahead = DecodeAhead::new(files.len(), session::EVAL_BATCH_SIZE, decode);
        let mut images = Vec::new();
        for (batch, files) in ahead.zip(files.chunks(session::EVAL_BATCH_SIZE)) {
            images.clear();
            let mut read = Vec::new();
            for (image, file) in batch.into_iter().zip(files) {
                match image {
                    Ok(values) => {
                        images.extend(values);
                        read.push(file);
                    }
                    Err(error) => self.skip(file.path.clone(), error)?,
                }
            }
            if read.is_empty() {
                continue;
            }
            let logits = predictor.logits(&images)?;
            for (file, logits) in read.iter().zip(logits.chunks_exact(self.class_names.len())) {
                self.predicted(file, logits)
                    .with_context(|| format!("cannot predict {}", file.path.display()))?;
            }
        }
        Ok(())
    }

    fn predicted(&mut self, file: &Input, logits: &[f32]) -> anyhow::Result<()> {
        let n_classes = logits.len();
        if logits.iter().any(|logit| !logit.is_finite()) {
            bail!("the network's answer is not finite; its weights are damaged");
        }
        if let Some(truth) = file.truth {
            let evaluator = &mut self.done.evaluator;
            let evaluator = evaluator.get_or_insert_with(|| Evaluator::new(n_classes));
            evaluator.add_batch(logits, &[truth])?;
        }
        self.done.n_read += 1;
        let prediction = |(class, probability): (usize, f64)| Prediction {
            class: self.class_names[class].clone(),
            probability,
        };
        self.output.predicted(
            self.console,
            Predicted {
                image: file.path.display().to_string(),
                true_class: file.truth.map(|truth| self.class_names[truth as usize].clone()),
                predictions: ranking(logits)
                    .into_iter()
                    .take(self.output.top_k)
                    .map(prediction)
                    .collect(),
            },
        )
    }

    /// Tells of a file that cannot be read; the others do not suffer from it.
    fn skip(&mut self, path: PathBuf, error: impl Into<anyhow::Error>) -> anyhow::Result<()> {
        let error = error.into();
        console::report_skipped(&error);
        let (image, error) = (path.display().to_string(), format!("{error:#}"));
        let failure = Failure { image, error };
        self.output.failed(self.console, &failure)?;
        self.done.failures.push(failure);
        Ok(())
    }
}

/// What the network is given of a file.
fn decoded(file: &Input, normalization: &Normalization) -> anyhow::Result<Vec<f32>> {
    Ok(normalization.apply(&pixels(file)?)?)
}

fn pixels(file: &Input) -> Result<Vec<u8>, ImageFileError> {
    let picture = if file.is_standard_input {
        image_file::read_from(std::io::stdin().lock(), Path::new(STANDARD_INPUT), SIDE, SIDE)
    } else {
        image_file::read(&file.path, SIDE, SIDE)
    };
    Ok(picture?.pixels)
}
