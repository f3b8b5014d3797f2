//! From the bytes of a picture to what the network sees.

use std::fmt;

use cifar_kernels::augment::{self, Border, CropFlip, ImageSize};
use serde::de::{self, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dataset::{CHANNELS, ChannelStatistics, PLANE_LEN, SIDE};
use crate::error::DataError;
use crate::seed::{DrawStream, sample_seed};

const SIZE: ImageSize = ImageSize { channels: CHANNELS, height: SIDE, width: SIDE };

/// Random changes to a training picture, in this order: crop, flip, (normalise,) cutout; then those
/// of a whole batch, of which each batch takes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Augmentation {
    /// A 32 × 32 window out of the padded picture.
    pub crop: Option<RandomCrop>,
    /// Which pictures are mirrored left to right.
    pub horizontal_flip: HorizontalFlip,
    /// Side, in pixels, of a square filled with the mean colour. Its middle lies anywhere in the
    /// picture, so it may be cut off at the edges (DeVries and Taylor 2017, arXiv:1708.04552).
    pub cutout: Option<usize>,
    /// `α` of mixup: pictures and targets are the mean of two, `λ` of one and `1 − λ` of the other,
    /// with `λ` from `Beta(α, α)` (Zhang et al. 2018, arXiv:1710.09412).
    pub mixup: Option<f64>,
    /// `α` of CutMix: a box of the other picture takes the place of the share `1 − λ`, with `λ` from
    /// `Beta(α, α)` (Yun et al. 2019, arXiv:1905.04899).
    pub cutmix: Option<f64>,
}

/// Which pictures are mirrored left to right. A recipe spells it `false`, `true` or
/// `"alternating"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HorizontalFlip {
    /// None.
    Never,
    /// Each with probability one half, in every epoch anew.
    Random,
    /// Each with probability one half in the first epoch, then in every second epoch: two epochs in
    /// a row show both sides of every picture (Jordan 2024, arXiv:2404.00498, section 3.6).
    Alternating,
}

impl HorizontalFlip {
    const ALTERNATING: &str = "alternating";
}

impl Serialize for HorizontalFlip {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => serializer.serialize_bool(false),
            Self::Random => serializer.serialize_bool(true),
            Self::Alternating => serializer.serialize_str(Self::ALTERNATING),
        }
    }
}

impl<'de> Deserialize<'de> for HorizontalFlip {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Spelling;
        impl Visitor<'_> for Spelling {
            type Value = HorizontalFlip;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true, false or \"alternating\"")
            }

            fn visit_bool<E: de::Error>(self, flips: bool) -> Result<HorizontalFlip, E> {
                Ok(if flips { HorizontalFlip::Random } else { HorizontalFlip::Never })
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<HorizontalFlip, E> {
                match word {
                    HorizontalFlip::ALTERNATING => Ok(HorizontalFlip::Alternating),
                    _ => Err(E::invalid_value(Unexpected::Str(word), &self)),
                }
            }
        }
        deserializer.deserialize_any(Spelling)
    }
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
    /// Checks the parameters: padding and cutout go no further than the picture, and so on.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        if let Some(RandomCrop { padding, .. }) = self.crop {
            require("crop padding", padding, padding < SIDE, "fewer than 32 pixels")?;
        }
        if let Some(side) = self.cutout {
            require("cutout", side, (1..=SIDE).contains(&side), "a side of 1 to 32 pixels")?;
        }
        for (name, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if let Some(alpha) = alpha {
                require(name, alpha, alpha > 0.0 && alpha.is_finite(), "a positive number")?;
            }
        }
        Ok(())
    }
}

/// What brings data with these statistics to mean 0 and deviation 1.
impl From<ChannelStatistics> for Normalization {
    fn from(statistics: ChannelStatistics) -> Self {
        let ChannelStatistics { mean, std } = statistics;
        Self { mean: mean.map(|value| value as f32), std: std.map(|value| value as f32) }
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

/// A picture in an epoch of a run: what decides its draws.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) run_seed: u64,
    pub(crate) epoch: u32,
    pub(crate) index: u32,
}

impl Sample {
    fn seed(self) -> u64 {
        sample_seed(self.run_seed, self.epoch, self.index)
    }

