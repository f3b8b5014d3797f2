//! Pictures of what a network is given, and pictures as files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use cifar_data::{Batch, Normalization};
use cifar_report::{Drawing, Format, Picture, picture_grid};

use crate::args::PictureFormat;

const COLUMNS: usize = 8;
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
