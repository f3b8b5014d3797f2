//! The kernels as they are compiled with this crate, for f32 and bf16.
//!
//! Functions with type parameters are compiled in each crate that calls them, these with all their
//! instruction sets. Those with `#[inline(never)]` are not, if the crate they come from has compiled
//! them for the same types already: `cifar-net` and `cifar-ops` take 13 and 15 seconds of compilation
//! instead of 105 and 44 (`cargo test --no-run --timings`, Zen 3).

use std::hint::black_box;
use std::time::Duration;

use crate::activation;
use crate::channels_last::{batch_norm, pool};
use crate::conv::{self, Algorithm, Conv2d, Filters, Pass, WeightSums};
use crate::element::{Element, bf16, convert};
use crate::peak;

/// Nobody calls it; that it is there has the compiler compile what it names.
#[doc(hidden)]
#[inline(never)]
pub fn compiled_here() {
    of::<f32>();
    of::<bf16>();
    black_box(convert::<f32, f32> as fn(_, _));
    black_box(convert::<f32, bf16> as fn(_, _));
    black_box(convert::<bf16, f32> as fn(_, _));
    black_box(convert::<bf16, bf16> as fn(_, _));
}

fn of<E: Element>() {
    black_box(Filters::<E>::new as fn(Conv2d, Pass, Algorithm) -> _);
    black_box(Filters::<E>::pack as fn(_, _));
    black_box(conv::forward::<E> as fn(_, _, _, _));
    black_box(conv::input_gradient::<E> as fn(_, _, _, _));
    black_box(WeightSums::<E>::new as fn(Conv2d, Algorithm) -> _);
    black_box(conv::weight_gradient::<E> as fn(_, _, _, _));
    black_box(conv::bias_gradient::<E> as fn(_, _));
    black_box(batch_norm::statistics::<E> as fn(_, _, _));
    black_box(batch_norm::apply::<E> as fn(_, _, _, _, _));
    black_box(batch_norm::parameter_gradients::<E> as fn(_, _, _, _, _, _, _));
    black_box(batch_norm::input_gradient::<E> as fn(_, _, _, _, _, _, _, _));
    black_box(batch_norm::activation_gradient::<E> as fn(_, _, _, _, _));
    black_box(pool::max_pool::<E> as fn(_, _, _, _, _, _));
    black_box(pool::max_pool_backward::<E> as fn(_, _, _, _, _));
    black_box(pool::avg_pool::<E> as fn(_, _, _, _));
    black_box(pool::avg_pool_backward::<E> as fn(_, _, _, _));
    black_box(pool::global_avg_pool::<E> as fn(_, _, _, _));
    black_box(pool::global_avg_pool_backward::<E> as fn(_, _, _, _));
    black_box(activation::apply::<E> as fn(_, _, _, _));
    black_box(activation::gradient::<E> as fn(_, _, _, _));
    black_box(activation::relu_gate::<E> as fn(_, _));
    black_box(peak::operations_per_second::<E> as fn(Duration) -> f64);
    black_box(peak::stream::<E> as fn(_, _));
}
