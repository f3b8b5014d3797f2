//! Anyone's picture in the form that networks take: PNG, JPEG, WebP, BMP or GIF.
//!
//! What happens to it, in this order:
//!
//! 1. It is decoded; of a moving picture the first frame. Grey becomes equal red, green and blue,
//!    16 bits become 8. Colour profiles are not applied.
//! 2. What is transparent is laid over white.
//! 3. The largest centred part with the network's proportions is cut out and scaled to its size
//!    by a triangle filter as wide as the scale asks (antialiased, on the stored values, as
//!    `torchvision.transforms.Resize` does by default). But for the outermost pixels that is the
//!    same as scaling the short side and then cutting out the middle. A picture that has the size
//!    already passes through bit for bit.
//! 4. It is turned as its EXIF orientation says.
//!
//! Every file is read from its content; its name does not matter.

use std::fs::{self, File};
use std::io::{Cursor, Read};
use std::path::Path;

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{
    DynamicImage, GenericImageView, ImageDecoder, ImageError, ImageReader, Limits, Rgb, RgbImage,
};

use crate::dataset::CHANNELS;
pub use error::ImageFileError;

mod error;

/// Longest side that is decoded, pixels.
pub const MAX_SIDE: u32 = 16_384;
/// Most pixels that are decoded. Each takes 12 bytes at most: 16 bits a value with transparency,
/// and their copy in 8.
pub const MAX_PIXELS: u64 = 1 << 26;
/// Most bytes that are read from a file.
pub const MAX_FILE_BYTES: u64 = 256 << 20;
/// Pixels that the header of any file may claim.
const FREE_PIXELS: u64 = 1 << 20;
/// Further pixels for each byte of the file. Deflate, of PNG, packs 1,032 values of 8 bits into a
/// byte, and the codes of a GIF or JPEG stand for no more than thrice that.
const PIXELS_PER_BYTE: u64 = 1 << 13;

/// A picture read from a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFile {
    /// The planes red, green, blue of the size asked for, each row by row: what
    /// [`Dataset::image`](crate::Dataset::image) gives for a picture of the data set.
    pub pixels: Vec<u8>,
    /// Format of the file: `PNG`, `JPEG`, `WebP`, `BMP` or `GIF`.
    pub format: &'static str,
    /// Width in the file, turned the right way up, pixels.
    pub width: u32,
    /// Height in the file, turned the right way up, pixels.
    pub height: u32,
}

/// Reads the picture at `path` as `height` by `width` pixels.
///
/// # Errors
/// [`ImageFileError`], which names the file, what was found in it, and what helps.
///
/// # Panics
/// If `height` or `width` is 0 or beyond [`MAX_SIDE`].
pub fn read(path: &Path, height: usize, width: usize) -> Result<ImageFile, ImageFileError> {
    let unreadable = |source| ImageFileError::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(ImageFileError::Folder { path: path.to_owned() });
    }
    // Opening a named pipe waits until somebody writes to it, perhaps for ever.
    if !metadata.is_file() {
        return Err(ImageFileError::NotAFile { path: path.to_owned() });
    }
    read_from(File::open(path).map_err(unreadable)?, path, height, width)
}

/// Like [`read`] for all that comes out of `source`; errors call it `name`.
///
/// # Errors
/// As [`read`].
///
/// # Panics
/// As [`read`].
pub fn read_from(
    source: impl Read,
    name: &Path,
    height: usize,
    width: usize,
) -> Result<ImageFile, ImageFileError> {
    let unreadable = |source| ImageFileError::Read { path: name.to_owned(), source };
    let mut bytes = Vec::new();
    source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(ImageFileError::FileSize { path: name.to_owned() });
    }
    decode(&bytes, name, height, width)
}

/// Like [`read`] for the content of a file; errors call it `name`. What it allocates at most follows
/// from the number of `bytes`.
///
/// # Errors
/// As [`read`].
///
/// # Panics
/// As [`read`].
pub fn decode(
    bytes: &[u8],
    name: &Path,
    height: usize,
    width: usize,
) -> Result<ImageFile, ImageFileError> {
    let side = 1..=MAX_SIDE as usize;
    assert!(side.contains(&height) && side.contains(&width), "a picture of {height}x{width}");
    let path = || name.to_owned();
    if bytes.is_empty() {
        return Err(ImageFileError::Empty { path: path() });
    }
    let guessed = image::guess_format(bytes).ok();
    let Some(format) = guessed.and_then(format_name) else {
        let start = bytes.iter().take(8).map(|byte| format!("{byte:02x}"));
        return Err(ImageFileError::Format { path: path(), start: start.collect() });
    };
    let damaged = |error: ImageError| damage(error, name, format);
    if format == "JPEG" && !jpeg_is_whole(bytes) {
        let reason = "it ends before the picture does".to_owned();
        return Err(ImageFileError::Damaged { path: path(), format, reason });
    }
    let mut reader = ImageReader::new(Cursor::new(bytes));
    reader.limits(limits(bytes.len()));
    let mut decoder = reader
        .with_guessed_format()
        .map_err(ImageError::IoError)
        .and_then(ImageReader::into_decoder)
        .map_err(damaged)?;
    let (file_width, file_height) = decoder.dimensions();
    check_claim(name, (file_width, file_height), bytes.len())?;
    let orientation = decoder.orientation().map_err(damaged)?;
    let picture = over_white(DynamicImage::from_decoder(decoder).map_err(damaged)?);
    let turned = turns_sides(orientation);
    let (width, height) = (width as u32, height as u32);
    let size = if turned { (height, width) } else { (width, height) };
    let mut picture = DynamicImage::ImageRgb8(cut_and_scale(picture, size));
    picture.apply_orientation(orientation);
    let (width, height) =
        if turned { (file_height, file_width) } else { (file_width, file_height) };
    Ok(ImageFile { pixels: planes(&picture.into_rgb8()), format, width, height })
}

