//! `cifar eval`: how well trained weights do.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use cifar_data::{DataSource, Loader};
use cifar_metrics::{ConfusedPair, Evaluation};
use cifar_report::{CellText, Format, confusion_matrix};
use cifar_train::{Recipe, TestTimeAugmentation, evaluate_views};
use serde::Serialize;

use crate::args::{EvalArgs, SplitName};
use crate::console::Console;
use crate::{host, session, tables};

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
    let (recipe, weights) = session::trained(&args.trained)?;
    let (device, _) = host::device(&args.compute)?;
    let data = session::open_data(&args.source, console)?;
    let class_names = recipe.class_names();
    let loader = images(args, &data, &recipe, &class_names)?;
    let model = session::load_model(&recipe, class_names.len(), &weights, &device)?;
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

fn images(
    args: &EvalArgs,
    data: &DataSource,
    recipe: &Recipe,
    class_names: &[String],
) -> anyhow::Result<Loader> {
    match args.split {
        SplitName::Test => session::whole_eval_loader(&Arc::new(data.test(class_names)?), recipe),
        SplitName::Validation => {
            let train = Arc::new(data.train(class_names)?);
            let validation = session::split(&train, recipe)?.validation;
            if validation.is_empty() {
                bail!(
                    "recipe {} holds out no validation images (data.validation = 0); use --split test",
                    recipe.name
                );
            }
            session::eval_loader(&train, validation, recipe)
        }
    }
}

fn split_name(args: &EvalArgs) -> &'static str {
    match args.split {
        SplitName::Test => "test",
        SplitName::Validation => "validation",
    }
}
