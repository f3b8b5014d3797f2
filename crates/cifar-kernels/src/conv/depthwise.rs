//! Depthwise convolution: every channel for itself, so that a product of matrices would have one
//! column. These loops run over a pixel's channels instead.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]
#![expect(clippy::needless_range_loop, reason = "vectors are written down by their indices")]

use rayon::prelude::*;

use super::{Conv2d, Epilogue};
use crate::element::Element;
use crate::isa::Isa;
use crate::simd::{Simd, in_blocks, load, per_isa, store};

/// Rows of the result that one thread takes at a time, at least.
const MIN_ROWS: usize = 8;

/// Packs the weights, `(C, 1, kh, kw)`, as `(kh·kw, C)`, rounded as `E` stores them.
pub(super) fn pack<E: Element>(conv: &Conv2d, weight: &[f32], packed: &mut [f32]) {
    let (c, taps) = (conv.in_channels, conv.n_taps());
    for (channel, weight) in weight.chunks_exact(taps).enumerate() {
        for (tap, &value) in weight.iter().enumerate() {
            packed[tap * c + channel] = E::from_f32(value).to_f32();
        }
    }
}

/// Along one axis: for each place of the result, the kernel's rows (or columns) that meet a row
/// of the source, and which.
type Meetings = Vec<Vec<(usize, usize)>>;

/// What the forward pass meets on an axis of `len` pixels.
fn forward_meetings(conv: &Conv2d, len: usize, kernel: usize, out_len: usize) -> Meetings {
    let source = |at: usize, k: usize| (at * conv.stride + k).checked_sub(conv.padding);
    let met = |at| {
        let taps = (0..kernel).filter_map(|k| Some((k, source(at, k)?)));
        taps.filter(|&(_, source)| source < len).collect()
    };
    (0..out_len).map(met).collect()
}

/// What the input's gradient meets on an axis of `len` pixels, of which the windows see
/// `out_len` places.
fn gradient_meetings(conv: &Conv2d, len: usize, kernel: usize, out_len: usize) -> Meetings {
    let source = |at: usize, k: usize| {
        let distance = (at + conv.padding).checked_sub(k)?;
        distance.is_multiple_of(conv.stride).then_some(distance / conv.stride)
    };
    let met = |at| {
        let taps = (0..kernel).filter_map(|k| Some((k, source(at, k)?)));
        taps.filter(|&(_, source)| source < out_len).collect()
    };
    (0..len).map(met).collect()
}

/// `x`, `(N, H, W, C)`, to `y`, `(N, OH, OW, C)`.
pub(super) fn forward<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    packed: &[f32],
    x: &[E],
    epilogue: Epilogue<'_>,
    y: &mut [E],
) {
    let (oh, ow) = (conv.out_height(), conv.out_width());
    let rows = forward_meetings(conv, conv.height, conv.kernel_height, oh);
    let columns = forward_meetings(conv, conv.width, conv.kernel_width, ow);
    sum_meetings(isa, conv, (conv.height, conv.width), (&rows, &columns), packed, x, epilogue, y);
}

/// `dy`, `(N, OH, OW, C)`, to `dx`, `(N, H, W, C)`.
pub(super) fn input_gradient<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    packed: &[f32],
    dy: &[E],
    epilogue: Epilogue<'_>,
    dx: &mut [E],
) {
    let (oh, ow) = (conv.out_height(), conv.out_width());
    let rows = gradient_meetings(conv, conv.height, conv.kernel_height, oh);
    let columns = gradient_meetings(conv, conv.width, conv.kernel_width, ow);
    sum_meetings(isa, conv, (oh, ow), (&rows, &columns), packed, dy, epilogue, dx);
}

/// Where the weights and the pixel of one product begin.
#[derive(Debug, Clone, Copy)]
struct Product {
    weights: usize,
    source: usize,
}

/// Each pixel of `to` as the sum over what it meets in `from`, whose images have `height` rows
/// and `width` columns.
#[expect(clippy::too_many_arguments, reason = "two images, their meetings and the weights")]
fn sum_meetings<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    (height, width): (usize, usize),
    (rows, columns): (&Meetings, &Meetings),
    packed: &[f32],
    from: &[E],
    epilogue: Epilogue<'_>,
    to: &mut [E],
) {
    let c = conv.in_channels;
    assert_eq!(packed.len(), conv.n_taps() * c, "depthwise convolution: weights do not fit");
    assert!(epilogue.bias.is_none_or(|bias| bias.len() == c), "depthwise: one bias a channel");
    let to_rows = to.par_chunks_mut(columns.len() * c).enumerate().with_min_len(MIN_ROWS);
    to_rows.for_each_init(Vec::new, |products, (at, to)| {
        let (image, row) = (at / rows.len(), at % rows.len());
        for (column, pixel) in columns.iter().zip(to.chunks_exact_mut(c)) {
            products.clear();
            for &(ky, y) in &rows[row] {
                products.extend(column.iter().map(|&(kx, x)| Product {
                    weights: (ky * conv.kernel_width + kx) * c,
                    source: ((image * height + y) * width + x) * c,
                }));
            }
            // SAFETY: taps of the kernel, pixels of the images, and `c` values of all.
            unsafe { sum_products(isa, products, packed, from, epilogue, pixel) };
        }
    });
}

per_isa! {
    unsafe fn sum_products<E: Element>(
        products: &[Product], weights: &[f32], from: &[E], epilogue: Epilogue<'_>, to: &mut [E],
    ) = sum_products_body
}

