//! What is asked of an export.

use serde::{Deserialize, Serialize};

/// What is asked of an export, whatever the format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Whether batch norms become part of the convolutions before them where that changes no
    /// result; see [`Folding`](crate::Folding).
    pub fold_batch_norm: bool,
    /// `None`: the graph takes normalised f32 images `(N, 3, 32, 32)`. `Some`: it takes RGB bytes
    /// `(N, 32, 32, 3)`, as image files are decoded to, and normalises them itself.
    pub preprocess: Option<Normalization>,
    /// What weights are stored in.
    pub dtype: Dtype,
}

impl Options {
    /// What the graph takes, in words.
    pub fn input(&self) -> &'static str {
        match self.preprocess {
            None => "normalised RGB, f32 (N, 3, 32, 32)",
            Some(_) => "RGB bytes, u8 (N, 32, 32, 3)",
        }
    }
}

/// What weights are stored in. Inputs (without preprocessing), arithmetic and logits are f32 in
/// either case, as half-precision arithmetic on a CPU is slow or missing in most runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dtype {
    /// All tensors as they were trained.
    F32,
    /// The weights of convolutions and linear layers are rounded to f16, and converted to f32 in
    /// the graph; biases and batch norm, which are a thousandth of the file, stay f32.
    F16,
}

impl Dtype {
    /// `f32` or `f16`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
        }
    }
}

/// Brings bytes to `(value / 255 - mean) / std` per channel, in the order red, green, blue.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// Means of values divided by 255.
    pub mean: [f32; 3],
    /// Standard deviations likewise.
    pub std: [f32; 3],
}
