//! ONNX: the network as a graph of operators that onnxruntime and most deployers' tools run.
//!
//! Opset 17 and IR version 8 are of 2022: old enough for runtimes in the field, new enough to need
//! no workaround. The batch size is free (dimension `N`); values are f32 throughout. Weights stored
//! as f16 are converted to f32 in the graph, which runtimes do once, at loading. Initialisers have
//! their `state_dict` names and nodes the paths of their modules; a batch norm's counter of batches
//! has no use in inference and is left out.
//!
//! The way back ([`reread`]) takes such files alone: [`scan`] bounds what decoding can cost,
//! [`structure`] checks each tensor and operator and infers all shapes, and only what has passed is
//! given to the runtime, rten, encoded afresh.

mod operator;
mod proto;
mod reread;
mod scan;
mod structure;
mod write;

use prost::Message;

use crate::{ExportError, Metadata, Subject};

pub(crate) use reread::reread;

/// Of 2021-07-30, the format's version that came with opset 15 to 18.
const IR_VERSION: i64 = 8;
const OPSET: i64 = 17;
const INPUT: &str = "images";
const OUTPUT: &str = "logits";

/// The file's bytes.
pub(crate) fn write(subject: &Subject, metadata: &Metadata) -> Result<Vec<u8>, ExportError> {
    Ok(write::model(subject, metadata)?.encode_to_vec())
}

fn damaged(reason: impl Into<String>) -> ExportError {
    ExportError::Damaged { format: "onnx", reason: reason.into() }
}

#[cfg(test)]
mod tests;
