//! `cifar lr-find`: which learning rates are worth trying for a recipe.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use cifar_report::{Drawing, LrMark, LrRangePoint, lr_range};
use cifar_train::{LrPoint, LrRange, LrSweep, lr_range_test};
use serde::Serialize;

use crate::args::LrFindArgs;
use crate::console::Console;
use crate::{host, pictures, recipes, session};

/// Lines of progress over a sweep.
const LINES: usize = 10;

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    recipe: &'a str,
    /// The recipe's base or peak learning rate.
    learning_rate: f64,
    #[serde(flatten)]
    range: &'a LrRange,
    files: &'a [PathBuf],
}

pub(crate) fn run(args: &LrFindArgs, console: &mut Console) -> anyhow::Result<()> {
    let sweep = LrSweep::new(args.from, args.to, args.steps)?;
    let recipe = recipes::load(&args.recipe, &args.set)?;
    let (device, _) = host::device(&args.compute)?;
    let data = session::open_data(&args.source, console)?;
    let recipe = session::settled(recipe, &data)?;
    let dataset = Arc::new(data.train(&recipe.class_names())?);
    let indices = session::split(&dataset, &recipe)?.train;
    let model = session::untrained_model(&recipe, &dataset, &indices, &device)?;
    let loader = session::train_loader(&dataset, indices, &recipe)?;
    let (every, mut n_done, mut told) = ((sweep.steps() / LINES).max(1), 0, Ok(()));
    let mut tell = |point: &LrPoint| {
        n_done += 1;
        if n_done % every == 0 && told.is_ok() {
            told = console.line(format!(
                "Step {n_done}: learning rate {:.1e}, loss {:.4}",
                point.learning_rate, point.loss
            ));
        }
    };
    let learner = session::learner(&model);
    let range = lr_range_test(&learner, &loader, &recipe, &device, sweep, &mut tell)?;
    told?;
    let title = format!("Learning rates for {}", recipe.name);
    let files = save(args, &title, &range)?;
    let learning_rate = recipe.optimizer.learning_rate();
    console.line(format!("\n{}", verdict(&range, learning_rate)))?;
    for file in &files {
        console.line(format!("Wrote {}", file.display()))?;
    }
    let report = Report { recipe: &recipe.name, learning_rate, range: &range, files: &files };
    Ok(console.document(&report)?)
}

/// The suggestions, what they mean, and the recipe's own value beside them.
fn verdict(range: &LrRange, learning_rate: f64) -> String {
    let row = |name: &str, value: Option<f64>, meaning: &str| {
        let value = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1e}"));
        format!("{name:<22}{value:>8}  {meaning}\n")
    };
    let mut text =
        row("steepest descent", range.steepest, "where the loss falls fastest: often a good peak");
    text += &row(
        "lowest loss / 10",
        range.min_tenth,
        "a tenth of where the loss is lowest: often a good constant",
    );
    text += &row("the recipe's", Some(learning_rate), "optimizer.learning-rate");
    text += match range.diverged {
        true => "The loss diverged, so the sweep ended there.",
        false => "The loss did not diverge; try a larger --to.",
    };
    text
}

pub(crate) fn drawing(title: &str, range: &LrRange) -> Drawing {
    let point = |point: &LrPoint| LrRangePoint {
        learning_rate: point.learning_rate,
        loss: point.loss,
        smoothed: point.smoothed,
    };
    let points: Vec<LrRangePoint> = range.points.iter().map(point).collect();
    let mark = |name: &str, value: Option<f64>| {
        value.map(|learning_rate| LrMark {
            name: format!("{name}: {learning_rate:.1e}"),
            learning_rate,
        })
    };
    let marks = [mark("steepest", range.steepest), mark("lowest / 10", range.min_tenth)];
    lr_range(title, &points, &marks.into_iter().flatten().collect::<Vec<_>>())
}

fn save(args: &LrFindArgs, title: &str, range: &LrRange) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = pictures::save(&args.out, "lr_find", &drawing(title, range), args.format)?;
    let path = args.out.join("lr_find.csv");
    write_csv(&path, range).with_context(|| format!("cannot write {}", path.display()))?;
    files.push(path);
    Ok(files)
}

fn write_csv(path: &Path, range: &LrRange) -> anyhow::Result<()> {
    let mut text = "learning_rate,loss,smoothed\n".to_owned();
    for point in &range.points {
        writeln!(text, "{:e},{},{}", point.learning_rate, point.loss, point.smoothed)?;
    }
    Ok(cifar_files::write(path, text.as_bytes())?)
}
