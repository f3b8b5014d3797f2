//! `cifar train`: a new run, or more of an old one.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use candle_core::Device;
use cifar_data::DataSource;
use cifar_metrics::surest_mistakes;
use cifar_models::Model;
use cifar_train::{
    CheckpointStore, Csv, JsonLines, Limits, Observer, Outcome, Precision, Recipe, RunFolder, Slot,
    Summary, Surroundings, Trainer,
};
use serde::Serialize;

use crate::args::TrainArgs;
use crate::console::Console;
use crate::dashboard::{self, About, Dashboard};
use crate::progress::Progress;
use crate::tables::{self, grouped};
use crate::tensorboard::Board;
use crate::tested::Test;
use crate::trace::Trace;
use crate::{host, interrupt, pictures, recipes, session};

mod series;

/// The JSON document of an interrupted run.
#[derive(Serialize)]
struct Interrupted {
    interrupted: bool,
    step: usize,
    run: PathBuf,
}

/// How a run ended.
enum Ended {
    /// By itself, or at the step it was to stop at.
    Tested(Box<Summary>),
    Interrupted(Interrupted),
}

pub(crate) fn run(args: &TrainArgs, console: &mut Console) -> anyhow::Result<ExitCode> {
    if let Some(seeds) = &args.seeds {
        return series::run(args, seeds.clone(), console);
    }
    match one(args, console)? {
        Ended::Tested(summary) => {
            console.document(&summary)?;
            Ok(ExitCode::SUCCESS)
        }
        Ended::Interrupted(interrupted) => {
            console.document(&interrupted)?;
            Ok(ExitCode::from(crate::INTERRUPTED))
        }
    }
}

/// One run, from its first step or from where it was.
fn one(args: &TrainArgs, console: &mut Console) -> anyhow::Result<Ended> {
    if args.max_steps == Some(0) {
        bail!("--max-steps is 0, expected at least 1");
    }
    if args.tui {
        dashboard::require_terminal(args.json)?;
    }
    // Everything that can be refused is refused before data are fetched or a folder is made.
    let old_run = args.resume.as_deref().map(RunFolder::open).transpose()?;
    let mut recipe = match &old_run {
        Some(run) => run.recipe()?,
        None => recipes::load(&args.recipe, &settings(args))?,
    };
    let (device, device_name) = host::device(&args.compute)?;
    // Decided once, so that a run that goes on elsewhere stays what it was.
    let precision = if device.is_cpu() { recipe.cpu_precision() } else { Precision::F32 };
    recipe.precision.get_or_insert(precision);
    let data = session::open_data(&args.source, console)?;
    if old_run.is_none() {
        recipe = session::settled(recipe, &data)?;
    }
    let dataset = Arc::new(data.train(&recipe.class_names())?);
    if args.measure_normalization {
        recipe.data.normalization = dataset.channel_statistics().into();
    }
    if let DataSource::Folders(_) = data {
        // A picture that cannot be read must not end a run at its last step.
        data.test(&recipe.class_names())?;
    }
    let split = session::split(&dataset, &recipe)?;
    let model = session::untrained_model(&recipe, &dataset, &split.train, &device)?;
    let train = session::train_loader(&dataset, split.train, &recipe)?;
    let validation = match split.validation.is_empty() {
        true => None,
        false => Some(session::eval_loader(&dataset, split.validation, &recipe)?),
    };
    let run = match old_run {
        Some(run) => run,
        None => RunFolder::create(&out_folder(args, &recipe), &recipe)?,
    };
    let _lock = run.lock()?;
    let (n_images, n_batches) = (train.n_samples(), train.n_batches());
    let checkpoints = run.checkpoints();
    let mut trainer = Trainer::new(
        &recipe,
        session::learner(&model),
        train,
        validation,
        &device,
        Some(checkpoints.clone()),
    )?;
    if checkpoints.contains(Slot::Last) {
        let snapshot = checkpoints.load(Slot::Last)?;
        trainer
            .restore(snapshot)
            .with_context(|| format!("checkpoint {}", checkpoints.path(Slot::Last).display()))?;
    }

    console.line(format!("Run      {}", run.path().display()))?;
    console.line(format!(
        "Device   {device_name}, {} threads, {}",
        rayon::current_num_threads(),
        recipe.cpu_precision()
    ))?;
    console.line(format!(
        "Model    {}, {} parameters",
        recipe.model,
        grouped(session::learner(&model).n_parameters() as u64)
    ))?;
    console.line(format!(
        "Steps    {} ({} epochs x {} batches of {} from {} images)",
        grouped(trainer.state().total_steps as u64),
        recipe.epochs,
        n_batches,
        recipe.batch_size,
        grouped(n_images as u64),
    ))?;

    let mut board = board(args, &run, &recipe, dataset.class_names())?;
    let trace = args.trace.as_deref().map(|path| Trace::create(path, &recipe.name)).transpose()?;
    let about = args.tui.then(|| About {
        recipe: recipe.name.clone(),
        model: recipe.model.clone(),
        n_parameters: session::learner(&model).n_parameters(),
        device: format!("{device_name}, {}", recipe.cpu_precision()),
        threads: rayon::current_num_threads(),
        class_names: dataset.class_names().into(),
        validates: recipe.data.validation > 0,
        stop_at: args.max_steps,
        metrics: run.metrics_jsonl(),
    });
    let outcome = train_to_a_stop(&mut trainer, args, &run, board.as_mut(), trace, about, console)?;
    let state = trainer.state().clone();
    if outcome == Outcome::Interrupted {
        close(board, console)?;
        let hint = resume_hint(&run, args);
        console.line(format!(
            "Stopped by request after step {}; the state is saved. Go on with\n  {hint}",
            state.step
        ))?;
        let (step, run) = (state.step, run.path().to_owned());
        return Ok(Ended::Interrupted(Interrupted { interrupted: true, step, run }));
    }

    let slot = checkpoints.reported();
    let test = test(&data, &recipe, &model, &checkpoints, slot, &device)?;
    if let Some(board) = &mut board {
        let title = format!("Surest mistakes on the test images after step {}", state.step);
        let mistakes = surest_mistakes(&test.verdicts);
        let mistakes = pictures::predictions(&title, &mistakes, &test.images);
        board.test(state.step, &test.evaluation, mistakes);
        if outcome != Outcome::StepLimit {
            board.end_of_run(state.step);
        }
    }
    close(board, console)?;
    let around = Surroundings {
        dataset: data.to_string(),
        device: device_name,
        peak_rss_bytes: host::peak_rss_bytes(),
        git_commit: host::GIT_COMMIT.to_owned(),
        run: run.path().to_owned(),
    };
    let parameters = session::learner(&model).n_parameters();
    let summary =
        Summary::new(&recipe, &state, parameters, &test.evaluation, slot.folder(), around);
    run.write_json("summary.json", &summary)?;
    run.write_json("evaluation.json", &test.evaluation)?;
    console.line(format!("\n{}", tables::summary(&summary)))?;
    if outcome == Outcome::StepLimit {
        console
            .line(format!("Stopped at --max-steps. Go on with\n  {}", resume_hint(&run, args)))?;
    }
    Ok(Ended::Tested(Box::new(summary)))
}

