//! Convolutional-network operations as differentiable candle ops.
//!
//! Each function takes and returns ordinary candle tensors, and `Tensor::backward` works through
//! it. Images are `(N, C, H, W)`. On the CPU the work is done by the loops of `cifar-kernels` and
//! candle's matrix product; on any other device by candle's own operations, composed so that value
//! and gradient follow the same definitions.
//!
//! Tensors are f32, on the CPU also bf16: then values and gradients are stored in bf16, computed
//! and summed in f32. As in PyTorch, a convolution's weight and bias are of the input's dtype,
//! while batch normalisation takes f32 weights and statistics for bf16 images; a gradient is of the
//! dtype of what it belongs to.
//!
//! The definitions are PyTorch's, in the places where candle's own differ: the gradient of
//! [`max_pool2d`] goes whole to one maximum of each window (candle's is multiplied by the share of
//! the window that equals the maximum) and windows may overlap and be padded; the gradient of
//! [`relu`] at 0 is 0 (candle's is 1); [`gelu`] is the exact one, by the error function.
//!
//! Inputs need not be contiguous. A wrong rank, shape or dtype and an empty batch are errors that
//! name the operation and the shapes.

mod activation;
mod batch_norm;
mod conv;
mod conv_bn_act;
mod dropout;
mod loss;
mod operand;
mod pool;
mod portable;

#[cfg(test)]
mod bf16_tests;
#[cfg(test)]
mod gradient_tests;
#[cfg(test)]
mod testing;

pub use activation::{activate, gelu, leaky_relu, relu, silu};
pub use batch_norm::{BatchNormOutput, batch_norm_eval, batch_norm_train};
pub use cifar_kernels::activation::Activation;
pub use cifar_kernels::conv::Algorithm;
pub use conv::{Conv2dParams, conv2d};
pub use conv_bn_act::conv_bn_act;
pub use dropout::{dropout, image_keys, with_image_keys};
pub use loss::cross_entropy;
pub use pool::{avg_pool2d, global_avg_pool2d, max_pool2d};
