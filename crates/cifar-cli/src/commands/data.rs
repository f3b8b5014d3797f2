//! `cifar data`: fetch the data, and look at them before training on them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use cifar_data::image_folder::write_image_folder;
use cifar_data::{CLASS_NAMES, ChannelStatistics, DataSource, Dataset};
use cifar_files::folder_of;
use cifar_report::{Drawing, Picture, class_distribution, picture_grid};
use cifar_train::Recipe;
use serde::Serialize;

use crate::args::{DataArgs, DataCommand, ExportDataArgs, FetchArgs, PartName, ShowArgs};
use crate::console::Console;
use crate::tables::grouped;
use crate::{fetching, pictures, recipes, session};

/// Pictures of one class on the samples page.
const SAMPLES_PER_CLASS: usize = 8;
/// Pictures of the training batch that are shown.
const BATCH_SHOWN: usize = 64;

/// The JSON document.
#[derive(Serialize)]
struct Report {
    n_train: usize,
    image_shape: [usize; 3],
    class_names: Vec<String>,
    class_counts: Vec<usize>,
    mean: [f64; 3],
    std: [f64; 3],
    pictures: Vec<PathBuf>,
}

pub(crate) fn run(args: &DataArgs, console: &mut Console) -> anyhow::Result<()> {
    match &args.command {
        DataCommand::Fetch(args) => fetch(args, console),
        DataCommand::Show(args) => show(args, console),
        DataCommand::Export(args) => export(args, console),
    }
}

fn fetch(args: &FetchArgs, console: &mut Console) -> anyhow::Result<()> {
    let fetched = fetching::fetch(&args.data_dir, args.archive.as_ref(), console)?;
    Ok(console.line(format!("CIFAR-10 is in {}", fetched.path.display()))?)
}

fn export(args: &ExportDataArgs, console: &mut Console) -> anyhow::Result<()> {
    let (out, taken) = (&args.out, args.out.exists());
    if taken && out.read_dir().map_or(true, |mut entries| entries.next().is_some()) {
        bail!("{} already exists; choose another folder with --out", out.display());
    }
    let data = session::open_data(&args.source, console)?;
    let class_names =
        data.own_class_names()?.unwrap_or_else(|| CLASS_NAMES.map(str::to_owned).to_vec());
    // Half of the pictures must not look like all of them.
    let parent = folder_of(out);
    fs::create_dir_all(parent).with_context(|| {
        format!("cannot create {}; choose another with --out", parent.display())
    })?;
    let name =
        out.file_name().with_context(|| format!("--out {} names no folder", out.display()))?;
    let mut fresh_name = OsString::from(".new-");
    fresh_name.push(name);
    let fresh = parent.join(fresh_name);
    let written = write_parts(args, &data, &class_names, &fresh);
    let moved = written.and_then(|n| {
        fs::rename(&fresh, out).with_context(|| format!("cannot create {}", out.display()))?;
        Ok(n)
    });
    if moved.is_err() {
        // The error at hand says more than one about the clean-up would.
        let _ = fs::remove_dir_all(&fresh);
    }
    let n = grouped(moved? as u64);
    Ok(console.line(format!("Wrote {n} images to {}", out.display()))?)
}

/// Writes the parts asked for; returns the number of images.
fn write_parts(
    args: &ExportDataArgs,
    data: &DataSource,
    class_names: &[String],
    folder: &Path,
) -> anyhow::Result<usize> {
    let mut n = 0;
    if args.only != Some(PartName::Test) {
        let train = data.train(class_names)?;
        write_image_folder(&train, &folder.join("train"))?;
        n += train.len();
    }
    if args.only != Some(PartName::Train) {
        let test = data.test(class_names)?;
        write_image_folder(&test, &folder.join("test"))?;
        n += test.len();
    }
    Ok(n)
}

fn show(args: &ShowArgs, console: &mut Console) -> anyhow::Result<()> {
    let recipe = recipes::load(&args.recipe, &[])?;
    let data = session::open_data(&args.source, console)?;
    let recipe = session::settled(recipe, &data)?;
    let dataset = Arc::new(data.train(&recipe.class_names())?);
    let statistics = dataset.channel_statistics();
    let pictures = draw(args, &dataset, &recipe)?;
    print(&dataset, &statistics, &pictures, console)?;
    let ChannelStatistics { mean, std } = statistics;
    console.document(&Report {
        n_train: dataset.len(),
        image_shape: [3, 32, 32],
        class_names: dataset.class_names().to_vec(),
        class_counts: dataset.class_counts(),
        mean,
        std,
        pictures,
    })?;
    Ok(())
}

fn draw(args: &ShowArgs, dataset: &Arc<Dataset>, recipe: &Recipe) -> anyhow::Result<Vec<PathBuf>> {
    let names = dataset.class_names();
    let samples = samples(dataset);
    let batch = train_batch(dataset, recipe)?;
    let pages = [
        ("cifar10_samples", picture_grid("CIFAR-10 training images", &samples, SAMPLES_PER_CLASS)),
        (
            "class_distribution",
            class_distribution(
                "CIFAR-10 training images per class",
                names,
                &dataset.class_counts(),
            ),
        ),
        ("train_batch", batch),
    ];
    let mut paths = Vec::new();
    for (name, page) in pages {
        paths.extend(pictures::save(&args.out, name, &page, args.format)?);
    }
    Ok(paths)
}

/// The first pictures of each class, class by class.
fn samples(dataset: &Dataset) -> Vec<Picture<'_>> {
    let mut pictures = Vec::new();
    for (class, name) in dataset.class_names().iter().enumerate() {
        let of_class = (0..dataset.len()).filter(|&i| usize::from(dataset.label(i)) == class);
        pictures.extend(
            of_class
                .take(SAMPLES_PER_CLASS)
                .map(|index| Picture { pixels: dataset.image(index), caption: name.clone() }),
        );
    }
    pictures
}

/// The first training batch after augmentation and normalisation, turned back into colours.
fn train_batch(dataset: &Arc<Dataset>, recipe: &Recipe) -> anyhow::Result<Drawing> {
    let split = session::split(dataset, recipe)?;
    let loader = session::train_loader(dataset, split.train, recipe)?;
    let batch = loader.epoch(0).next().context("the training set is empty")?;
    let title =
        format!("First training batch as {} sees it (recipe {})", recipe.model, recipe.name);
    let shown = pictures::first(&batch, BATCH_SHOWN);
    Ok(pictures::batch(&title, &shown, &recipe.data.normalization, dataset.class_names()))
}

fn print(
    dataset: &Dataset,
    statistics: &ChannelStatistics,
    pictures: &[PathBuf],
    console: &mut Console,
) -> anyhow::Result<()> {
    let triple = |values: [f64; 3]| values.map(|v| format!("{v:.4}")).join(" ");
    console
        .line(format!("Training set  {} images of 3x32x32 (u8)", grouped(dataset.len() as u64)))?;
    console.line(format!("Classes       {}", dataset.class_names().join(", ")))?;
    let counts: Vec<String> = dataset.class_counts().iter().map(ToString::to_string).collect();
    console.line(format!("Per class     {}", counts.join(" ")))?;
    console.line(format!("Mean (R G B)  {}", triple(statistics.mean)))?;
    console.line(format!("Std (R G B)   {}", triple(statistics.std)))?;
    for path in pictures {
        console.line(format!("Wrote         {}", path.display()))?;
    }
    Ok(())
}
