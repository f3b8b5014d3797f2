//! Forward: the filters times the patches of a group of images.

use candle_core::Result;
use cifar_kernels::conv::{ConvShape, im2col, swap_outer};

use super::product::{Matrix, Scratch, product};

/// Values of the patches written out at a time, if that holds one image: 4 MiB, which stays in
/// the caches between the writing and the product. (With 19 MiB, forward and backward took about a
/// tenth longer.)
const SCRATCH_LEN: usize = 1 << 20;

/// Number of images whose patches are written out together: a function of the shapes alone, so
/// that sums over groups do not depend on the machine or the number of threads.
pub(super) fn group_len(patch_len: usize, out_len: usize, n_images: usize) -> usize {
    (SCRATCH_LEN / (patch_len * out_len)).clamp(1, n_images.max(1))
}

/// `x`: `(N, C, H, W)`; `filters`: `(K, C·kh·kw)`; returns `(N, K, OH·OW)`, worked out `group`
/// images at a time.
pub(super) fn forward(
    x: &[f32],
    filters: Matrix<'_>,
    shape: &ConvShape,
    group: usize,
) -> Result<Vec<f32>> {
    let n_images = x.len() / shape.image_len();
    let (n_filters, out_len) = (filters.rows(), shape.out_len());
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
