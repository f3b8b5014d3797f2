//! From the bytes of a picture to what the network sees.

use cifar_kernels::augment::{self, Border, CropFlip, ImageSize};
use serde::{Deserialize, Serialize};

use crate::dataset::{CHANNELS, PLANE_LEN, SIDE};
use crate::error::DataError;
use crate::seed::DrawStream;

const SIZE: ImageSize = ImageSize { channels: CHANNELS, height: SIDE, width: SIDE };

/// Random changes to a training picture, in this order: crop, flip, (normalise,) cutout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Augmentation {
    /// A 32 × 32 window out of the padded picture.
    pub crop: Option<RandomCrop>,
    /// Mirror every second picture, on average, left to right.
    pub horizontal_flip: bool,
    /// Side, in pixels, of a square filled with the mean colour. Its middle lies anywhere in the
    /// picture, so it may be cut off at the edges (DeVries and Taylor 2017, arXiv:1708.04552).
    pub cutout: Option<usize>,
}

/// A window of the picture's size at a random place of the padded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RandomCrop {
    /// Pixels added on each side; the window moves by `-padding..=padding` both ways.
    pub padding: usize,
    /// What is added.
    pub mode: PaddingMode,
}

/// What lies beyond the edge of a padded picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PaddingMode {
    /// Black.
    Zeros,
    /// The picture mirrored about its outermost pixel, which is not repeated.
    Reflect,
}

/// Brings values to `(value / 255 - mean) / std`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Normalization {
    /// Means of red, green, blue, of values divided by 255.
    pub mean: [f32; CHANNELS],
    /// Standard deviations likewise.
    pub std: [f32; CHANNELS],
}

impl Augmentation {
    /// Checks the parameters: padding and cutout go no further than the picture.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        if let Some(RandomCrop { padding, .. }) = self.crop {
            require("crop padding", padding, padding < SIDE, "fewer than 32 pixels")?;
        }
        match self.cutout {
            Some(side) => {
                require("cutout", side, (1..=SIDE).contains(&side), "a side of 1 to 32 pixels")
            }
            None => Ok(()),
        }
    }
}

impl Normalization {
    /// What a network sees of the picture `image`: the planes red, green, blue of any one size.
    ///
    /// # Errors
    /// [`DataError::Transform`] for a mean that is not finite or a deviation that is not positive.
    ///
    /// # Panics
    /// If `image` does not have three planes of one length.
    pub fn apply(&self, image: &[u8]) -> Result<Vec<f32>, DataError> {
        self.check()?;
        let mut values = vec![0.0; image.len()];
        augment::normalise(image, image.len() / CHANNELS, &self.mean, &self.std, &mut values);
        Ok(values)
    }

    /// Checks that every value it gives is finite.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        for mean in self.mean {
            require("normalization mean", mean, mean.is_finite(), "a finite number")?;
        }
        for std in self.std {
            require("normalization std", std, std.is_normal() && std > 0.0, "a positive number")?;
        }
        Ok(())
    }
}

fn require(
    parameter: &'static str,
    value: impl ToString,
    holds: bool,
    expected: &'static str,
) -> Result<(), DataError> {
    if holds {
        return Ok(());
    }
    Err(DataError::Transform { parameter, value: value.to_string(), expected })
}

/// What chance decided for one picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Draws {
    window: CropFlip,
    cutout: Option<Cutout>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cutout {
    top: i32,
    left: i32,
    side: usize,
}

impl Draws {
    /// No change at all.
    const NONE: Self =
        Self { window: CropFlip { dy: 0, dx: 0, flip: false, border: Border::Zero }, cutout: None };

    /// Draws in a fixed order, all five numbers always, so that switching one change on or off
    /// leaves the others as they were.
    fn new(augmentation: &Augmentation, seed: u64) -> Self {
        let mut stream = DrawStream::from_seed(seed);
        let padding = augmentation.crop.map_or(0, |crop| crop.padding);
        let mut offset = || stream.below(2 * padding + 1) as i32 - padding as i32;
        let (dy, dx) = (offset(), offset());
        let mirrored = stream.below(2) == 1;
        let (middle_y, middle_x) = (stream.below(SIDE) as i32, stream.below(SIDE) as i32);
        let border = match augmentation.crop.map(|crop| crop.mode) {
            Some(PaddingMode::Reflect) => Border::Reflect,
            Some(PaddingMode::Zeros) | None => Border::Zero,
        };
        let cutout = augmentation.cutout.map(|side| {
            let half = (side / 2) as i32;
            Cutout { top: middle_y - half, left: middle_x - half, side }
        });
        let flip = mirrored && augmentation.horizontal_flip;
        Self { window: CropFlip { dy, dx, flip, border }, cutout }
    }
}

/// Writes what the network sees of `image` (3072 bytes) into `out` (3072 values).
///
/// `augmentation`: the changes and the seed of this sample in this epoch.
pub(crate) fn transform(
    image: &[u8],
    augmentation: Option<(&Augmentation, u64)>,
    normalization: &Normalization,
    out: &mut [f32],
) {
    let Normalization { mean, std } = normalization;
    let draws = augmentation.map_or(Draws::NONE, |(changes, seed)| Draws::new(changes, seed));
    if draws.window == Draws::NONE.window {
        augment::normalise(image, PLANE_LEN, mean, std, out);
    } else {
        augment::crop_flip_normalise(image, SIZE, draws.window, mean, std, out);
    }
    if let Some(Cutout { top, left, side }) = draws.cutout {
        augment::cutout(out, SIZE, top, left, side);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Augmentation = Augmentation {
        crop: Some(RandomCrop { padding: 4, mode: PaddingMode::Zeros }),
        horizontal_flip: true,
        cutout: Some(8),
    };

    #[test]
    fn each_change_is_drawn_as_if_alone() {
        for seed in 0..50 {
            let all = Draws::new(&ALL, seed);
            let uncropped = Draws::new(&Augmentation { crop: None, ..ALL }, seed);
            assert_eq!((uncropped.window.dy, uncropped.window.dx), (0, 0));
            assert_eq!((uncropped.window.flip, uncropped.cutout), (all.window.flip, all.cutout));
            let unmirrored = Draws::new(&Augmentation { horizontal_flip: false, ..ALL }, seed);
            let window = CropFlip { flip: false, ..all.window };
            assert_eq!(unmirrored, Draws { window, ..all });
        }
    }

    #[test]
    fn a_recipe_spells_them_in_kebab_case() {
        let text =
            r#"{"crop": {"padding": 4, "mode": "zeros"}, "horizontal-flip": true, "cutout": 8}"#;
        assert_eq!(serde_json::from_str::<Augmentation>(text).unwrap(), ALL);
        let error =
            serde_json::from_str::<Augmentation>(&text.replace("cutout", "cut")).unwrap_err();
        assert!(error.to_string().contains("unknown field `cut`"), "{error}");
    }
}
