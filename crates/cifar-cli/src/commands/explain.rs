//! `cifar explain`: what a trained network sees in a picture.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use candle_core::Tensor;
use cifar_data::image_file;
use cifar_metrics::ranking;
use cifar_models::Model;
use cifar_report::explain::{Explanation, explain};
use cifar_report::{
    Drawing, ExplainedPicture, Format, explanation_page, feature_map_page, rgb_image,
};
use cifar_train::{Recipe, RunFolder};
use serde::Serialize;

use crate::args::{ExplainArgs, PictureFormat};
use crate::console::Console;
use crate::tables::{Align, Table, percent};
use crate::{host, session};

/// Classes that are listed.
const N_LISTED: usize = 5;

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    run: &'a Path,
    weights: &'a Path,
    model: &'a str,
    image: &'a str,
    true_class: Option<&'a str>,
    explained_class: &'a str,
    predictions: Vec<Prediction<'a>>,
    stages: Vec<Stage<'a>>,
    files: &'a [PathBuf],
}

#[derive(Serialize)]
struct Prediction<'a> {
    class: &'a str,
    probability: f64,
}

#[derive(Serialize)]
struct Stage<'a> {
    name: &'a str,
    layer: &'a str,
    channels: usize,
    height: usize,
    width: usize,
    /// Whether nothing in it speaks for the class.
    blank: bool,
}

/// The picture that is explained.
struct Subject {
    /// What it is called, and the name of a file about it.
    name: String,
    file_name: String,
    /// Planes red, green, blue.
    pixels: Vec<u8>,
    truth: Option<usize>,
}

pub(crate) fn run(args: &ExplainArgs, console: &mut Console) -> anyhow::Result<()> {
    let run = RunFolder::open(&args.run)?;
    let recipe = run.recipe()?;
    let class_names = recipe.class_names();
    let class = args.class.as_deref().map(|name| class_named(name, &class_names)).transpose()?;
    let weights = session::weights(&run, args.checkpoint)?;
    let (device, _) = host::device(&args.compute)?;
    let model = session::load_model(&recipe, class_names.len(), &weights, &device)?;
    let subject = subject(args, &model, &class_names, console)?;
    let [c, height, width] = model.net.input;
    let values = recipe.data.normalization.apply(&subject.pixels)?;
    let image = Tensor::from_vec(values, (1, c, height, width), &device)?;
    let explanation = explain(&model.module, &model.net.stages()?, &image, class)
        .with_context(|| format!("cannot explain with {}", weights.display()))?;
    let files = save(&pages(&subject, &model, &recipe, &explanation), args, &run, &subject)?;
    print(console, &subject, &class_names, &explanation, &files)?;
    let name_of = |class: usize| class_names[class].as_str();
    console.document(&Report {
        run: run.path(),
        weights: &weights,
        model: &recipe.model,
        image: &subject.name,
        true_class: subject.truth.map(name_of),
        explained_class: name_of(explanation.class),
        predictions: ranking(&explanation.logits)
            .into_iter()
            .take(N_LISTED)
            .map(|(class, probability)| Prediction { class: name_of(class), probability })
            .collect(),
        stages: explanation.stages.iter().map(stage).collect(),
        files: &files,
    })?;
    Ok(())
}

fn class_named(name: &str, class_names: &[String]) -> anyhow::Result<usize> {
    class_names.iter().position(|known| known == name).with_context(|| {
        format!("no class is called `{name}`; --class takes one of {}", class_names.join(", "))
    })
}

fn subject(
    args: &ExplainArgs,
    model: &Model,
    class_names: &[String],
    console: &mut Console,
) -> anyhow::Result<Subject> {
    let [_, height, width] = model.net.input;
    if let Some(path) = &args.image {
        let pixels = image_file::read(path, height, width)?.pixels;
        let text = |part: Option<&std::ffi::OsStr>| {
            part.map_or_else(|| "picture".to_owned(), |part| part.to_string_lossy().into_owned())
        };
        let (name, file_name) = (text(path.file_name()), text(path.file_stem()));
        return Ok(Subject { name, file_name, pixels, truth: None });
    }
    let Some(index) = args.index else { bail!("give a picture, or --index N") };
    let test = session::open_data(&args.source, console)?.test(class_names)?;
    if index >= test.len() {
        bail!("there is no test image {index}; --index takes 0 to {}", test.len() - 1);
    }
    Ok(Subject {
        name: format!("test image {index}"),
        file_name: format!("test-{index}"),
        pixels: test.image(index).to_vec(),
        truth: Some(usize::from(test.label(index))),
    })
}

