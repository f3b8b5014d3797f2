//! Augmentation of one image: shifted crop, mirror, normalisation, cutout.
//!
//! Pixels are `u8` planes `C × H × W`. A crop is a window of the image's own size, moved by
//! `(dy, dx)`; what it sees beyond the edge is the [`Border`]'s business. Cropping a window out
//! of an image padded by `p` at offset `(top, left)` is the move `(top − p, left − p)`. Normalised
//! pixels are f32, or those rounded to bf16.

use crate::element::Element;

/// Size of one image of `channels × height × width` values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize {
    /// Number of planes (3 for R, G, B).
    pub channels: usize,
    /// Rows of a plane.
    pub height: usize,
    /// Columns of a plane.
    pub width: usize,
}

impl ImageSize {
    /// Values in one plane.
    pub fn plane_len(self) -> usize {
        self.height * self.width
    }

    /// Values in the whole image.
    pub fn len(self) -> usize {
        self.channels * self.plane_len()
    }

    /// Whether the image holds no value at all.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// What a crop sees beyond the edge of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// Black: the pixel value 0.
    Zero,
    /// The image mirrored about its outermost pixel, which is not repeated: left of
    /// `a b c` lies `c b`. A move must be smaller than the image.
    Reflect,
}

impl Border {
    /// The row or column that position `at` of an axis of `len` shows, `None` for black.
    fn source(self, at: isize, len: usize) -> Option<usize> {
        let last = len as isize - 1;
        let inside = match self {
            Self::Zero => at,
            Self::Reflect if at < 0 => -at,
            Self::Reflect if at > last => 2 * last - at,
            Self::Reflect => at,
        };
        (0..=last).contains(&inside).then_some(inside as usize)
    }
}

/// A window onto an image, and whether what it shows is then mirrored left to right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CropFlip {
    /// Rows the window lies below the image: output row `y` shows image row `y + dy`.
    pub dy: i32,
    /// Columns the window lies right of the image: output column `x` shows image column `x + dx`.
    pub dx: i32,
    /// Mirror the window left to right, after the crop.
    pub flip: bool,
    /// What the window shows where it leaves the image.
    pub border: Border,
}

/// Shows `src` through the window `window`, writing `dst`; both hold one image of `size`. Black is
/// the default value: 0 for bytes and for f32.
///
/// # Panics
/// If a slice is not `size.len()` long, or if a [`Border::Reflect`] window is moved by as much as
/// the image is high or wide.
pub fn crop_flip<V: Copy + Default>(src: &[V], size: ImageSize, window: CropFlip, dst: &mut [V]) {
    map_window(src, size, window, dst, |_, value| value);
}

/// [`crop_flip`] and [`normalise`] in one pass, with equal bits: black becomes
/// `(0 − mean) / std`, as when PyTorch pads the picture and normalises afterwards.
///
/// # Panics
/// As [`crop_flip`], or if `mean` or `std` do not hold `size.channels` values.
pub fn crop_flip_normalise<E: Element>(
    src: &[u8],
    size: ImageSize,
    window: CropFlip,
    mean: &[f32],
    std: &[f32],
    dst: &mut [E],
) {
    assert_eq!(mean.len(), size.channels, "crop_flip_normalise: one mean per channel");
    assert_eq!(std.len(), size.channels, "crop_flip_normalise: one standard deviation per channel");
    map_window(src, size, window, dst, |channel, value| {
        E::from_f32(normalised(value, mean[channel], std[channel]))
    });
}

/// Brings `u8` planes to `(value / 255 − mean) / std`, each step rounded to f32 as PyTorch's
/// `ToTensor` followed by `Normalize` does, and the result to `E`.
///
/// `src` and `dst`: planes of `plane_len` values; plane `i` uses `mean[i % mean.len()]`, so a whole
/// batch of images can be given at once.
///
/// # Panics
/// If the lengths differ, are no multiple of `plane_len × mean.len()`, or `mean` and `std` do.
pub fn normalise<E: Element>(
    src: &[u8],
    plane_len: usize,
    mean: &[f32],
    std: &[f32],
    dst: &mut [E],
) {
    assert_eq!(src.len(), dst.len(), "normalise: lengths differ");
    assert_eq!(mean.len(), std.len(), "normalise: one mean and one deviation per channel");
    let image_len = plane_len * mean.len();
    if src.is_empty() {
        return;
    }
    assert!(image_len > 0 && src.len().is_multiple_of(image_len), "normalise: not whole images");
    let statistics = mean.iter().zip(std).cycle();
    let planes = src.chunks_exact(plane_len).zip(dst.chunks_exact_mut(plane_len));
    for ((src, dst), (&mean, &std)) in planes.zip(statistics) {
        for (to, &from) in dst.iter_mut().zip(src) {
            *to = E::from_f32(normalised(from, mean, std));
        }
    }
}

