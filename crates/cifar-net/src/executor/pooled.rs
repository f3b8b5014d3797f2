//! A convolution with the max pooling behind it, a few images at a time: what lies between the two
//! never leaves the nearest caches.

use cifar_kernels::activation;
use cifar_kernels::buffer::Buffer;
use cifar_kernels::channels_last::pool;
use cifar_kernels::conv::{self, Conv2d, Epilogue};
use cifar_kernels::element::Element;
use cifar_kernels::pool::PoolShape;

use super::backward::ConvGradients;
use super::passes::Packed;
use super::plan::{Op, Operation};

/// Results of the convolution at a time.
const PART_VALUES: usize = 128 * 1024;

/// The two, and the ReLU behind them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pooled<'a> {
    conv: &'a Conv2d,
    shape: &'a PoolShape,
    relu: bool,
}

/// What the passes need for some images at a time.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The convolution's results, or their gradient.
    between: Buffer,
    /// The gradients of the weights and of the biases.
    sums: Buffer,
}

impl<'a> Pooled<'a> {
    /// A convolution that has taken up the pooling behind it.
    pub(super) fn of(operation: &'a Operation) -> Option<Self> {
        match &operation.op {
            Op::Conv { conv, pool: Some(shape), relu, .. } => {
                Some(Self { conv, shape, relu: *relu })
            }
            _ => None,
        }
    }

    /// Values of what lies between, for one image.
    pub(super) fn between_len(&self) -> usize {
        self.conv.out_len()
    }

    /// Images at a time.
    pub(super) fn part_len(&self) -> usize {
        (PART_VALUES / self.between_len()).max(1)
    }

    /// Weights and biases, as many as there may be.
    pub(super) fn n_weights(&self) -> usize {
        self.conv.weight_len() + self.conv.out_channels
    }

    /// Values of the input and of the result for the images of a part.
    fn lens(&self) -> (usize, usize) {
        let out_len = self.shape.out_len() * self.conv.out_channels;
        (self.part_len() * self.conv.in_len(), self.part_len() * out_len)
    }

    /// `x`, `(N, H, W, C)`, to `y` and `argmax`, `(N, OH, OW, K)` behind the pooling.
    pub(super) fn forward<E: Element>(
        &self,
        packed: &Packed<E>,
        bias: Option<&[f32]>,
        x: &[E],
        (y, argmax): (&mut [E], &mut [u32]),
        room: &mut Room,
    ) {
        let Self { conv, shape, relu } = *self;
        let epilogue = Epilogue { bias, ..Epilogue::default() };
        let (in_len, out_len) = self.lens();
        let results = y.chunks_mut(out_len).zip(argmax.chunks_mut(out_len));
        for (x, (y, argmax)) in x.chunks(in_len).zip(results) {
            let between = self.between(&mut room.between, x);
            conv::forward(&packed.forward, x, epilogue, between);
            pool::max_pool(between, shape, conv.out_channels, relu, y, argmax);
        }
    }

    /// All gradients from `dy`, that of the result `y`; it is spent.
    pub(super) fn backward<E: Element>(
        &self,
        packed: &Packed<E>,
        (x, y, argmax): (&[E], &[E], &[u32]),
        dy: &mut [E],
        gradients: ConvGradients<'_, E>,
        room: &mut Room,
    ) {
        let Self { conv, shape, relu } = *self;
        if relu {
            activation::relu_gate(y, dy);
        }
        let ConvGradients { weight, bias, input, accumulate } = gradients;
        let (in_len, out_len) = self.lens();
        room.sums.resize::<f32>(weight.len() + bias.len());
        let mut dx = input.into_iter().flat_map(|dx| dx.chunks_mut(in_len));
        let parts = x.chunks(in_len).zip(dy.chunks(out_len).zip(argmax.chunks(out_len)));
        for (part, (x, (dy, argmax))) in parts.enumerate() {
            let between = self.between(&mut room.between, x);
            pool::max_pool_backward(dy, argmax, shape, conv.out_channels, between);
            let (dweight, dbias) = room.sums.as_mut_slice::<f32>().split_at_mut(weight.len());
            let of_part = ConvGradients {
                weight: &mut *dweight,
                bias: &mut *dbias,
                input: dx.next(),
                accumulate,
            };
            of_part.fill(packed, x, between);
            for (total, sum) in [(&mut *weight, dweight), (&mut *bias, dbias)] {
                match part {
                    0 => total.copy_from_slice(sum),
                    _ => total.iter_mut().zip(sum).for_each(|(total, sum)| *total += *sum),
                }
            }
        }
    }

    /// Room for what lies between, for the images of `x`.
    fn between<'r, E: Element>(&self, room: &'r mut Buffer, x: &[E]) -> &'r mut [E] {
        let len = x.len() / self.conv.in_len() * self.between_len();
        room.resize::<E>(len);
        room.as_mut_slice()
    }
}
