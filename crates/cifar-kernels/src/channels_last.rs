//! The passes between convolutions, on channels-last images: `(R, C)`, a row per pixel of the
//! batch.

pub mod batch_norm;
pub mod pool;