/// # Safety
/// `to.len()` values from each product's weights and source, and of the bias.
#[inline(always)]
unsafe fn sum_products_body<S: Simd, E: Element, const M: usize>(
    s: S,
    products: &[Product],
    weights: &[f32],
    from: &[E],
    epilogue: Epilogue<'_>,
    to: &mut [E],
) {
    in_blocks!(s, to.len(), sum_products_of(products, weights, from, epilogue, to));
}

/// # Safety
/// As for [`sum_products_body`]; `B` vectors of channels from `channel`.
#[inline(always)]
unsafe fn sum_products_of<S: Simd, E: Element, const B: usize>(
    s: S,
    channel: usize,
    products: &[Product],
    weights: &[f32],
    from: &[E],
    epilogue: Epilogue<'_>,
    to: &mut [E],
) {
    let mut sum = [s.splat(0.0); B];
    for product in products {
        // SAFETY: the caller's.
        let (weight, value) = unsafe {
            let weight = load::<S, f32, B>(s, weights, product.weights + channel);
            (weight, load::<S, E, B>(s, from, product.source + channel))
        };
        for b in 0..B {
            sum[b] = s.mul_add(weight[b], value[b], sum[b]);
        }
    }
    // SAFETY: the caller's.
    unsafe {
        if epilogue.accumulate {
            let there = load::<S, E, B>(s, to, channel);
            for b in 0..B {
                sum[b] = s.add(sum[b], there[b]);
            }
        }
        if let Some(bias) = epilogue.bias {
            let bias = load::<S, f32, B>(s, bias, channel);
            for b in 0..B {
                sum[b] = s.add(sum[b], bias[b]);
            }
        }
        if epilogue.relu {
            for b in 0..B {
                sum[b] = s.relu(sum[b]);
            }
        }
        store::<S, E, B>(s, to, channel, sum);
    }
}

/// Values of the sums of [`weight_gradient`].
pub(super) fn sums_len(conv: &Conv2d) -> usize {
    conv.n_taps() * conv.in_channels
}

/// The sums over all images, `(kh·kw, C)`.
pub(super) fn weight_gradient<E: Element>(
    isa: Isa,
    conv: &Conv2d,
    x: &[E],
    dy: &[E],
    sums: &mut [f32],
) {
    sums.fill(0.0);
    let c = conv.in_channels;
    let (oh, ow) = (conv.out_height(), conv.out_width());
    let rows = forward_meetings(conv, conv.height, conv.kernel_height, oh);
    let columns = forward_meetings(conv, conv.width, conv.kernel_width, ow);
    // Of each column of the kernel: the result's columns it meets, which are neighbours.
    let met = |kx: usize| {
        let at = |&(k, x): &(usize, usize)| (k == kx).then_some(x);
        let places = columns.iter().map(|met| met.iter().find_map(at));
        let first = places.clone().position(|x| x.is_some()).unwrap_or(0);
        let n = places.clone().flatten().count();
        (first, places.flatten().next().unwrap_or(0), n)
    };
    let met: Vec<_> = (0..conv.kernel_width).map(met).collect();
    let images = x.chunks_exact(conv.in_len()).zip(dy.chunks_exact(conv.out_len()));
    for (x, dy) in images {
        for (dy, row) in dy.chunks_exact(ow * c).zip(&rows) {
            for &(ky, y) in row {
                for (kx, &(first, column, n)) in met.iter().enumerate() {
                    let x = &x[(y * conv.width + column) * c..];
                    let sums = &mut sums[(ky * conv.kernel_width + kx) * c..][..c];
                    // SAFETY: `n` pixels of `dy` and, a stride apart, of `x`.
                    unsafe { add_products(isa, x, conv.stride * c, &dy[first * c..], n, sums) };
                }
            }
        }
    }
}

/// From `(kh·kw, C)` to `(C, 1, kh, kw)`.
pub(super) fn write(conv: &Conv2d, sums: &[f32], dweight: &mut [f32]) {
    let (c, taps) = (conv.in_channels, conv.n_taps());
    for (channel, dweight) in dweight.chunks_exact_mut(taps).enumerate() {
        for (tap, value) in dweight.iter_mut().enumerate() {
            *value = sums[tap * c + channel];
        }
    }
}

per_isa! {
    unsafe fn add_products<E: Element>(
        x: &[E], step: usize, dy: &[E], n: usize, sums: &mut [f32],
    ) = add_products_body
}

/// # Safety
/// `n` pixels of `sums.len()` values, `step` apart in `x`, side by side in `dy`.
#[inline(always)]
unsafe fn add_products_body<S: Simd, E: Element, const M: usize>(
    s: S,
    x: &[E],
    step: usize,
    dy: &[E],
    n: usize,
    sums: &mut [f32],
) {
    in_blocks!(s, sums.len(), add_products_of(x, step, dy, n, sums));
}

/// # Safety
/// As for [`add_products_body`]; `B` vectors of channels from `channel`.
#[inline(always)]
unsafe fn add_products_of<S: Simd, E: Element, const B: usize>(
    s: S,
    channel: usize,
    x: &[E],
    step: usize,
    dy: &[E],
    n: usize,
    sums: &mut [f32],
) {
    let c = sums.len();
    // SAFETY: the caller's.
    unsafe {
        let mut sum = load::<S, f32, B>(s, sums, channel);
        for pixel in 0..n {
            let x = load::<S, E, B>(s, x, pixel * step + channel);
            let dy = load::<S, E, B>(s, dy, pixel * c + channel);
            for b in 0..B {
                sum[b] = s.mul_add(x[b], dy[b], sum[b]);
            }
        }
        store::<S, f32, B>(s, sums, channel, sum);
    }
}