/// Fills a square of every plane with 0, the mean of normalised data (DeVries and Taylor 2017,
/// arXiv:1708.04552).
///
/// `dst`: one image of `size`; the square has `side` rows and columns, its upper left corner lies
/// at row `top`, column `left`, and what falls outside the image is cut off.
///
/// # Panics
/// If `dst` is not `size.len()` long.
pub fn cutout<E: Element>(dst: &mut [E], size: ImageSize, top: i32, left: i32, side: usize) {
    assert_eq!(dst.len(), size.len(), "cutout: not one image");
    let rows = clip(top as isize, side, size.height);
    let columns = clip(left as isize, side, size.width);
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    for plane in dst.chunks_exact_mut(size.plane_len()) {
        for row in plane.chunks_exact_mut(size.width).take(rows.end).skip(rows.start) {
            row[columns.clone()].fill(E::default());
        }
    }
}

/// The part of `start .. start + len` that lies in `0 .. limit`.
fn clip(start: isize, len: usize, limit: usize) -> std::ops::Range<usize> {
    let end = start.saturating_add_unsigned(len);
    let inside = |at: isize| at.clamp(0, limit as isize) as usize;
    inside(start)..inside(end)
}

/// One pixel value normalised; three roundings, like PyTorch.
fn normalised(value: u8, mean: f32, std: f32) -> f32 {
    (f32::from(value) / 255.0 - mean) / std
}

/// Shows `src` through `window`, each value passed through `convert(channel, value)`.
fn map_window<V: Copy + Default, T: Copy>(
    src: &[V],
    size: ImageSize,
    window: CropFlip,
    dst: &mut [T],
    convert: impl Fn(usize, V) -> T,
) {
    assert_eq!(src.len(), size.len(), "crop: the source is not one image");
    assert_eq!(dst.len(), size.len(), "crop: the destination is not one image");
    if size.is_empty() {
        return;
    }
    if window.border == Border::Reflect {
        let reaches = |by: i32, len: usize| (by.unsigned_abs() as usize) < len;
        assert!(
            reaches(window.dy, size.height) && reaches(window.dx, size.width),
            "crop: a reflected border reaches no further than the image"
        );
    }
    let planes = src.chunks_exact(size.plane_len()).zip(dst.chunks_exact_mut(size.plane_len()));
    for (channel, (src, dst)) in planes.enumerate() {
        for (y, to) in dst.chunks_exact_mut(size.width).enumerate() {
            let from = window
                .border
                .source(y as isize + window.dy as isize, size.height)
                .map(|row| &src[row * size.width..][..size.width]);
            match from {
                Some(from) => map_row(from, window, to, |value| convert(channel, value)),
                None => to.fill(convert(channel, V::default())),
            }
        }
    }
}

/// One row of [`map_window`]: a straight run in the middle, the border on either side.
fn map_row<V: Copy + Default, T>(
    from: &[V],
    window: CropFlip,
    to: &mut [T],
    convert: impl Fn(V) -> T,
) {
    let (width, dx) = (from.len(), window.dx as isize);
    let seen = clip(-dx, width, width);
    let shown = clip(dx, width, width);
    for (to, &from) in to[seen.clone()].iter_mut().zip(&from[shown]) {
        *to = convert(from);
    }
    for x in (0..seen.start).chain(seen.end..width) {
        let source = window.border.source(x as isize + dx, width);
        to[x] = convert(source.map_or(V::default(), |column| from[column]));
    }
    if window.flip {
        to.reverse();
    }
}

#[cfg(test)]
mod tests;
