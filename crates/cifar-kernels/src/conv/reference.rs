//! The convolution and its gradients loop by loop, in f64: the specification of the fast ones.

use super::{Conv2d, Epilogue};

/// Calls `f(x, y, weight)` with the places of every pair of an input and an output value that
/// meet, and of the weight between them.
fn for_each_meeting(conv: &Conv2d, n_images: usize, mut f: impl FnMut(usize, usize, usize)) {
    let (c, k, taps) = (conv.in_channels, conv.out_channels, conv.n_taps());
    let (group_c, group_k) = (c / conv.groups, k / conv.groups);
    for image in 0..n_images {
        for y in 0..conv.out_height() {
            for x in 0..conv.out_width() {
                for tap in 0..conv.n_taps() {
                    let (ky, kx) = (tap / conv.kernel_width, tap % conv.kernel_width);
                    let iy = (y * conv.stride + ky).wrapping_sub(conv.padding);
                    let ix = (x * conv.stride + kx).wrapping_sub(conv.padding);
                    if iy >= conv.height || ix >= conv.width {
                        continue;
                    }
                    let from = ((image * conv.height + iy) * conv.width + ix) * c;
                    let to = ((image * conv.out_height() + y) * conv.out_width() + x) * k;
                    for filter in 0..k {
                        let first = filter / group_k * group_c;
                        for channel in 0..group_c {
                            let weight = (filter * group_c + channel) * taps + tap;
                            f(from + first + channel, to + filter, weight);
                        }
                    }
                }
            }
        }
    }
}

/// See [`forward`](super::forward); `weight` is `(K, C / groups, kh, kw)`.
pub fn forward(conv: &Conv2d, weight: &[f32], x: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    let mut sums = vec![0.0; y.len()];
    for_each_meeting(conv, x.len() / conv.in_len(), |from, to, at| {
        sums[to] += f64::from(weight[at]) * f64::from(x[from]);
    });
    for (at, (y, mut sum)) in y.iter_mut().zip(sums).enumerate() {
        if epilogue.accumulate {
            sum += f64::from(*y);
        }
        if let Some(bias) = epilogue.bias {
            sum += f64::from(bias[at % conv.out_channels]);
        }
        *y = if epilogue.relu && sum <= 0.0 { 0.0 } else { sum as f32 };
    }
}

/// See [`input_gradient`](super::input_gradient); `weight` is `(K, C / groups, kh, kw)`.
pub fn input_gradient(conv: &Conv2d, weight: &[f32], dy: &[f32], accumulate: bool, dx: &mut [f32]) {
    let mut sums = vec![0.0; dx.len()];
    for_each_meeting(conv, dx.len() / conv.in_len(), |x, y, at| {
        sums[x] += f64::from(weight[at]) * f64::from(dy[y]);
    });
    for (dx, sum) in dx.iter_mut().zip(sums) {
        *dx = (if accumulate { f64::from(*dx) + sum } else { sum }) as f32;
    }
}

/// See [`weight_gradient`](super::weight_gradient()).
pub fn weight_gradient(conv: &Conv2d, x: &[f32], dy: &[f32], dweight: &mut [f32]) {
    let mut sums = vec![0.0; dweight.len()];
    for_each_meeting(conv, x.len() / conv.in_len(), |from, to, weight| {
        sums[weight] += f64::from(dy[to]) * f64::from(x[from]);
    });
    for (dweight, sum) in dweight.iter_mut().zip(sums) {
        *dweight = sum as f32;
    }
}
