//! The weights' gradient.
//!
//! The batch is cut into parts whose number depends on the shape alone; each part sums in order,
//! and the parts' sums are added in order, so the bits do not depend on the threads.

use std::marker::PhantomData;

use rayon::prelude::*;

use super::{Algorithm, Conv2d, Loops, depthwise, winograd};
use crate::buffer::with_scratch;
use crate::element::Element;
use crate::gemm::{self, sums_at, sums_len};
use crate::isa::Isa;

mod blocks;
mod direct;
mod frame;
mod seen;

use direct::Sums;

/// Parts of a batch, and how many of them are few.
const PARTS: usize = 8;
const FEW_PARTS: usize = 4;

/// Pixels of the result that a part has at least.
const PART_PIXELS: usize = 256;

/// Weights of a tap for each pixel of a part, where there are more than a few parts: the sums of each part
/// travel through memory.
const WEIGHTS_OF_PIXEL: usize = 32;

/// As `super::LEAST_GAIN`; the sums of all frequencies take more memory than those of the taps.
const LEAST_GAIN: f64 = 1.4;

/// How the weights' gradient of one convolution is summed: found once, for all batches.
#[derive(Debug, Clone)]
pub struct WeightSums<E: Element = f32> {
    conv: Conv2d,
    loops: Loops<Sums>,
    isa: Isa,
    element: PhantomData<E>,
}

impl<E: Element> WeightSums<E> {
    /// Where `algorithm` does not apply to `conv`, the direct one is taken.
    ///
    /// # Panics
    /// If `conv` has a stride of 0, or groups that do not divide its channels.
    #[inline(never)]
    pub fn new(conv: Conv2d, algorithm: Algorithm) -> Self {
        conv.check();
        let isa = Isa::current();
        let loops = conv.loops::<E, _>(algorithm, LEAST_GAIN, || Sums::new(isa, &conv));
        Self { conv, loops, isa, element: PhantomData }
    }
}

/// `x`, `(N, H, W, C)`, and `dy`, `(N, OH, OW, K)`, to `dweight`, `(K, C / groups, kh, kw)`,
/// overwritten.
///
/// # Panics
/// If lengths do not fit.
#[inline(never)]
pub fn weight_gradient<E: Element>(sums: &WeightSums<E>, x: &[E], dy: &[E], dweight: &mut [f32]) {
    let WeightSums { conv, loops, isa, .. } = sums;
    let isa = *isa;
    let n_images = conv.n_images(x.len(), dy.len());
    assert_eq!(dweight.len(), conv.weight_len(), "convolution: weights do not fit");
    let one = conv.of_one_group();
    let of_group = sums_len(isa, one.n_taps() * one.in_channels, one.out_channels);
    let len = match loops {
        Loops::Depthwise => depthwise::sums_len(conv),
        Loops::Direct(_) | Loops::Winograd => conv.groups * of_group,
    };
    let n_pixels = n_images * conv.out_height() * conv.out_width();
    let weights = one.in_channels * conv.out_channels;
    let worth = (n_pixels * WEIGHTS_OF_PIXEL / weights).clamp(FEW_PARTS, PARTS);
    let part_len = n_images.div_ceil((n_pixels / PART_PIXELS).clamp(1, worth)).max(1);
    let n_parts = n_images.div_ceil(part_len).max(1);
    with_scratch(n_parts * len, |sums: &mut [f32]| {
        sums.par_chunks_exact_mut(len).enumerate().for_each(|(part, sums)| {
            let images = part * part_len..((part + 1) * part_len).min(n_images);
            let x = &x[images.start * conv.in_len()..images.end * conv.in_len()];
            let dy = &dy[images.start * conv.out_len()..images.end * conv.out_len()];
            match loops {
                Loops::Direct(direct) => {
                    for (group, sums) in sums.chunks_exact_mut(of_group).enumerate() {
                        direct.add_up(isa, group, (x, dy), sums);
                    }
                }
                Loops::Winograd => winograd::weight_gradient(isa, conv, x, dy, sums),
                Loops::Depthwise => depthwise::weight_gradient(isa, conv, x, dy, sums),
            }
        });
        add_parts(sums, len);
        if let Loops::Depthwise = loops {
            return depthwise::write(conv, &sums[..len], dweight);
        }
        let groups = sums[..len].chunks_exact(of_group);
        for (sums, dweight) in groups.zip(dweight.chunks_exact_mut(one.weight_len())) {
            write(isa, &one, sums, dweight);
        }
    });
}

/// Adds all parts to the first, each place in the order of the parts.
fn add_parts(sums: &mut [f32], len: usize) {
    const PLACES: usize = 4096;
    let (first, others) = sums.split_at_mut(len);
    first.par_chunks_mut(PLACES).enumerate().for_each(|(chunk, first)| {
        for part in others.chunks_exact(len) {
            for (sum, &value) in first.iter_mut().zip(&part[chunk * PLACES..]) {
                *sum += value;
            }
        }
    });
}

/// From tiles of `(kh·kw·C, K)` to `(K, C, kh·kw)`.
fn write(isa: Isa, conv: &Conv2d, sums: &[f32], dweight: &mut [f32]) {
    let (c, taps, k) = (conv.in_channels, conv.n_taps(), conv.out_channels);
    let width = gemm::panel_width(isa, k);
    // So many weights of every filter of a panel at a time: both sides then stay in the nearest cache.
    const WEIGHTS: usize = 16;
    dweight.par_chunks_mut(width * c * taps).enumerate().for_each(|(block, dweight)| {
        for first in (0..c * taps).step_by(WEIGHTS) {
            let from: [usize; WEIGHTS] = std::array::from_fn(|at| {
                let at = (first + at).min(c * taps - 1);
                sums_at(isa, at % taps * c + at / taps, block * width, k)
            });
            for (filter, dweight) in dweight.chunks_exact_mut(c * taps).enumerate() {
                for (to, from) in dweight[first..].iter_mut().zip(from) {
                    *to = sums[from + filter];
                }
            }
        }
    });
}
