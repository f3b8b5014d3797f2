//! `cifar eval`: how well trained weights do.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use cifar_data::{Cifar10, Loader};
use cifar_metrics::{ConfusedPair, Evaluation};
use cifar_report::{CellText, Format, confusion_matrix};
use cifar_train::{Precision, Recipe, RunFolder, TestTimeAugmentation, evaluate_views};
use serde::Serialize;

use crate::args::{EvalArgs, SplitName};
use crate::console::Console;
use crate::{host, recipes, session, tables};

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    weights: &'a PathBuf,
    model: &'a str,
    split: &'a str,
    class_names: &'a [String],
    #[serde(flatten)]
    evaluation: &'a Evaluation,
    most_confused: Vec<ConfusedPair>,
}

pub(crate) fn run(args: &EvalArgs, console: &mut Console) -> anyhow::Result<()> {
    let (recipe, weights) = weights(args)?;
    let (device, _) = host::device(&args.compute)?;
    let data = session::open_data(&args.source, console)?;
    let (loader, class_names) = images(args, &data, &recipe)?;
    let model = session::load_model(&recipe.model, class_names.len(), &weights, &device)?;
    let views = args.tta.map(Into::into).or(recipe.test_time_augmentation);
    let views = views.unwrap_or(TestTimeAugmentation::None);
    let learner = session::learner(&model);
    let evaluation =
        evaluate_views(&learner, &loader, &device, recipe.arithmetic(), views, |_, _| ())?;
    if let Some(path) = &args.confusion_png {
        let title = format!("{} on the {} images", recipe.model, split_name(args));
        let (matrix, text) = (&evaluation.confusion, CellText::Count);
        confusion_matrix(&title, &class_names, matrix, text).save(path, Format::Png)?;
    }
    console.line(format!(
        "{} ({}), {} images",
        weights.display(),
        recipe.model,
        split_name(args)
    ))?;
    console.line(tables::evaluation(&evaluation, &class_names))?;
    if let Some(path) = &args.confusion_png {
        console.line(format!("Wrote {}", path.display()))?;
    }
    console.document(&Report {
        weights: &weights,
        model: &recipe.model,
        split: split_name(args),
        class_names: &class_names,
        most_confused: evaluation.confusion.most_confused(5),
        evaluation: &evaluation,
    })?;
    Ok(())
}

/// The recipe that says model and normalisation, and the file with the weights.
fn weights(args: &EvalArgs) -> anyhow::Result<(Recipe, PathBuf)> {
    if let (Some(path), Some(model)) = (&args.weights, &args.model) {
        let mut recipe = recipes::load(model, &[]).with_context(|| {
            format!("--model {model}: its recipe says how images are normalised")
        })?;
        // Wherever they come from, they get the same figures on every machine.
        recipe.precision.get_or_insert(Precision::F32);
        if !path.is_file() {
            bail!(
                "no weights at {}; give a safetensors file, or one of torch.save's",
                path.display()
            );
        }
        return Ok((recipe, path.clone()));
    }
    let Some(run) = &args.run else { bail!("give --run RUN, or --weights FILE with --model NAME") };
    let run = RunFolder::open(run)?;
    Ok((run.recipe()?, session::weights(&run, args.checkpoint)?))
}

fn images(
    args: &EvalArgs,
    data: &Cifar10,
    recipe: &Recipe,
) -> anyhow::Result<(Loader, Vec<String>)> {
    match args.split {
        SplitName::Test => {
            let test = data.test()?;
            let class_names = test.class_names().to_vec();
            Ok((session::whole_eval_loader(&Arc::new(test), recipe)?, class_names))
        }
        SplitName::Validation => {
            let train = Arc::new(data.train()?);
            let validation = session::split(&train, recipe)?.validation;
            if validation.is_empty() {
                bail!(
                    "recipe {} holds out no validation images (data.validation = 0); use --split test",
                    recipe.name
                );
            }
            let class_names = train.class_names().to_vec();
            Ok((session::eval_loader(&train, validation, recipe)?, class_names))
        }
    }
}

fn split_name(args: &EvalArgs) -> &'static str {
    match args.split {
        SplitName::Test => "test",
        SplitName::Validation => "validation",
    }
}