/// The ending of a file's name before its format's, and what it shows.
type Page = (&'static str, Drawing);

fn pages(
    subject: &Subject,
    model: &Model,
    recipe: &Recipe,
    explanation: &Explanation,
) -> [Page; 2] {
    let [_, height, width] = model.net.input;
    let picture = rgb_image(&subject.pixels, height, width);
    let class_names = recipe.class_names();
    let shown =
        ExplainedPicture { picture: &picture, class_names: &class_names, truth: subject.truth };
    let Subject { name, .. } = subject;
    let maps_title = format!("Feature maps of {} for {name}", recipe.name);
    [
        ("", explanation_page(&format!("{} on {name}", recipe.name), &shown, explanation)),
        ("-features", feature_map_page(&maps_title, explanation)),
    ]
}

fn save(
    pages: &[Page],
    args: &ExplainArgs,
    run: &RunFolder,
    subject: &Subject,
) -> anyhow::Result<Vec<PathBuf>> {
    let out = match &args.out {
        Some(out) if out.is_dir() => {
            bail!("--out {} is a folder; name a file in it", out.display())
        }
        Some(out) => out.clone(),
        None => {
            let folder = run.path().join("explain");
            fs::create_dir_all(&folder).with_context(|| {
                format!("cannot create {}; name a file with --out", folder.display())
            })?;
            folder.join(format!("{}.png", subject.file_name))
        }
    };
    let ending = out.extension().and_then(|ending| ending.to_str());
    let format = args.format.unwrap_or(match ending {
        Some("svg") => PictureFormat::Svg,
        _ => PictureFormat::Png,
    });
    let formats = match format {
        PictureFormat::Png => &[Format::Png][..],
        PictureFormat::Svg => &[Format::Svg],
        PictureFormat::Both => &[Format::Png, Format::Svg],
    };
    // Only an ending that means a format makes way for another.
    let name = match ending {
        Some("png" | "svg") => out.file_stem(),
        _ => out.file_name(),
    };
    let Some(name) = name else { bail!("--out {} names no file", out.display()) };
    let mut files = Vec::new();
    for (part, drawing) in pages {
        for &format in formats {
            let mut name = name.to_os_string();
            name.push(format!("{part}.{}", format.extension()));
            let path = out.with_file_name(name);
            drawing.save(&path, format)?;
            files.push(path);
        }
    }
    Ok(files)
}

fn stage(explained: &cifar_report::explain::ExplainedStage) -> Stage<'_> {
    let cifar_net::Stage { name, path, channels, height, width } = &explained.stage;
    Stage {
        name,
        layer: path,
        channels: *channels,
        height: *height,
        width: *width,
        blank: explained.grad_cam.is_blank(),
    }
}

fn print(
    console: &mut Console,
    subject: &Subject,
    class_names: &[String],
    explanation: &Explanation,
    files: &[PathBuf],
) -> anyhow::Result<()> {
    let truth = subject.truth.map(|truth| format!(", true class {}", class_names[truth]));
    console.line(format!("{}{}", subject.name, truth.unwrap_or_default()))?;
    let mut table = Table::new(&[("class", Align::Left), ("probability", Align::Right)]);
    for (class, probability) in ranking(&explanation.logits).into_iter().take(N_LISTED) {
        table.row([class_names[class].clone(), percent(probability)]);
    }
    console.line(table.to_string())?;
    let class = &class_names[explanation.class];
    console.line(format!("Explained: {class}"))?;
    for explained in &explanation.stages {
        if explained.grad_cam.is_blank() {
            let name = &explained.stage.name;
            console
                .line(format!("Grad-CAM of {name} is blank: nothing there speaks for {class}"))?;
        }
    }
    for file in files {
        console.line(format!("Wrote {}", file.display()))?;
    }
    Ok(())
}
