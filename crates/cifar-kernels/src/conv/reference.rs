//! The convolution and its gradients loop by loop, in f64: the specification of the fast ones.

use super::{Conv2d, Epilogue};

/// Calls `f(image, y, x, iy, ix, tap)` for every pixel `(y, x)` of the result and every tap that
/// meets a pixel `(iy, ix)` of the image.
fn for_each_meeting(
    conv: &Conv2d,
    n_images: usize,
    mut f: impl FnMut(usize, usize, usize, usize, usize, usize),
) {
    for image in 0..n_images {
        for y in 0..conv.out_height() {
            for x in 0..conv.out_width() {
                for tap in 0..conv.n_taps() {
                    let (ky, kx) = (tap / conv.kernel_width, tap % conv.kernel_width);
                    let iy = (y * conv.stride + ky).wrapping_sub(conv.padding);
                    let ix = (x * conv.stride + kx).wrapping_sub(conv.padding);
                    if iy < conv.height && ix < conv.width {
                        f(image, y, x, iy, ix, tap);
                    }
                }
            }
        }
    }
}

/// See [`forward`](super::forward); `weight` is `(K, C, kh, kw)`.
pub fn forward(conv: &Conv2d, weight: &[f32], x: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    let (c, k, taps) = (conv.in_channels, conv.out_channels, conv.n_taps());
    let mut sums = vec![0.0; y.len()];
    for_each_meeting(conv, x.len() / conv.in_len(), |image, oy, ox, iy, ix, tap| {
        let from = &x[image * conv.in_len() + (iy * conv.width + ix) * c..][..c];
        let to = image * conv.out_len() + (oy * conv.out_width() + ox) * k;
        for (filter, sum) in sums[to..to + k].iter_mut().enumerate() {
            for (channel, &value) in from.iter().enumerate() {
                let weight = weight[(filter * c + channel) * taps + tap];
                *sum += f64::from(weight) * f64::from(value);
            }
        }
    });
    for (at, (y, mut sum)) in y.iter_mut().zip(sums).enumerate() {
        if epilogue.accumulate {
            sum += f64::from(*y);
        }
        if let Some(bias) = epilogue.bias {
            sum += f64::from(bias[at % k]);
        }
        *y = if epilogue.relu && sum <= 0.0 { 0.0 } else { sum as f32 };
    }
}

/// See [`input_gradient`](super::input_gradient); `weight` is `(K, C, kh, kw)`.
pub fn input_gradient(conv: &Conv2d, weight: &[f32], dy: &[f32], accumulate: bool, dx: &mut [f32]) {
    let (c, k, taps) = (conv.in_channels, conv.out_channels, conv.n_taps());
    let mut sums = vec![0.0; dx.len()];
    for_each_meeting(conv, dx.len() / conv.in_len(), |image, oy, ox, iy, ix, tap| {
        let from = &dy[image * conv.out_len() + (oy * conv.out_width() + ox) * k..][..k];
        let to = image * conv.in_len() + (iy * conv.width + ix) * c;
        for (channel, sum) in sums[to..to + c].iter_mut().enumerate() {
            for (filter, &value) in from.iter().enumerate() {
                let weight = weight[(filter * c + channel) * taps + tap];
                *sum += f64::from(weight) * f64::from(value);
            }
        }
    });
    for (dx, sum) in dx.iter_mut().zip(sums) {
        *dx = (if accumulate { f64::from(*dx) + sum } else { sum }) as f32;
    }
}

/// See [`weight_gradient`](super::weight_gradient()).
pub fn weight_gradient(conv: &Conv2d, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let (c, k, taps) = (conv.in_channels, conv.out_channels, conv.n_taps());
    let mut sums = vec![0.0; dweight.len()];
    for_each_meeting(conv, x.len() / conv.in_len(), |image, oy, ox, iy, ix, tap| {
        let x = &x[image * conv.in_len() + (iy * conv.width + ix) * c..][..c];
        let dy = &dy[image * conv.out_len() + (oy * conv.out_width() + ox) * k..][..k];
        for (filter, &dy) in dy.iter().enumerate() {
            for (channel, &x) in x.iter().enumerate() {
                sums[(filter * c + channel) * taps + tap] += f64::from(dy) * f64::from(x);
            }
        }
    });
    for (dweight, sum) in dweight.iter_mut().zip(sums) {
        *dweight = sum as f32;
    }
}
