//! Convolution by its definition, one product at a time.
//!
//! Slow and easy to read: the specification that faster ways are tested against. All sums are
//! taken in f64 and rounded once.

use super::ConvShape;

/// `y[k, oy, ox] = Σ x[c, oy·stride + ky − padding, ox·stride + kx − padding] · weight[k, c, ky, kx]`
/// over `c`, `ky`, `kx`, pixels outside the image counting as 0.
///
/// `images`: `(N, C, H, W)`; `weight`: `(K, C, kh, kw)`; returns `(N, K, OH, OW)`.
///
/// ```
/// use cifar_kernels::conv::{ConvShape, direct};
///
/// let image = [1., 2., 3., 0., 0., 1., 2., 3., 3., 0., 1., 2., 2., 3., 0., 1.];
/// let weight = [2., 0., 1., 0., 1., 2., 1., 0., 2.];
/// let shape = ConvShape {
///     channels: 1,
///     height: 4,
///     width: 4,
///     kernel_height: 3,
///     kernel_width: 3,
///     stride: 1,
///     padding: 0,
/// };
/// assert_eq!(direct::forward(&image, &weight, &shape), [15., 16., 6., 15.]);
/// ```
pub fn forward(images: &[f32], weight: &[f32], shape: &ConvShape) -> Vec<f32> {
    let n_filters = weight.len() / shape.patch_len();
    let n_images = images.len() / shape.image_len();
    let mut y = vec![0.0; n_images * n_filters * shape.out_len()];
    for_each_product(n_images, n_filters, shape, |x_at, w_at, y_at| {
        y[y_at] += f64::from(images[x_at]) * f64::from(weight[w_at]);
    });
    rounded(&y)
}

/// Gradient of the images: each product of [`forward`] passes `dy · weight` back to its pixel.
///
/// `dy`: `(N, K, OH, OW)`; `weight`: `(K, C, kh, kw)`; returns `(N, C, H, W)`.
pub fn backward_data(dy: &[f32], weight: &[f32], shape: &ConvShape) -> Vec<f32> {
    let n_filters = weight.len() / shape.patch_len();
    let n_images = dy.len() / (n_filters * shape.out_len());
    let mut dx = vec![0.0; n_images * shape.image_len()];
    for_each_product(n_images, n_filters, shape, |x_at, w_at, y_at| {
        dx[x_at] += f64::from(dy[y_at]) * f64::from(weight[w_at]);
    });
    rounded(&dx)
}

/// Gradient of the weight: each product of [`forward`] passes `dy · x` back to its weight.
///
/// `images`: `(N, C, H, W)`; `dy`: `(N, K, OH, OW)`; returns `(K, C, kh, kw)`.
pub fn backward_weight(images: &[f32], dy: &[f32], shape: &ConvShape) -> Vec<f32> {
    let n_images = images.len() / shape.image_len();
    let n_filters = dy.len() / (n_images * shape.out_len());
    let mut dweight = vec![0.0; n_filters * shape.patch_len()];
    for_each_product(n_images, n_filters, shape, |x_at, w_at, y_at| {
        dweight[w_at] += f64::from(dy[y_at]) * f64::from(images[x_at]);
    });
    rounded(&dweight)
}

/// Calls `visit(x, w, y)` with the indices of every product `y += x · w` of the convolution.
fn for_each_product(
    n_images: usize,
    n_filters: usize,
    shape: &ConvShape,
    mut visit: impl FnMut(usize, usize, usize),
) {
    let (oh, ow) = (shape.out_height(), shape.out_width());
    let inside = |at: usize, len| at.checked_sub(shape.padding).filter(|&at| at < len);
    for y_at in 0..n_images * n_filters * oh * ow {
        let (ox, oy) = (y_at % ow, y_at / ow % oh);
        let (k, image) = (y_at / (ow * oh) % n_filters, y_at / (ow * oh * n_filters));
        for patch_at in 0..shape.patch_len() {
            let (kx, ky) = (patch_at % shape.kernel_width, patch_at / shape.kernel_width);
            let (ky, channel) = (ky % shape.kernel_height, ky / shape.kernel_height);
            let row = inside(oy * shape.stride + ky, shape.height);
            let column = inside(ox * shape.stride + kx, shape.width);
            if let (Some(row), Some(column)) = (row, column) {
                let plane = image * shape.channels + channel;
                let x_at = (plane * shape.height + row) * shape.width + column;
                visit(x_at, k * shape.patch_len() + patch_at, y_at);
            }
        }
    }
}

fn rounded(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}
