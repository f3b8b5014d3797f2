//! Two-dimensional convolution and its gradients, channels last.
//!
//! Images are `(N, H, W, C)`, weights PyTorch's `(K, C / groups, kh, kw)`; a pixel's channels lie
//! side by side, so every inner loop runs over whole vectors of them. With as many groups as
//! channels, in and out, the convolution is *depthwise* and has loops of its own. For the others
//! there are two algorithms:
//!
//! - [`Algorithm::Direct`] multiplies what the window sees, where it lies, with the packed weights;
//!   for every shape.
//! - [`Algorithm::Winograd`] is F(4×4, 3×3) of Lavin and Gray 2015 (arXiv:1509.09308) for f32: 36
//!   products in the place of 144. Its sums pass through larger intermediate values, which costs
//!   about one decimal digit: relative errors (L2) reach 4e-6 where the direct ones stay at 3e-7.
//!   For bf16 it is F(2×2, 3×3), 16 products in the place of 36, with relative errors of up to
//!   5e-3, some three times the rounding of the result.
//!
//! Images, results and their gradients are f32 or bf16, see [`Element`]; weights and their
//! gradients are f32, and products are summed in f32.
//!
//! A [`Filters`] holds the weights packed for one of them; pack again whenever the weights change.

use std::marker::PhantomData;
use std::ops::Range;

use crate::buffer::Buffer;
use crate::element::Element;
use crate::isa::Isa;

mod bias_gradient;
mod depthwise;
mod direct;
pub mod reference;
mod weight_gradient;
mod winograd;

pub use crate::gemm::Epilogue;
pub use bias_gradient::bias_gradient;
pub use weight_gradient::{WeightSums, weight_gradient};

/// A convolution of images of one size: zeros around the image, the same stride both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Conv2d {
    /// `C`
    pub in_channels: usize,
    /// `K`
    pub out_channels: usize,
    /// `H`: rows of the image.
    pub height: usize,
    /// `W`: columns of the image.
    pub width: usize,
    /// `kh`: rows of the window.
    pub kernel_height: usize,
    /// `kw`: columns of the window.
    pub kernel_width: usize,
    /// Pixels from one window to the next, in both directions; at least 1.
    pub stride: usize,
    /// Rows and columns of zeros on every side of the image.
    pub padding: usize,
    /// Parts that input and output channels are cut into, each a convolution of its own; 1 for
    /// an ordinary one. Divides both numbers of channels.
    pub groups: usize,
}

impl Conv2d {
    /// `OH`: windows from top to bottom, 0 if the window is larger than the padded image.
    #[inline]
    pub fn out_height(&self) -> usize {
        n_windows(self.height, self.kernel_height, self.stride, self.padding)
    }

    /// `OW`: windows from left to right, 0 if the window is larger than the padded image.
    #[inline]
    pub fn out_width(&self) -> usize {
        n_windows(self.width, self.kernel_width, self.stride, self.padding)
    }

    /// `H·W·C`: values of one image.
    #[inline]
    pub fn in_len(&self) -> usize {
        self.height * self.width * self.in_channels
    }

    /// `OH·OW·K`: values of one image's result.
    #[inline]
    pub fn out_len(&self) -> usize {
        self.out_height() * self.out_width() * self.out_channels
    }

    /// `kh·kw`
    #[inline]
    pub fn n_taps(&self) -> usize {
        self.kernel_height * self.kernel_width
    }

    /// `K·(C / groups)·kh·kw`: values of the weights.
    pub fn weight_len(&self) -> usize {
        self.out_channels * (self.in_channels / self.groups) * self.n_taps()
    }

    /// Multiply-adds of one image's forward pass, by the definition; the zeros around count.
    pub fn multiply_adds(&self) -> u64 {
        (self.out_height() * self.out_width() * self.weight_len()) as u64
    }

    /// Rows and columns of the result in whose windows the tap `ky·kw + kx` meets a pixel of the image,
    /// and no zero around it.
    fn results_of_tap(&self, tap: usize) -> (Range<usize>, Range<usize>) {
        let along = |at: usize, image: usize, results: usize| {
            let result = |edge: usize| edge.saturating_sub(at).div_ceil(self.stride).min(results);
            result(self.padding)..result(self.padding + image)
        };
        let (row, column) = (tap / self.kernel_width, tap % self.kernel_width);
        let rows = along(row, self.height, self.out_height());
        (rows, along(column, self.width, self.out_width()))
    }

    /// Whether Winograd's algorithm can compute it: 3×3, stride 1, one group, padding of at most 2,
    /// at least 16 channels on both sides, in eights.
    pub fn winograd_applies(&self) -> bool {
        let window = (self.kernel_height, self.kernel_width, self.stride, self.groups);
        let channels = [self.in_channels, self.out_channels];
        window == (3, 3, 1, 1)
            && self.padding <= 2
            && channels.iter().all(|n| *n >= 16 && n % 8 == 0)
    }