fn format_name(format: image::ImageFormat) -> Option<&'static str> {
    match format {
        image::ImageFormat::Png => Some("PNG"),
        image::ImageFormat::Jpeg => Some("JPEG"),
        image::ImageFormat::WebP => Some("WebP"),
        image::ImageFormat::Bmp => Some("BMP"),
        image::ImageFormat::Gif => Some("GIF"),
        _ => None,
    }
}

/// What a decoder may allocate on its way. The sides are left to [`check_claim`], whose errors can
/// tell what was found.
fn limits(len: usize) -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(8 * most_pixels(len)); // four values of 16 bits
    limits
}

/// Pixels that are believed of a file of `len` bytes.
fn most_pixels(len: usize) -> u64 {
    PIXELS_PER_BYTE.saturating_mul(len as u64).saturating_add(FREE_PIXELS).min(MAX_PIXELS)
}

/// Compares the width and height that a header claims with what is decoded at all, and of `len`
/// bytes.
fn check_claim(name: &Path, claimed: (u32, u32), len: usize) -> Result<(), ImageFileError> {
    let (path, (width, height)) = (name.to_owned(), claimed);
    let n_pixels = u64::from(width) * u64::from(height);
    if n_pixels > MAX_PIXELS || width.max(height) > MAX_SIDE {
        return Err(ImageFileError::Dimensions { path, width, height });
    }
    if n_pixels > most_pixels(len) {
        return Err(ImageFileError::Density { path, width, height, len });
    }
    Ok(())
}

fn damage(error: ImageError, name: &Path, format: &'static str) -> ImageFileError {
    let reason = match &error {
        ImageError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "it ends before the picture does".to_owned()
        }
        other => other.to_string(),
    };
    ImageFileError::Damaged { path: name.to_owned(), format, reason }
}

/// Whether a JPEG reaches its end marker; the decoder would fill in what is missing. Cameras put
/// other things behind it (a film, say), so it is found by going from segment to segment.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    loop {
        // Between a scan's values 0xff is followed by 0 or a restart marker, in padding by 0xff.
        let is_marker = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
        let Some(at) = rest.windows(2).position(is_marker) else { return false };
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        match marker {
            0xd9 => return true,
            0xd8 | 0x01 => {} // these two have no content
            _ => {
                let Some(length) = rest.first_chunk() else { return false };
                let Some(behind) = rest.get(usize::from(u16::from_be_bytes(*length))..) else {
                    return false;
                };
                rest = behind;
            }
        }
    }
}

/// Every pixel in 8 bits a colour, over a white ground where it is transparent.
fn over_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, alpha] = picture.get_pixel(x, y).0.map(u32::from);
        // Rounded to the nearest; exact for alpha 0 and 255.
        Rgb([r, g, b].map(|value| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    })
}

/// Whether width and height change places.
fn turns_sides(orientation: Orientation) -> bool {
    matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    )
}

/// The middle of `picture` with the proportions of `size` (width, height), in that size.
fn cut_and_scale(picture: RgbImage, size: (u32, u32)) -> RgbImage {
    if picture.dimensions() == size {
        return picture;
    }
    let (width, height) = picture.dimensions();
    // The longest run of pixels along one side that goes with all of the other.
    let matching = |across: u32, to: u32, from: u32| {
        let exact = u64::from(across) * u64::from(to);
        (((exact + u64::from(from) / 2) / u64::from(from)) as u32).max(1)
    };
    let cut_width = matching(height, size.0, size.1).min(width);
    let cut_height = matching(width, size.1, size.0).min(height);
    let (left, top) = ((width - cut_width) / 2, (height - cut_height) / 2);
    let part = picture.view(left, top, cut_width, cut_height);
    imageops::resize(&*part, size.0, size.1, FilterType::Triangle)
}

fn planes(picture: &RgbImage) -> Vec<u8> {
    (0..CHANNELS).flat_map(|c| picture.pixels().map(move |pixel| pixel.0[c])).collect()
}

#[cfg(test)]
mod tests;