    /// What [`Draws::new`] draws for the mirroring in epoch 0.
    fn drawn_in_first_epoch(self) -> bool {
        let mut stream = DrawStream::from_seed(Self { epoch: 0, ..self }.seed());
        let [_, _, drawn] = [(); 3].map(|()| stream.below(2));
        drawn == 1
    }
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
    fn new(augmentation: &Augmentation, sample: Sample) -> Self {
        let mut stream = DrawStream::from_seed(sample.seed());
        let padding = augmentation.crop.map_or(0, |crop| crop.padding);
        let mut offset = || stream.below(2 * padding + 1) as i32 - padding as i32;
        let (dy, dx) = (offset(), offset());
        let drawn = stream.below(2) == 1;
        let (middle_y, middle_x) = (stream.below(SIDE) as i32, stream.below(SIDE) as i32);
        let border = match augmentation.crop.map(|crop| crop.mode) {
            Some(PaddingMode::Reflect) => Border::Reflect,
            Some(PaddingMode::Zeros) | None => Border::Zero,
        };
        let cutout = augmentation.cutout.map(|side| {
            let half = (side / 2) as i32;
            Cutout { top: middle_y - half, left: middle_x - half, side }
        });
        let flip = match augmentation.horizontal_flip {
            HorizontalFlip::Never => false,
            HorizontalFlip::Random => drawn,
            HorizontalFlip::Alternating => {
                sample.drawn_in_first_epoch() ^ !sample.epoch.is_multiple_of(2)
            }
        };
        Self { window: CropFlip { dy, dx, flip, border }, cutout }
    }
}

/// Writes what the network sees of `image` (3072 bytes) into `out` (3072 values).
///
/// `augmentation`: the changes, and whose draws decide them.
pub(crate) fn transform(
    image: &[u8],
    augmentation: Option<(&Augmentation, Sample)>,
    normalization: &Normalization,
    out: &mut [f32],
) {
    let Normalization { mean, std } = normalization;
    let draws = augmentation.map_or(Draws::NONE, |(changes, sample)| Draws::new(changes, sample));
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
        horizontal_flip: HorizontalFlip::Random,
        cutout: Some(8),
        mixup: Some(0.5),
        cutmix: None,
    };

    #[test]
    fn each_change_is_drawn_as_if_alone() {
        for index in 0..50 {
            let sample = Sample { run_seed: 3, epoch: 1, index };
            let all = Draws::new(&ALL, sample);
            let uncropped = Draws::new(&Augmentation { crop: None, ..ALL }, sample);
            assert_eq!((uncropped.window.dy, uncropped.window.dx), (0, 0));
            assert_eq!((uncropped.window.flip, uncropped.cutout), (all.window.flip, all.cutout));
            let unmirrored =
                Draws::new(&Augmentation { horizontal_flip: HorizontalFlip::Never, ..ALL }, sample);
            let window = CropFlip { flip: false, ..all.window };
            assert_eq!(unmirrored, Draws { window, ..all });
        }
    }

    #[test]
    fn alternating_mirrors_as_the_first_epoch_drew_and_then_every_second_time() {
        let flips = |horizontal_flip, epoch| -> Vec<bool> {
            let changes = Augmentation { horizontal_flip, ..ALL };
            let sample = |index| Sample { run_seed: 5, epoch, index };
            (0..200).map(|index| Draws::new(&changes, sample(index)).window.flip).collect()
        };
        let first = flips(HorizontalFlip::Alternating, 0);
        assert_eq!(first, flips(HorizontalFlip::Random, 0));
        // 100 expected, standard deviation 7.
        assert!((65..136).contains(&first.iter().filter(|&&flip| flip).count()));
        let others: Vec<bool> = first.iter().map(|flip| !flip).collect();
        assert_eq!(flips(HorizontalFlip::Alternating, 1), others);
        assert_eq!(flips(HorizontalFlip::Alternating, 2), first);
    }

    #[test]
    fn a_recipe_spells_them_in_kebab_case() {
        let text = r#"{"crop": {"padding": 4, "mode": "zeros"}, "horizontal-flip": true, "cutout": 8,
            "mixup": 0.5}"#;
        assert_eq!(serde_json::from_str::<Augmentation>(text).unwrap(), ALL);
        let error =
            serde_json::from_str::<Augmentation>(&text.replace("cutout", "cut")).unwrap_err();
        assert!(error.to_string().contains("unknown field `cut`"), "{error}");

        let spelled = |flip: &str| text.replace("true", flip);
        for (flip, meant) in [
            ("false", HorizontalFlip::Never),
            ("true", HorizontalFlip::Random),
            ("\"alternating\"", HorizontalFlip::Alternating),
        ] {
            let read: Augmentation = serde_json::from_str(&spelled(flip)).unwrap();
            assert_eq!(read, Augmentation { horizontal_flip: meant, ..ALL });
            assert_eq!(serde_json::to_string(&meant).unwrap(), flip);
        }
        let error = serde_json::from_str::<Augmentation>(&spelled("\"always\"")).unwrap_err();
        assert!(error.to_string().contains("true, false or \"alternating\""), "{error}");
    }
}