    /// The loops of a pass where `wanted` is asked for. Winograd's algorithm counts as faster if the
    /// direct one multiplies at least `least` times as often.
    fn loops<E: Element, D>(
        &self,
        wanted: Algorithm,
        least: f64,
        direct: impl FnOnce() -> D,
    ) -> Loops<D> {
        let wanted = match wanted {
            Algorithm::Fastest if winograd::pays::<E>(self, least) => Algorithm::Winograd,
            wanted => wanted,
        };
        match wanted {
            _ if self.is_depthwise() => Loops::Depthwise,
            Algorithm::Winograd if self.winograd_applies() => Loops::Winograd,
            _ => Loops::Direct(direct()),
        }
    }

    /// Whether every channel is a group.
    fn is_depthwise(&self) -> bool {
        self.groups > 1 && (self.in_channels, self.out_channels) == (self.groups, self.groups)
    }

    /// The convolution of one group's channels.
    fn of_one_group(&self) -> Self {
        Self {
            in_channels: self.in_channels / self.groups,
            out_channels: self.out_channels / self.groups,
            groups: 1,
            ..*self
        }
    }

    fn check(&self) {
        assert!(self.stride > 0, "convolution: a stride of 0");
        let divides = |channels: usize| self.groups > 0 && channels.is_multiple_of(self.groups);
        assert!(
            divides(self.in_channels) && divides(self.out_channels),
            "convolution: groups that do not divide the channels"
        );
    }

    /// Images in `x` and `y`, after checking their lengths and the shape.
    fn n_images(&self, x_len: usize, y_len: usize) -> usize {
        self.check();
        assert!(self.out_len() > 0, "convolution: an empty result");
        assert!(x_len.is_multiple_of(self.in_len()), "convolution: not whole images");
        let n_images = x_len / self.in_len();
        assert_eq!(y_len, n_images * self.out_len(), "convolution: result and images do not fit");
        n_images
    }

    /// The convolution that gives the input's gradient of this one, which has stride 1: the
    /// result's gradient is the image, the window is turned around.
    fn transposed(&self) -> Self {
        Self {
            in_channels: self.out_channels,
            out_channels: self.in_channels,
            height: self.out_height(),
            width: self.out_width(),
            padding: self.kernel_height - 1 - self.padding,
            ..*self
        }
    }
}

/// How a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// As the sums of the definition.
    Direct,
    /// F(4×4, 3×3), for bf16 F(2×2, 3×3), where it applies; else directly.
    Winograd,
    /// For each pass the one of the two that is faster for its shape.
    Fastest,
}

/// Where the direct algorithm multiplies fewer times as often as this, Winograd's transforms cost more
/// than they save.
const LEAST_GAIN: f64 = 1.3;

/// The loops of a convolution; what the direct ones need is found once.
#[derive(Debug, Clone)]
enum Loops<D> {
    Direct(D),
    Winograd,
    Depthwise,
}

/// What [`Filters`] are packed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pass {
    /// [`forward`]
    Forward,
    /// [`input_gradient`]
    InputGradient,
}

/// A convolution's weights in the order that one of its passes reads them.
#[derive(Debug, Clone)]
pub struct Filters<E: Element = f32> {
    conv: Conv2d,
    pass: Pass,
    loops: Loops<direct::Plan>,
    isa: Isa,
    packed: Buffer,
    element: PhantomData<E>,
}

impl<E: Element> Filters<E> {
    /// Room for the weights of `conv`, all 0; [`Filters::pack`] fills it. Where `algorithm` does
    /// not apply to `conv`, the direct one is taken.
    ///
    /// # Panics
    /// If `conv` has a stride of 0, or groups that do not divide its channels.
    #[inline(never)]
    pub fn new(conv: Conv2d, pass: Pass, algorithm: Algorithm) -> Self {
        conv.check();
        let isa = Isa::current();
        let plan = || direct::Plan::new::<E>(isa, &conv, pass);
        let loops = conv.loops::<E, _>(algorithm, LEAST_GAIN, plan);
        let packed = match &loops {
            Loops::Direct(plan) => Buffer::zeros::<E::Factor>(plan.packed_len(isa)),
            Loops::Winograd => Buffer::zeros::<E::Factor>(winograd::packed_len::<E>(isa, &conv)),
            Loops::Depthwise => Buffer::zeros::<f32>(conv.weight_len()),
        };
        Self { conv, pass, loops, isa, packed, element: PhantomData }
    }

