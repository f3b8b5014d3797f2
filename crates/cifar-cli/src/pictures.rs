//! Pictures of what a network is given and of what it makes of it, and pictures as files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cifar_data::{Batch, Dataset, Normalization};
use cifar_metrics::Verdict;
use cifar_report::{Drawing, Format, Picture, Prediction, picture_grid, prediction_grid};

use crate::args::PictureFormat;

const COLUMNS: usize = 8;
/// Pictures of a page of predictions, and of a row of it.
const N_PREDICTIONS: usize = 36;
const PREDICTION_COLUMNS: usize = 6;
/// Values of an image.
const IMAGE_LEN: usize = 3 * 32 * 32;

/// A training batch as the network sees it, turned back into colours.
pub(crate) fn batch(
    title: &str,
    batch: &Batch,
    normalization: &Normalization,
    class_names: &[String],
) -> Drawing {
    let pixels = pixels(batch, normalization);
    let pictures: Vec<Picture<'_>> = pixels
        .chunks_exact(IMAGE_LEN)
        .zip(&batch.labels)
        .map(|(pixels, &label)| Picture { pixels, caption: class_names[label as usize].clone() })
        .collect();
    picture_grid(title, &pictures, COLUMNS)
}

/// The first `n` images of a batch.
pub(crate) fn first(batch: &Batch, n: usize) -> Batch {
    let n = n.min(batch.len());
    Batch {
        images: batch.images[..n * IMAGE_LEN].to_vec(),
        labels: batch.labels[..n].to_vec(),
        indices: batch.indices[..n].to_vec(),
        epoch: batch.epoch,
        mixed: None,
    }
}

fn pixels(batch: &Batch, normalization: &Normalization) -> Vec<u8> {
    let Normalization { mean, std } = normalization;
    let plane = |i: usize| i / (32 * 32) % 3;
    let colour = |(i, value): (usize, &f32)| {
        (255.0 * (value * std[plane(i)] + mean[plane(i)])).round() as u8
    };
    batch.images.iter().enumerate().map(colour).collect()
}

/// The first of the images that `verdicts` are of, each with its true class, its predicted one and
/// the probability of that.
pub(crate) fn predictions(title: &str, verdicts: &[Verdict], images: &Dataset) -> Drawing {
    let names = images.class_names();
    let shown = verdicts.iter().take(N_PREDICTIONS).map(|verdict| Prediction {
        pixels: images.image(verdict.sample),
        truth: &names[verdict.truth],
        predicted: &names[verdict.predicted],
        probability: verdict.probability,
    });
    prediction_grid(title, &shown.collect::<Vec<_>>(), PREDICTION_COLUMNS)
}

/// Saves a drawing as `folder/NAME.png`, `.svg`, or both; makes the folder.
pub(crate) fn save(
    folder: &Path,
    name: &str,
    drawing: &Drawing,
    format: PictureFormat,
) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder).with_context(|| {
        format!("cannot create {}; choose another folder with --out", folder.display())
    })?;
    let formats = match format {
        PictureFormat::Png => &[Format::Png][..],
        PictureFormat::Svg => &[Format::Svg],
        PictureFormat::Both => &[Format::Png, Format::Svg],
    };
    let mut files = Vec::new();
    for &format in formats {
        let path = folder.join(format!("{name}.{}", format.extension()));
        drawing.save(&path, format)?;
        files.push(path);
    }
    Ok(files)
}
