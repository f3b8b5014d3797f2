//! A convolution with the max pooling behind it, a few images at a time: what lies between the two
//! never leaves the nearest caches.

use cifar_kernels::activation;
use cifar_kernels::buffer::Buffer;
use cifar_kernels::channels_last::pool;
use cifar_kernels::conv::{self, Algorithm, Conv2d, Epilogue, Filters};
use cifar_kernels::element::Element;
use cifar_kernels::pool::PoolShape;

/// Results of the convolution at a time.
const PART_VALUES: usize = 64 * 1024;

/// The two, and the ReLU behind them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pooled<'a> {
    pub(super) conv: &'a Conv2d,
    pub(super) shape: &'a PoolShape,
    pub(super) relu: bool,
}

/// The gradients of a convolution; empty where they are not wanted.
pub(super) struct ConvGradients<'a, E> {
    pub(super) weight: &'a mut [f32],
    pub(super) bias: &'a mut [f32],
    pub(super) input: Option<&'a mut [E]>,
}

impl Pooled<'_> {
    /// Images at a time.
    fn part_len(&self) -> usize {
        (PART_VALUES / self.conv.out_len()).max(1)
    }

    /// Values of the result for one image.
    fn out_len(&self) -> usize {
        self.shape.out_len() * self.conv.out_channels
    }

    /// `x`, `(N, H, W, C)`, to `y` and `argmax`, `(N, OH, OW, K)` behind the pooling. `between`: room
    /// for the convolution's results.
    pub(super) fn forward<E: Element>(
        &self,
        filters: &Filters<E>,
        bias: Option<&[f32]>,
        x: &[E],
        (y, argmax): (&mut [E], &mut [u32]),
        between: &mut Buffer,
    ) {
        let Self { conv, shape, relu } = *self;
        let epilogue = Epilogue { bias, ..Epilogue::default() };
        let (in_len, out_len) = (self.part_len() * conv.in_len(), self.part_len() * self.out_len());
        between.resize::<E>(self.part_len() * conv.out_len());
        let results = y.chunks_mut(out_len).zip(argmax.chunks_mut(out_len));
        for (x, (y, argmax)) in x.chunks(in_len).zip(results) {
            let n_images = x.len() / conv.in_len();
            let between = &mut between.as_mut_slice::<E>()[..n_images * conv.out_len()];
            conv::forward(filters, x, epilogue, between);
            pool::max_pool(between, shape, conv.out_channels, relu, y, argmax);
        }
    }

    /// All gradients from `dy`, that of the result `y`; it is spent. `sums`: room for the weights' and
    /// the biases' gradient of a part.
    #[expect(clippy::too_many_arguments, reason = "what went forward, and what comes back")]
    pub(super) fn backward<E: Element>(
        &self,
        algorithm: Algorithm,
        filters: Option<&Filters<E>>,
        (x, y, argmax): (&[E], &[E], &[u32]),
        dy: &mut [E],
        gradients: ConvGradients<'_, E>,
        accumulate: bool,
        between: &mut Buffer,
        sums: &mut Buffer,
    ) {
        let Self { conv, shape, relu } = *self;
        if relu {
            activation::relu_gate(y, dy);
        }
        let (in_len, out_len) = (self.part_len() * conv.in_len(), self.part_len() * self.out_len());
        between.resize::<E>(self.part_len() * conv.out_len());
        sums.resize::<f32>(gradients.weight.len() + gradients.bias.len());
        let mut dx = gradients.input.into_iter().flat_map(|dx| dx.chunks_mut(in_len));
        let parts = x.chunks(in_len).zip(dy.chunks(out_len).zip(argmax.chunks(out_len)));
        for (part, (x, (dy, argmax))) in parts.enumerate() {
            let n_images = x.len() / conv.in_len();
            let between = &mut between.as_mut_slice::<E>()[..n_images * conv.out_len()];
            pool::max_pool_backward(dy, argmax, shape, conv.out_channels, between);
            let sums = sums.as_mut_slice::<f32>();
            let (dweight, dbias) = sums.split_at_mut(gradients.weight.len());
            if !dweight.is_empty() {
                conv::weight_gradient(conv, algorithm, x, between, dweight);
            }
            if !dbias.is_empty() {
                conv::bias_gradient(between, dbias);
            }
            for (total, sum) in [(&mut *gradients.weight, dweight), (&mut *gradients.bias, dbias)] {
                match part {
                    0 => total.copy_from_slice(sum),
                    _ => total.iter_mut().zip(sum).for_each(|(total, sum)| *total += *sum),
                }
            }
            if let (Some(filters), Some(dx)) = (filters, dx.next()) {
                conv::input_gradient(filters, between, accumulate, dx);
            }
        }
    }
}
