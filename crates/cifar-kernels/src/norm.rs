//! Batch normalisation over the planes of a channel (Ioffe and Szegedy 2015, arXiv:1502.03167).
//!
//! Images are `(N, C, H, W)`. Sums over a channel are taken plane by plane and joined in f64 in
//! the order of the images.

use rayon::prelude::*;

/// Partial sums kept side by side over a plane: enough for two vectors of the widest registers,
/// and each then adds so few values that f32 loses nothing that matters.
const LANES: usize = 32;

/// How the values of a batch divide into channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NormShape {
    /// `C`: planes of one image.
    pub channels: usize,
    /// `H·W`: values of one plane.
    pub plane_len: usize,
}

impl NormShape {
    fn image_len(self) -> usize {
        self.channels * self.plane_len
    }

    /// The planes of one channel, in the order of the images.
    fn planes(self, x: &[f32], channel: usize) -> impl Iterator<Item = &[f32]> {
        x.chunks_exact(self.image_len())
            .map(move |image| &image[channel * self.plane_len..][..self.plane_len])
    }

    /// Values of one channel over the batch, after checking the length.
    fn n_values(self, len: usize) -> usize {
        assert!(len > 0 && self.image_len() > 0, "batch norm: no values");
        assert!(len.is_multiple_of(self.image_len()), "batch norm: not whole images");
        len / self.channels
    }
}

/// Mean and biased variance of each channel over `N`, `H` and `W`.
///
/// `x`: `(N, C, H, W)`; `mean`, `variance`: `(C)`, overwritten. Each plane is summed about its own
/// mean and the planes are joined in f64 (Chan, Golub and LeVeque 1979), so a mean that is large
/// beside the deviation costs no digits.
///
/// # Panics
/// If the lengths do not fit or the batch is empty.
pub fn statistics(x: &[f32], shape: NormShape, mean: &mut [f32], variance: &mut [f32]) {
    assert_eq!(mean.len(), shape.channels, "batch norm: one mean per channel");
    assert_eq!(variance.len(), shape.channels, "batch norm: one variance per channel");
    shape.n_values(x.len());
    mean.par_iter_mut().zip(variance).enumerate().for_each(|(channel, (mean, variance))| {
        let channel = shape.planes(x, channel).map(Moments::of).fold(Moments::NONE, Moments::join);
        *mean = channel.mean as f32;
        *variance = (channel.squares / channel.n) as f32;
    });
}

/// Number, mean and sum of squared deviations from the mean of some values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    pub(crate) n: f64,
    pub(crate) mean: f64,
    pub(crate) squares: f64,
}

impl Moments {
    pub(crate) const NONE: Self = Self { n: 0.0, mean: 0.0, squares: 0.0 };

    fn of(values: &[f32]) -> Self {
        let n = values.len() as f64;
        let about = (sum(values, |v| v) / n) as f32;
        // `about` is the mean but for its rounding; what is left of it is taken off here.
        let rest = sum(values, |v| v - about);
        let squares = sum(values, |v| (v - about) * (v - about)) - rest * rest / n;
        let squares = if squares < 0.0 { 0.0 } else { squares }; // by rounding; NaN stays
        Self { n, mean: f64::from(about) + rest / n, squares }
    }

    pub(crate) fn join(self, other: Self) -> Self {
        let n = self.n + other.n;
        let apart = other.mean - self.mean;
        Self {
            n,
            mean: self.mean + apart * other.n / n,
            squares: self.squares + other.squares + apart * apart * self.n * other.n / n,
        }
    }
}

/// `y = (x − mean)·scale + bias` per channel, where `scale = weight / √(variance + eps)`.
///
/// `x`, `y`: `(N, C, H, W)`; the others `(C)`.
///
/// # Panics
/// If the lengths do not fit or the batch is empty.
pub fn apply(
    x: &[f32],
    shape: NormShape,
    mean: &[f32],
    scale: &[f32],
    bias: &[f32],
    y: &mut [f32],
) {
    shape.n_values(x.len());
    assert_eq!(x.len(), y.len(), "batch norm: lengths differ");
    for (name, values) in [("mean", mean), ("scale", scale), ("bias", bias)] {
        assert_eq!(values.len(), shape.channels, "batch norm: one {name} per channel");
    }
    let images = y.par_chunks_exact_mut(shape.image_len());
    images.zip(x.par_chunks_exact(shape.image_len())).for_each(|(y, x)| {
        let planes = x.chunks_exact(shape.plane_len).zip(y.chunks_exact_mut(shape.plane_len));
        for (channel, (x, y)) in planes.enumerate() {
            let (mean, scale, bias) = (mean[channel], scale[channel], bias[channel]);
            for (y, &x) in y.iter_mut().zip(x) {
                *y = (x - mean) * scale + bias;
            }
        }
    });
}

/// What the forward pass left for the backward pass, and the weight.
#[derive(Debug, Clone, Copy)]
pub struct Normalised<'a> {
    /// Mean of each channel over the batch, `(C)`.
    pub mean: &'a [f32],
    /// `1 / √(variance + eps)` of each channel, `(C)`.
    pub inv_std: &'a [f32],
    /// `(C)`.
    pub weight: &'a [f32],
}