    /// Packs `weight`, `(K, C / groups, kh, kw)`.
    ///
    /// # Panics
    /// If its length is another.
    #[inline(never)]
    pub fn pack(&mut self, weight: &[f32]) {
        assert_eq!(weight.len(), self.conv.weight_len(), "convolution: weights do not fit");
        let (isa, conv, packed) = (self.isa, &self.conv, &mut self.packed);
        match &self.loops {
            Loops::Direct(plan) => plan.pack::<E>(isa, conv, weight, packed.as_mut_slice()),
            Loops::Winograd => {
                winograd::pack::<E>(isa, conv, self.pass, weight, packed.as_mut_slice());
            }
            Loops::Depthwise => depthwise::pack::<E>(conv, weight, packed.as_mut_slice()),
        }
    }

    /// The algorithm they are packed for: never [`Algorithm::Fastest`].
    pub fn algorithm(&self) -> Algorithm {
        if matches!(self.loops, Loops::Winograd) { Algorithm::Winograd } else { Algorithm::Direct }
    }

    /// Bytes of the packed weights.
    pub fn n_bytes(&self) -> usize {
        self.packed.n_bytes()
    }
}

/// Cross-correlation, which PyTorch calls convolution: `x`, `(N, H, W, C)`, to `y`,
/// `(N, OH, OW, K)`, with `epilogue` done on the way.
///
/// ```
/// use cifar_kernels::conv::{Algorithm, Conv2d, Epilogue, Filters, Pass, forward};
///
/// let image = [1., 2., 3., 0., 0., 1., 2., 3., 3., 0., 1., 2., 2., 3., 0., 1.];
/// let weight = [2., 0., 1., 0., 1., 2., 1., 0., 2.];
/// let conv = Conv2d {
///     in_channels: 1,
///     out_channels: 1,
///     height: 4,
///     width: 4,
///     kernel_height: 3,
///     kernel_width: 3,
///     stride: 1,
///     padding: 0,
///     groups: 1,
/// };
/// let mut filters = Filters::<f32>::new(conv, Pass::Forward, Algorithm::Fastest);
/// filters.pack(&weight);
/// let mut y = [0.0; 4];
/// forward(&filters, &image, Epilogue::default(), &mut y);
/// assert_eq!(y, [15., 16., 6., 15.]);
/// ```
///
/// # Panics
/// If lengths do not fit, or `filters` are packed for the other pass.
#[inline(never)]
pub fn forward<E: Element>(filters: &Filters<E>, x: &[E], epilogue: Epilogue<'_>, y: &mut [E]) {
    let conv = &filters.conv;
    assert_eq!(filters.pass, Pass::Forward, "convolution: filters of another pass");
    if conv.n_images(x.len(), y.len()) == 0 {
        return;
    }
    let (isa, packed) = (filters.isa, &filters.packed);
    match &filters.loops {
        Loops::Direct(plan) => plan.run(isa, packed.as_slice(), x, epilogue, y),
        Loops::Winograd => winograd::forward(isa, conv, packed.as_slice(), x, epilogue, y),
        Loops::Depthwise => depthwise::forward(isa, conv, packed.as_slice(), x, epilogue, y),
    }
}

/// The input's gradient: `dy`, `(N, OH, OW, K)`, to `dx`, `(N, H, W, C)`, which is overwritten,
/// or added to with `accumulate`.
///
/// # Panics
/// If lengths do not fit, or `filters` are packed for the other pass.
#[inline(never)]
pub fn input_gradient<E: Element>(filters: &Filters<E>, dy: &[E], accumulate: bool, dx: &mut [E]) {
    let conv = &filters.conv;
    assert_eq!(filters.pass, Pass::InputGradient, "convolution: filters of another pass");
    if conv.n_images(dx.len(), dy.len()) == 0 {
        return;
    }
    let (isa, packed) = (filters.isa, &filters.packed);
    let epilogue = Epilogue { accumulate, ..Epilogue::default() };
    match &filters.loops {
        Loops::Direct(plan) => plan.run(isa, packed.as_slice(), dy, epilogue, dx),
        Loops::Winograd => {
            winograd::forward(isa, &conv.transposed(), packed.as_slice(), dy, epilogue, dx);
        }
        Loops::Depthwise => {
            depthwise::input_gradient(isa, conv, packed.as_slice(), dy, epilogue, dx);
        }
    }
}

/// Places for a window of `kernel` on an axis of `len`.
#[inline]
fn n_windows(len: usize, kernel: usize, stride: usize, padding: usize) -> usize {
    (len + 2 * padding).checked_sub(kernel).map_or(0, |room| room / stride + 1)
}

/// Distance between rows of `len` values in scratch memory: whole cache lines, and an odd number
/// of them, so that the rows' starts spread over all sets of a cache.
fn row_stride(len: usize) -> usize {
    let lines = len.div_ceil(16);
    (lines | 1) * 16
}

#[cfg(test)]
mod tests;
