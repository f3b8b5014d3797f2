//! Event files that TensorBoard shows.
//!
//! An [`EventWriter`] takes scalars, pictures, histograms, text and hyperparameters from a training
//! thread and writes them on a thread of its own.
//!
//! A file is a row of records (`record.rs`: TensorFlow's `core/lib/io/record_writer.cc`), each an
//! `Event` message (`proto.rs`: `event.proto` and `summary.proto` of TensorFlow's
//! `core/framework` and `core/util`). Text and hyperparameters are plugins of TensorBoard and have
//! their meaning in a summary's metadata (`plugins/text/metadata.py`,
//! `plugins/hparams/plugin_data.proto` of <https://github.com/tensorflow/tensorboard>).
//!
//! A reader accepts a file up to its last whole record, so a run that is killed loses nothing that
//! was on disk. What a resumed run writes goes to a new file beside the old one. That file begins
//! with a `SessionLog` of status `START` and a step, upon which a reader forgets what it has of
//! that step and later ones (`backend/event_processing/event_accumulator.py`).

mod histogram;
mod proto;
mod record;
mod summary;
mod writer;

pub use summary::Hparam;
pub use writer::{EventFileError, EventWriter};

#[cfg(test)]
mod tests;
