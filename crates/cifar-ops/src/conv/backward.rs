//! Backward: the gradients of the images and of the filters.

use candle_core::Result;
use cifar_kernels::conv::{ConvShape, col2im, im2col, swap_outer, swap_outer_reversed};

use super::forward::group_len;
use super::product::{Matrix, Scratch, product};

/// `(dx, dweight)`, `(N, C, H, W)` and `(K, C, kh, kw)`.
pub(super) type Gradients = (Option<Vec<f32>>, Option<Vec<f32>>);

/// What the gradients are made from.
#[derive(Clone, Copy)]
pub(super) struct Backward<'a> {
    pub(super) shape: &'a ConvShape,
    /// `(N, C, H, W)`
    pub(super) x: &'a [f32],
    /// `(K, C, kh, kw)`
    pub(super) weight: &'a [f32],
    /// `weight` as a matrix `(K, C·kh·kw)`.
    pub(super) filters: Matrix<'a>,
    /// `(N, K, OH, OW)`
    pub(super) dy: &'a [f32],
}

impl Backward<'_> {
    /// The gradient of `x` if `wants_dx`, and that of the weight if `wants_dweight`.
    pub(super) fn gradients(self, wants_dx: bool, wants_dweight: bool) -> Result<Gradients> {
        let shape = self.shape;
        match transposed(shape, self.filters.rows()) {
            Some(back) if wants_dx => {
                let group = group_len(back.patch_len(), back.out_len(), self.n_images());
                self.by_patches_of_dy(&back, wants_dweight, group)
            }
            _ => {
                let group = group_len(shape.patch_len(), shape.out_len(), self.n_images());
                self.by_patches_of_x(wants_dx, wants_dweight, group)
            }
        }
    }

    fn n_images(&self) -> usize {
        self.x.len() / self.shape.image_len()
    }

    /// Any convolution, `group` images at a time: `dweight = dy · patches(x)ᵀ`, and `dx` folded
    /// from `weightᵀ · dy`.
    pub(super) fn by_patches_of_x(
        self,
        wants_dx: bool,
        wants_dweight: bool,
        group: usize,
    ) -> Result<Gradients> {
        let shape = self.shape;
        let (patch_len, out_len, n_filters) =
            (shape.patch_len(), shape.out_len(), self.filters.rows());
        let mut dx = wants_dx.then(|| vec![0.0; self.x.len()]);
        let mut dweight = wants_dweight.then(|| vec![0.0; self.weight.len()]);
        let mut patches = Scratch::new(patch_len * group * out_len);
        let mut by_filter = Scratch::new(n_filters * group * out_len);
        let groups = self.x.chunks(group * shape.image_len());
        for (i, (x, dy)) in groups.zip(self.dy.chunks(group * n_filters * out_len)).enumerate() {
            let n = x.len() / shape.image_len();
            swap_outer(dy, (n, n_filters), out_len, by_filter.first(dy.len())?);
            let dy = by_filter.matrix(n_filters, n * out_len);
            if let Some(dweight) = &mut dweight {
                im2col(x, shape, patches.first(patch_len * n * out_len)?);
                let patches = patches.matrix(patch_len, n * out_len);
                add(dweight, &product(dy, patches.transposed())?);
            }
            if let Some(dx) = &mut dx {
                let dx = &mut dx[i * group * shape.image_len()..][..x.len()];
                col2im(&product(self.filters.transposed(), dy)?, shape, dx);
            }
        }
        Ok((dx, dweight))
    }

    /// A convolution of stride 1, whose gradient `dx` is itself a convolution: of `dy`, with the
    /// filters turned about. The patches of `dy` then serve both gradients:
    /// `dx = turned · patches(dy)` and, turned back, `dweight = x · patches(dy)ᵀ`.
    pub(super) fn by_patches_of_dy(
        self,
        back: &ConvShape,
        wants_dweight: bool,
        group: usize,
    ) -> Result<Gradients> {
        let (shape, n_filters) = (self.shape, self.filters.rows());
        let (channels, patch_len, len) = (shape.channels, back.patch_len(), back.out_len());
        let window = shape.kernel_height * shape.kernel_width;
        let mut turned = Scratch::new(self.weight.len());
        let weight = turned.first(self.weight.len())?;
        swap_outer_reversed(self.weight, (n_filters, channels), window, weight);
        let turned = turned.matrix(channels, patch_len);
        let mut dx = vec![0.0; self.x.len()];
        let mut dturned = wants_dweight.then(|| vec![0.0; self.weight.len()]);
        let mut patches = Scratch::new(patch_len * group * len);
        let mut by_channel = Scratch::new(channels * group * len);
        let groups = self.x.chunks(group * shape.image_len());
        let groups = groups.zip(self.dy.chunks(group * back.image_len()));
        for ((x, dy), dx) in groups.zip(dx.chunks_mut(group * shape.image_len())) {
            let n = x.len() / shape.image_len();
            im2col(dy, back, patches.first(patch_len * n * len)?);
            let patches = patches.matrix(patch_len, n * len);
            swap_outer(&product(turned, patches)?, (channels, n), len, dx);
            if let Some(dturned) = &mut dturned {
                swap_outer(x, (n, channels), len, by_channel.first(x.len())?);
                let x = by_channel.matrix(channels, n * len);
                add(dturned, &product(x, patches.transposed())?);
            }
        }
        let dweight = dturned.map(|dturned| {
            let mut dweight = vec![0.0; dturned.len()];
            swap_outer_reversed(&dturned, (channels, n_filters), window, &mut dweight);
            dweight
        });
        Ok((Some(dx), dweight))
    }
}

/// The convolution that takes `dy` back to `dx`, if there is one: stride 1, and no more padding
/// than leaves some for `dy`. Nor if its patches would be more than twice those of `x`: the other
/// way then moves less.
pub(super) fn transposed(shape: &ConvShape, n_filters: usize) -> Option<ConvShape> {
    let (kernel_height, kernel_width) = (shape.kernel_height, shape.kernel_width);
    let worth_it = n_filters <= 2 * shape.channels;
    if shape.stride != 1 || kernel_height != kernel_width || !worth_it {
        return None;
    }
    Some(ConvShape {
        channels: n_filters,
        height: shape.out_height(),
        width: shape.out_width(),
        kernel_height,
        kernel_width,
        stride: 1,
        padding: (kernel_height - 1).checked_sub(shape.padding)?,
    })
}

fn add(sum: &mut [f32], part: &[f32]) {
    for (sum, part) in sum.iter_mut().zip(part) {
        *sum += part;
    }
}
