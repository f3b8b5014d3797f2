//! CPU loops for training convolutional networks: slices in, slices out.
//!
//! Every function takes plain slices in the layout its documentation names, writes into slices
//! that the caller owns, and knows nothing of tensors. The instructions it uses are found out at
//! run time; see [`isa`]. Loops are shared among the threads of the caller's rayon pool by a
//! partition that depends on the shapes alone, and every sum is taken in a fixed order, so the bits
//! of a result do not depend on how many threads worked on it.
//!
//! Lengths that contradict the stated shapes are a caller's bug and panic with the name of the
//! function; values are never checked, so NaN and infinities travel as IEEE arithmetic has it.

pub mod activation;
pub mod augment;
pub mod buffer;
pub mod channels_last;
mod compiled_here;
pub mod conv;
pub mod dropout;
pub mod element;
mod factor;
mod gemm;
pub mod isa;
pub mod layout;
pub mod loss;
pub mod norm;
pub mod optimizer;
pub mod orthogonal;
pub mod peak;
pub mod pool;
pub mod random;
mod simd;
#[cfg(test)]
mod test_values;

pub use compiled_here::compiled_here;
