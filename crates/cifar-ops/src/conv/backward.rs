//! Backward: the gradients of the images and of the filters.

use candle_core::Result;
use cifar_kernels::conv::{ConvShape, col2im, im2col, swap_outer};

use super::forward::group_len;
use super::product::{Matrix, Scratch, product};

/// What was asked for of the gradients.
pub(super) struct Gradients {
    /// `(N, C, H, W)`
    pub(super) dx: Option<Vec<f32>>,
    /// `(K, C, kh, kw)`
    pub(super) dweight: Option<Vec<f32>>,
}

/// `x`: `(N, C, H, W)`; `filters`: `(K, C·kh·kw)`; `dy`: `(N, K, OH, OW)`; each of the former
/// two with whether its gradient is wanted.
pub(super) fn backward(
    (x, wants_dx): (&[f32], bool),
    (filters, weight, wants_dweight): (Matrix<'_>, &[f32], bool),
    dy: &[f32],
    shape: &ConvShape,
) -> Result<Gradients> {
    let n_images = x.len() / shape.image_len();
    let (n_filters, out_len, patch_len) = (filters.rows(), shape.out_len(), shape.patch_len());
    let group = group_len(shape, n_images);
    let mut dx = wants_dx.then(|| vec![0.0; x.len()]);
    let mut dweight = wants_dweight.then(|| vec![0.0; weight.len()]);
    let mut patches = Scratch::new(patch_len * group * out_len);
    let mut by_filter = Scratch::new(n_filters * group * out_len);
    for first in (0..n_images).step_by(group) {
        let n = group.min(n_images - first);
        let n_windows = n * out_len;
        let dy = &dy[first * n_filters * out_len..][..n_filters * n_windows];
        swap_outer(dy, (n, n_filters), out_len, by_filter.first(n_filters * n_windows)?);
        let dy = by_filter.matrix(n_filters, n_windows);
        let images = first * shape.image_len()..(first + n) * shape.image_len();
        if let Some(dweight) = &mut dweight {
            im2col(&x[images.clone()], shape, patches.first(patch_len * n_windows)?);
            let part = product(dy, patches.matrix(patch_len, n_windows).transposed())?;
            for (sum, part) in dweight.iter_mut().zip(part) {
                *sum += part;
            }
        }
        if let Some(dx) = &mut dx {
            let dpatches = product(filters.transposed(), dy)?;
            col2im(&dpatches, shape, &mut dx[images]);
        }
    }
    Ok(Gradients { dx, dweight })
}
