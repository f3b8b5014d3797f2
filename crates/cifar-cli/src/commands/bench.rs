//! `cifar bench`: how fast training steps and evaluation run on this machine.

use std::time::{Duration, Instant};

use anyhow::ensure;
use candle_core::Device;
use cifar_data::Batch;
use cifar_kernels::element::bf16;
use cifar_kernels::isa::Isa;
use cifar_kernels::peak;
use cifar_models::Model;
use cifar_net::{Inference, Net, Step};
use cifar_train::{Engine, Optimizers, Precision, Recipe, global_norm};
use serde::Serialize;

use crate::args::{BenchArgs, PrecisionName};
use crate::console::Console;
use crate::{host, recipes, session};

mod convolutions;

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    recipe: &'a str,
    pass: &'static str,
    precision: String,
    instructions: String,
    threads: usize,
    batch_size: usize,
    steps: usize,
    images_per_second: f64,
    /// Of the slowest and fastest tenth of the steps.
    images_per_second_range: [f64; 2],
    /// Operations of the convolutions and linear layers by their definition.
    gflops_per_second: f64,
    /// What this machine's threads multiply and add at most, measured in registers.
    limit_gflops_per_second: f64,
    /// The one over the other; above 1 where an algorithm needs less than the definition.
    limit_fraction: f64,
    peak_rss_bytes: Option<u64>,
}

pub(crate) fn run(args: &BenchArgs, console: &mut Console) -> anyhow::Result<()> {
    let mut recipe = recipes::load(&args.recipe, &args.set)?;
    if let Some(precision) = args.precision {
        recipe.precision = Some(match precision {
            PrecisionName::F32 => Precision::F32,
            PrecisionName::Bf16 => Precision::Bf16,
        });
    }
    recipe.batch_size = args.batch_size.unwrap_or(recipe.batch_size);
    ensure!(recipe.batch_size > 0, "--batch-size is 0, expected at least 1");
    let steps = args.steps;
    let (device, _) = host::device(&args.compute)?;
    let model = session::new_model(&recipe, N_CLASSES, &device)?;
    if args.convolutions {
        return convolutions::run(&model.net, &recipe, console);
    }
    let batch = batch(recipe.batch_size);
    let times = match args.eval {
        true => evaluate(&model, &recipe, &batch, steps)?,
        false => train(&model, &recipe, &batch, steps, &device)?,
    };
    let limit = match recipe.cpu_precision() {
        Precision::F32 => peak::operations_per_second::<f32>(PEAK),
        Precision::Bf16 => peak::operations_per_second::<bf16>(PEAK),
    };
    let operations = operations_per_image(&model.net, args.eval)?;
    let speed = |time: Duration| recipe.batch_size as f64 / time.as_secs_f64();
    let at = |tenths: usize| speed(times[(times.len() - 1) * tenths / 10]);
    let report = Report {
        recipe: &recipe.name,
        pass: if args.eval { "evaluation" } else { "training" },
        precision: recipe.cpu_precision().to_string(),
        instructions: Isa::current().to_string(),
        threads: rayon::current_num_threads(),
        batch_size: recipe.batch_size,
        steps,
        images_per_second: at(5),
        images_per_second_range: [at(9), at(1)],
        gflops_per_second: at(5) * operations / 1e9,
        limit_gflops_per_second: limit / 1e9,
        limit_fraction: at(5) * operations / limit,
        peak_rss_bytes: host::peak_rss_bytes(),
    };
    console.line(format!(
        "{} of {}, batch {}, {}, {} threads, {}: {:.0} images/s ({:.0} to {:.0}), \
         {:.0} GFLOP/s, {:.0} % of this machine's {:.0}, peak memory {} MB",
        report.pass,
        report.recipe,
        report.batch_size,
        report.precision,
        report.threads,
        report.instructions,
        report.images_per_second,
        report.images_per_second_range[0],
        report.images_per_second_range[1],
        report.gflops_per_second,
        100.0 * report.limit_fraction,
        report.limit_gflops_per_second,
        report.peak_rss_bytes.map_or_else(|| "?".to_owned(), |b| (b / 1_000_000).to_string()),
    ))?;
    Ok(console.document(&report)?)
}

const N_CLASSES: usize = 10;

/// How long the machine's limit is measured.
const PEAK: Duration = Duration::from_millis(500);

/// Operations of one image's passes through the convolutions and linear layers: two for each
/// multiply-add, and three passes in training but for the gradient of the images.
fn operations_per_image(net: &Net, eval: bool) -> anyhow::Result<f64> {
    let forward = 2.0 * net.multiply_adds()? as f64;
    let first = net.steps()?.iter().map(Step::multiply_adds).find(|&n| n > 0).unwrap_or(0);
    Ok(if eval { forward } else { 3.0 * forward - 2.0 * first as f64 })
}

/// Steps before the clock starts.
const WARM_UP: usize = 5;

/// Pictures of noise; a step takes as long on them as on any others.
fn batch(n: usize) -> Batch {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    Batch {
        images: (0..n * 3 * 32 * 32).map(|_| next()).collect(),
        labels: (0..n as u32).map(|i| i % N_CLASSES as u32).collect(),
        indices: (0..n as u32).collect(),
        epoch: 0,
        mixed: None,
    }
}

/// Whole optimiser steps, clipping included.
fn train(
    model: &Model,
    recipe: &Recipe,
    batch: &Batch,
    steps: usize,
    device: &Device,
) -> anyhow::Result<Vec<Duration>> {
    let learner = session::learner(model);
    let mut engine = Engine::new(&learner, recipe, device)?;
    let mut optimizers = Optimizers::new(recipe, &learner.trainable(), WARM_UP + steps)?;
    timed(steps, || {
        let pass = engine.forward_backward(&learner, batch, recipe)?;
        let norm = global_norm(&pass.gradients)?;
        ensure!(norm.is_finite(), "the loss on noise has grown beyond bounds");
        let scale = recipe.gradient_scale(norm, batch.len());
        Ok(optimizers.step(&pass.gradients, scale).map(drop)?)
    })
}

fn evaluate(
    model: &Model,
    recipe: &Recipe,
    batch: &Batch,
    steps: usize,
) -> anyhow::Result<Vec<Duration>> {
    let mut frozen = Inference::new(&model.net, &model.variables, recipe.arithmetic())?;
    timed(steps, || Ok(frozen.logits(&batch.images).map(drop)?))
}

/// The times of `n` calls, from the shortest to the longest.
fn timed(n: usize, mut f: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Vec<Duration>> {
    for _ in 0..WARM_UP.min(n) {
        f()?;
    }
    let mut times = Vec::with_capacity(n);
    for _ in 0..n {
        let start = Instant::now();
        f()?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}
