//! Shapes of activations, and each plain layer's output shape as a function of its input shape.

use std::fmt;

use crate::{AvgPool2d, BatchNorm2d, Conv2d, Expected, Linear, MaxPool2d};

/// Shape of one image's activations: the batch axis is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FeatureShape {
    /// `(C, H, W)`.
    Map {
        /// `C`.
        channels: usize,
        /// `H`, pixels.
        height: usize,
        /// `W`, pixels.
        width: usize,
    },
    /// `(F)`.
    Vector {
        /// `F`.
        features: usize,
    },
}

impl FeatureShape {
    /// The dimensions, outermost first.
    pub fn dims(&self) -> Vec<usize> {
        match *self {
            Self::Map { channels, height, width } => vec![channels, height, width],
            Self::Vector { features } => vec![features],
        }
    }

    /// Values per image.
    pub fn n_values(&self) -> usize {
        self.dims().iter().product()
    }
}

impl From<[usize; 3]> for FeatureShape {
    fn from([channels, height, width]: [usize; 3]) -> Self {
        Self::Map { channels, height, width }
    }
}

impl fmt::Display for FeatureShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dims: Vec<String> = self.dims().iter().map(usize::to_string).collect();
        f.write_str(&dims.join("x"))
    }
}

/// Why a plain layer has no output shape; the walk adds the path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Misfit {
    Input(Expected),
    Zero(&'static str),
    Groups(usize),
    Dropout(f64),
}

pub(crate) type Inferred = Result<FeatureShape, Misfit>;

impl Conv2d {
    pub(crate) fn output_shape(&self, input: FeatureShape) -> Inferred {
        positive("in_channels", self.in_channels)?;
        positive("out_channels", self.out_channels)?;
        positive("groups", self.groups)?;
        let divided = |channels: usize| channels.is_multiple_of(self.groups);
        if !divided(self.in_channels) || !divided(self.out_channels) {
            return Err(Misfit::Groups(self.groups));
        }
        let windows = Windows { kernel: self.kernel, stride: self.stride, padding: self.padding };
        match input {
            FeatureShape::Map { channels, height, width } if channels == self.in_channels => {
                Ok(FeatureShape::Map {
                    channels: self.out_channels,
                    height: windows.along(height)?,
                    width: windows.along(width)?,
                })
            }
            _ => Err(Misfit::Input(Expected::Channels(self.in_channels))),
        }
    }
}

impl BatchNorm2d {
    pub(crate) fn output_shape(&self, input: FeatureShape) -> Inferred {
        positive("channels", self.channels)?;
        match input {
            FeatureShape::Map { channels, .. } if channels == self.channels => Ok(input),
            _ => Err(Misfit::Input(Expected::Channels(self.channels))),
        }
    }
}

impl MaxPool2d {
    pub(crate) fn output_shape(&self, input: FeatureShape) -> Inferred {
        Windows { kernel: self.kernel, stride: self.stride, padding: 0 }.pooled(input)
    }
}

impl AvgPool2d {
    pub(crate) fn output_shape(&self, input: FeatureShape) -> Inferred {
        Windows { kernel: self.kernel, stride: self.stride, padding: 0 }.pooled(input)
    }
}

impl Linear {
    pub(crate) fn output_shape(&self, input: FeatureShape) -> Inferred {
        positive("in_features", self.in_features)?;
        positive("out_features", self.out_features)?;
        match input {
            FeatureShape::Vector { features } if features == self.in_features => {
                Ok(FeatureShape::Vector { features: self.out_features })
            }
            _ => Err(Misfit::Input(Expected::Vector(self.in_features))),
        }
    }
}

pub(crate) fn global_avg_pool_shape(input: FeatureShape) -> Inferred {
    match input {
        FeatureShape::Map { channels, .. } => {
            Ok(FeatureShape::Map { channels, height: 1, width: 1 })
        }
        FeatureShape::Vector { .. } => Err(Misfit::Input(Expected::Map)),
    }
}

pub(crate) fn flatten_shape(input: FeatureShape) -> FeatureShape {
    FeatureShape::Vector { features: input.n_values() }
}

/// Square windows laid over a padded map.
#[derive(Clone, Copy)]
struct Windows {
    kernel: usize,
    stride: usize,
    padding: usize,
}

impl Windows {
    /// How many windows fit along an axis of `side` pixels.
    fn along(self, side: usize) -> Result<usize, Misfit> {
        let Self { kernel, stride, padding } = self;
        positive("kernel", kernel)?;
        positive("stride", stride)?;
        let room = (side + 2 * padding).checked_sub(kernel);
        room.map(|room| room / stride + 1).ok_or(Misfit::Input(Expected::Side { kernel, padding }))
    }

    fn pooled(self, input: FeatureShape) -> Inferred {
        match input {
            FeatureShape::Map { channels, height, width } => Ok(FeatureShape::Map {
                channels,
                height: self.along(height)?,
                width: self.along(width)?,
            }),
            FeatureShape::Vector { .. } => Err(Misfit::Input(Expected::Map)),
        }
    }
}

fn positive(field: &'static str, value: usize) -> Result<(), Misfit> {
    if value == 0 { Err(Misfit::Zero(field)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The closed formula against counting the window positions one by one.
        #[test]
        fn windows_are_counted(
            side in 1usize..40, kernel in 1usize..8, stride in 1usize..6, padding in 0usize..4,
        ) {
            let padded = side + 2 * padding;
            let counted = (0..padded).step_by(stride).filter(|at| at + kernel <= padded).count();
            let inferred = Windows { kernel, stride, padding }.along(side);
            prop_assert_eq!(inferred.unwrap_or(0), counted);
        }
    }

    #[test]
    fn height_and_width_are_not_swapped() {
        let conv = Conv2d::new(3, 8, 3).stride(2).padding(1);
        assert_eq!(conv.output_shape([3, 10, 20].into()), Ok([8, 5, 10].into()));
        assert_eq!(MaxPool2d::new(2).output_shape([3, 10, 21].into()), Ok([3, 5, 10].into()));
        let overlapping = AvgPool2d { kernel: 3, stride: 1 };
        assert_eq!(overlapping.output_shape([3, 10, 21].into()), Ok([3, 8, 19].into()));
    }

    #[test]
    fn a_shape_is_printed_outermost_first() {
        assert_eq!(FeatureShape::from([64, 32, 16]).to_string(), "64x32x16");
        assert_eq!(flatten_shape([64, 2, 3].into()).to_string(), "384");
    }
}
