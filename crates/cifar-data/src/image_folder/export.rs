//! Writing a data set as folders of pictures.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use rayon::prelude::*;

use crate::dataset::{CHANNELS, Dataset, PLANE_LEN, SIDE};
use crate::error::DataError;

/// Writes each picture of `dataset` as `folder/CLASS/INDEX.png`, bit for bit, several at a time on
/// the caller's rayon pool. `INDEX` is its number in the data set, five digits or more.
///
/// # Errors
/// [`DataError::Write`] if a folder or file cannot be written.
pub fn write_image_folder(dataset: &Dataset, folder: &Path) -> Result<(), DataError> {
    let failed = |path: &Path, source| DataError::Write { path: path.to_owned(), source };
    let classes: Vec<PathBuf> =
        dataset.class_names().iter().map(|name| folder.join(name)).collect();
    for class in &classes {
        fs::create_dir_all(class).map_err(|source| failed(class, source))?;
    }
    (0..dataset.len()).into_par_iter().try_for_each(|index| {
        let path = classes[usize::from(dataset.label(index))].join(format!("{index:05}.png"));
        write_png(&path, dataset.image(index)).map_err(|source| failed(&path, source))
    })
}

fn write_png(path: &Path, planes: &[u8]) -> io::Result<()> {
    let pixels: Vec<u8> = (0..PLANE_LEN)
        .flat_map(|at| (0..CHANNELS).map(move |channel| planes[channel * PLANE_LEN + at]))
        .collect();
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&pixels, SIDE as u32, SIDE as u32, ExtendedColorType::Rgb8)
        .map_err(io::Error::other)?;
    File::create(path)?.write_all(&png)
}
