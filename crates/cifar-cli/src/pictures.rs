//! Pictures of what a network is given.

use cifar_data::{Batch, Normalization};
use cifar_report::{Drawing, Picture, picture_grid};

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
