//! What can be wrong with an architecture.

use std::fmt;

use crate::FeatureShape;

/// Why a [`Net`](crate::Net) does not describe a runnable network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NetError {
    /// A layer received activations it cannot take.
    #[error("layer `{path}` ({kind}) receives {input}, expected {expected}")]
    Input {
        /// Path of the layer, such as `layer1.0.conv.0`.
        path: String,
        /// [`Layer::kind`](crate::Layer::kind).
        kind: &'static str,
        /// What arrives.
        input: FeatureShape,
        /// What the layer is made for.
        expected: Expected,
    },
    /// The two branches of a residual block cannot be added.
    #[error(
        "residual block `{path}`: the body gives {body} and the shortcut {shortcut}; \
         a projection as shortcut must give the body's shape"
    )]
    Branches {
        /// Path of the block.
        path: String,
        /// Shape after the body.
        body: FeatureShape,
        /// Shape after the shortcut.
        shortcut: FeatureShape,
    },
    /// A size that must be positive is zero.
    #[error("`{path}`: {field} is 0, expected at least 1")]
    Zero {
        /// Path of the layer, or the net's name.
        path: String,
        /// The field.
        field: &'static str,
    },
    /// Groups that channels cannot be cut into.
    #[error("`{path}`: {groups} groups do not divide the channels, of input and of output")]
    Groups {
        /// Path of the layer.
        path: String,
        /// Their number.
        groups: usize,
    },
    /// A probability that leaves out everything, or none at all.
    #[error("`{path}`: a dropout of {p}, expected a probability of at least 0 and less than 1")]
    Dropout {
        /// Path of the layer.
        path: String,
        /// The probability.
        p: f64,
    },
    /// The last layer does not give one score per class.
    #[error("net `{net}` ends in {output}, expected one score for each of {n_classes} classes")]
    Output {
        /// The net's name.
        net: String,
        /// Shape after the last layer.
        output: FeatureShape,
        /// Classes the net is for.
        n_classes: usize,
    },
    /// A name that cannot be part of a path.
    #[error("`{path}` ends in an unusable layer name: a name is not empty and has no dot")]
    Name {
        /// The path that the name would give.
        path: String,
    },
    /// Two siblings with one name.
    #[error("two layers have the path `{path}`: rename one of them")]
    DuplicateName {
        /// The path they share.
        path: String,
    },
}

/// What a layer can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// A feature map of any size.
    Map,
    /// A feature map with this many channels.
    Channels(usize),
    /// A feature map of at least this side, once padded by `padding`.
    Side {
        /// Side of the window, pixels.
        kernel: usize,
        /// Added on each side, pixels.
        padding: usize,
    },
    /// A vector of this length.
    Vector(usize),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map => write!(f, "a feature map (channels x height x width)"),
            Self::Channels(n) => write!(f, "a feature map of {n} channels"),
            Self::Side { kernel, padding } => {
                write!(f, "a map that holds a {kernel}x{kernel} window with padding {padding}")
            }
            Self::Vector(n) => write!(f, "a vector of {n} features (flatten a map first)"),
        }
    }
}