/// The recipe keys that have flags of their own, after those of `--set`.
fn settings(args: &TrainArgs) -> Vec<String> {
    let mut settings = args.set.clone();
    let mut set =
        |key: &str, value: Option<String>| settings.extend(value.map(|v| format!("{key}={v}")));
    set("epochs", args.epochs.map(|v| v.to_string()));
    set("batch-size", args.batch_size.map(|v| v.to_string()));
    set("seed", args.seed.map(|v| v.to_string()));
    settings
}

fn out_folder(args: &TrainArgs, recipe: &Recipe) -> PathBuf {
    match &args.out {
        Some(path) => path.clone(),
        None => PathBuf::from("runs").join(format!(
            "{}-{}-{}",
            recipe.name,
            recipe.seed,
            host::time_stamp()
        )),
    }
}

fn train_to_a_stop(
    trainer: &mut Trainer<'_>,
    args: &TrainArgs,
    run: &RunFolder,
    board: Option<&mut Board>,
    mut trace: Option<Trace>,
    dashboard: Option<About>,
    console: &mut Console,
) -> anyhow::Result<Outcome> {
    let interrupt = interrupt::flag()?;
    let step = trainer.state().step;
    let (jsonl, csv) = (run.metrics_jsonl(), run.metrics_csv());
    let mut jsonl = JsonLines::open(&jsonl, step)
        .with_context(|| format!("cannot write {}", jsonl.display()))?;
    let mut csv =
        Csv::open(&csv, step).with_context(|| format!("cannot write {}", csv.display()))?;
    let mut progress: Box<dyn Observer> = match dashboard {
        Some(about) => Box::new(Dashboard::open(console, about, Arc::clone(&interrupt))?),
        None => Box::new(Progress::new(console, args.max_steps)),
    };
    let mut observers: Vec<&mut dyn Observer> = vec![&mut jsonl, &mut csv, &mut *progress];
    observers.extend(board.map(|board| board as &mut dyn Observer));
    observers.extend(trace.as_mut().map(|trace| trace as &mut dyn Observer));
    let limits = Limits { max_steps: args.max_steps, interrupt: &interrupt };
    let outcome = trainer.fit(limits, &mut observers);
    drop(progress);
    // The trace of a run that failed is finished when it is dropped.
    if let (Ok(_), Some(trace)) = (&outcome, trace)
        && let Err(error) = trace.finish()
    {
        console.line(format!("The trace is not whole: {:#}", anyhow::Error::from(error)))?;
    }
    Ok(outcome?)
}

/// What writes for TensorBoard, where that is wanted.
fn board(
    args: &TrainArgs,
    run: &RunFolder,
    recipe: &Recipe,
    class_names: &[String],
) -> anyhow::Result<Option<Board>> {
    if args.no_tensorboard {
        return Ok(None);
    }
    Board::new(run, recipe, class_names, !args.no_histograms).map(Some)
}

/// Says where TensorBoard will not show everything; the run itself is none the worse for it.
fn close(board: Option<Board>, console: &mut Console) -> anyhow::Result<()> {
    if let Some(Err(error)) = board.map(Board::finish) {
        let error = anyhow::Error::from(error);
        console.line(format!("TensorBoard will not show all of this run: {error:#}"))?;
    }
    Ok(())
}

fn resume_hint(run: &RunFolder, args: &TrainArgs) -> String {
    let mut hint = format!("cifar train --resume {}", run.path().display());
    if args.source.data_dir.as_os_str() != "data" {
        hint += &format!(" --data-dir {}", args.source.data_dir.display());
    }
    hint
}

/// What the checkpoint `slot` makes of the test images.
fn test(
    data: &DataSource,
    recipe: &Recipe,
    model: &Model,
    checkpoints: &CheckpointStore,
    slot: Slot,
    device: &Device,
) -> anyhow::Result<Test> {
    model.load_weights(&checkpoints.evaluation_weights(slot)?)?;
    Test::of(model, data.test(&recipe.class_names())?, recipe, device)
}
