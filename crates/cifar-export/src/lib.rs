//! Trained networks as files that other runtimes open, each proven by reading it back.
//!
//! A [`Subject`] is what is written: a network, with its batch norms folded into convolutions where
//! [`Options`] ask for it, and its tensors. Each [`Format`] has a writer, a function from subject and
//! [`Metadata`] to bytes, and a reader ([`Reread`]) that knows nothing but these bytes. A
//! [`Comparison`] of the reader's logits with the network's own gives the [`Check`], which goes into
//! the [`Manifest`] beside the file. A [`Draft`] takes its place only once the check is passed.

mod check;
mod draft;
mod error;
mod fold;
mod format;
mod manifest;
mod metadata;
mod onnx;
mod options;
mod reread;
mod safetensors;
mod subject;
mod torchscript;

pub use check::{Check, Comparison, Tolerance};
pub use draft::Draft;
pub use error::ExportError;
pub use fold::Folding;
pub use format::Format;
pub use manifest::{Manifest, sha256};
pub use metadata::{Metadata, Reported};
pub use options::{Dtype, Normalization, Options};
pub use reread::Reread;
pub use subject::Subject;

#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod test_models;
#[cfg(test)]
mod test_nets;