/// The gradients of weight and bias, whether the statistics are the batch's or given:
/// `dweight = Σ dy·x̂` and `dbias = Σ dy` of each channel, where `x̂ = (x − mean)·inv_std`.
///
/// `x`, `dy`: `(N, C, H, W)`; `dweight`, `dbias`: `(C)`, overwritten.
///
/// # Panics
/// If the lengths do not fit or the batch is empty.
pub fn parameter_gradients(
    x: &[f32],
    dy: &[f32],
    shape: NormShape,
    forward: Normalised<'_>,
    dweight: &mut [f32],
    dbias: &mut [f32],
) {
    shape.n_values(x.len());
    assert_eq!(x.len(), dy.len(), "batch norm: lengths differ");
    for values in [forward.mean, forward.inv_std, &*dweight, &*dbias] {
        assert_eq!(values.len(), shape.channels, "batch norm: one value per channel");
    }
    dweight.par_iter_mut().zip(dbias).enumerate().for_each(|(channel, (dweight, dbias))| {
        let (mean, mut products, mut total) = (forward.mean[channel], 0.0, 0.0);
        for (x, dy) in shape.planes(x, channel).zip(shape.planes(dy, channel)) {
            total += sum(dy, |dy| dy);
            products += sum_pairs(x, dy, |x, dy| (x - mean) * dy);
        }
        *dweight = (products * f64::from(forward.inv_std[channel])) as f32;
        *dbias = total as f32;
    });
}

/// The gradient of the input of batch normalisation with the statistics of the batch, which move
/// with it: `dx = weight·inv_std·(dy − mean(dy) − x̂·mean(dy·x̂))`, means over the channel's values.
///
/// `x`, `dy`, `dx`: `(N, C, H, W)`; `dweight`, `dbias`: `(C)`, from [`parameter_gradients`].
///
/// # Panics
/// If the lengths do not fit or the batch is empty.
pub fn input_gradient(
    x: &[f32],
    dy: &[f32],
    shape: NormShape,
    forward: Normalised<'_>,
    (dweight, dbias): (&[f32], &[f32]),
    dx: &mut [f32],
) {
    let n_values = shape.n_values(x.len()) as f32;
    assert_eq!(x.len(), dy.len(), "batch norm: lengths differ");
    assert_eq!(x.len(), dx.len(), "batch norm: lengths differ");
    for values in [forward.mean, forward.inv_std, forward.weight, dweight, dbias] {
        assert_eq!(values.len(), shape.channels, "batch norm: one value per channel");
    }
    let images = x.par_chunks_exact(shape.image_len()).zip(dy.par_chunks_exact(shape.image_len()));
    dx.par_chunks_exact_mut(shape.image_len()).zip(images).for_each(|(dx, (x, dy))| {
        let planes = x.chunks_exact(shape.plane_len).zip(dy.chunks_exact(shape.plane_len));
        for (channel, (dx, (x, dy))) in dx.chunks_exact_mut(shape.plane_len).zip(planes).enumerate()
        {
            let (mean, inv_std) = (forward.mean[channel], forward.inv_std[channel]);
            let scale = forward.weight[channel] * inv_std;
            let mean_dy = dbias[channel] / n_values;
            let slope = dweight[channel] / n_values * inv_std;
            for (dx, (&x, &dy)) in dx.iter_mut().zip(x.iter().zip(dy)) {
                *dx = scale * (dy - mean_dy - (x - mean) * slope);
            }
        }
    });
}

/// The gradient of the input of normalisation with given statistics: `dx = dy·scale` per channel.
///
/// `dy`, `dx`: `(N, C, H, W)`; `scale`: `(C)`, `weight / √(variance + eps)`.
///
/// # Panics
/// If the lengths do not fit or the batch is empty.
pub fn scale_planes(dy: &[f32], shape: NormShape, scale: &[f32], dx: &mut [f32]) {
    let zeros = vec![0.0; shape.channels];
    apply(dy, shape, &zeros, scale, &zeros, dx);
}

/// `Σ f(v)`, in [`LANES`] partial sums.
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut lanes = [0.0f32; LANES];
    let (chunks, tail) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane += f(value);
        }
    }
    let tail: f64 = tail.iter().map(|&value| f64::from(f(value))).sum();
    joined(&lanes) + tail
}

/// `Σ f(a, b)`, in [`LANES`] partial sums.
fn sum_pairs(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let mut lanes = [0.0f32; LANES];
    let ((a_chunks, a_tail), (b_chunks, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for (lane, (&a, &b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane += f(a, b);
        }
    }
    let tail: f64 = a_tail.iter().zip(b_tail).map(|(&a, &b)| f64::from(f(a, b))).sum();
    joined(&lanes) + tail
}

fn joined(lanes: &[f32; LANES]) -> f64 {
    lanes.iter().map(|&lane| f64::from(lane)).sum()
}

#[cfg(test)]
mod tests;
