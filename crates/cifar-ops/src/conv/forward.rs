//! Forward: the filters times the patches of a group of images.

use candle_core::Result;
use cifar_kernels::conv::{ConvShape, im2col, swap_outer};

use super::product::{Matrix, Scratch, product};

/// Values of the patches kept at a time (f32), one image's at least.
const SCRATCH_LEN: usize = 16 << 20 >> 2;

/// Number of images whose patches are written out together: a function of the shapes alone, so
/// that sums over groups are the same on every machine and for every number of threads.
pub(super) fn group_len(shape: &ConvShape, n_images: usize) -> usize {
    let scratch = std::env::var("SCRATCH").ok().and_then(|s| s.parse::<usize>().ok()).unwrap_or(SCRATCH_LEN);
    (scratch / (shape.patch_len() * shape.out_len())).clamp(1, n_images.max(1))
}

/// `x`: `(N, C, H, W)`; `filters`: `(K, C·kh·kw)`; returns `(N, K, OH·OW)`.
pub(super) fn forward(x: &[f32], filters: Matrix<'_>, shape: &ConvShape) -> Result<Vec<f32>> {
    let n_images = x.len() / shape.image_len();
    let (n_filters, out_len) = (filters.rows(), shape.out_len());
    let group = group_len(shape, n_images);
    let mut y = vec![0.0; n_images * n_filters * out_len];
    let mut patches = Scratch::new(shape.patch_len() * group * out_len);
    let groups = x.chunks(group * shape.image_len());
    for (x, y) in groups.zip(y.chunks_mut(group * n_filters * out_len)) {
        let n_images = x.len() / shape.image_len();
        let n_windows = n_images * out_len;
        im2col(x, shape, patches.first(shape.patch_len() * n_windows)?);
        let by_filter = product(filters, patches.matrix(shape.patch_len(), n_windows))?;
        swap_outer(&by_filter, (n_filters, n_images), out_len, y);
    }
    Ok(y)
}
