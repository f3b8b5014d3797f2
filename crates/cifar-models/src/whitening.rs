//! The first convolution as a whitening of image patches.

use candle_core::Tensor;
use cifar_net::{Conv2d, Layer, Net};
use nalgebra::{DMatrix, SymmetricEigen};

use crate::error::ModelError;
use crate::model::Model;

impl Model {
    /// Sets the net's frozen first convolution to filters whose responses to the patches of
    /// `images` are uncorrelated and of variance near 1: the eigenvectors of the patches'
    /// uncentred second moment, each divided by `√(eigenvalue + eps)`, by growing eigenvalue, and
    /// then their negatives (Jordan 2024, arXiv:2404.00498, section 3.2).
    ///
    /// `images`: `(N, C, H, W)`, as the net is to see them. Of a vector and its opposite, which are
    /// the same direction, the one comes first whose largest component is positive.
    ///
    /// # Errors
    /// [`ModelError::Whitening`] where the net does not begin with a frozen convolution of twice as
    /// many filters as a patch has values, or where there are no images.
    pub fn whiten(&self, images: &[f32], eps: f64) -> Result<(), ModelError> {
        let refused = |reason| ModelError::Whitening { model: self.net.name.clone(), reason };
        let (name, conv) = frozen_first(&self.net).ok_or_else(|| {
            refused(
                "it does not begin with a frozen convolution; remove `whitening` from its recipe",
            )
        })?;
        let patch_len = conv.in_channels * conv.kernel * conv.kernel;
        if conv.out_channels != 2 * patch_len {
            return Err(refused(
                "its first convolution has not two filters for each value of a patch",
            ));
        }
        if images.is_empty() {
            return Err(refused("no images were given"));
        }
        let filters = whitening_filters(&second_moment(images, self.net.input, conv.kernel), eps);
        let shape = (conv.out_channels, conv.in_channels, conv.kernel, conv.kernel);
        for variable in self.variables.iter().filter(|variable| variable.name == name) {
            variable.var.set(&Tensor::from_slice(&filters, shape, variable.var.device())?)?;
        }
        Ok(())
    }
}

/// The weight's name, and the layer.
fn frozen_first(net: &Net) -> Option<(String, &Conv2d)> {
    let first = net.layers.first()?;
    match &first.layer {
        Layer::Conv2d(conv) if conv.weight_frozen => Some((format!("{}.weight", first.name), conv)),
        _ => None,
    }
}

/// The mean of `p pᵀ` over all patches `p` of `side × side` pixels, ordered as a filter is.
fn second_moment(images: &[f32], [c, h, w]: [usize; 3], side: usize) -> DMatrix<f64> {
    let offsets: Vec<usize> = (0..c)
        .flat_map(|c| (0..side).flat_map(move |y| (0..side).map(move |x| (c * h + y) * w + x)))
        .collect();
    let n = offsets.len();
    let (mut sums, mut n_patches) = (DMatrix::zeros(n, n), 0.0);
    let mut patch = vec![0.0; n];
    for image in images.chunks_exact(c * h * w) {
        for y in 0..=h - side {
            for x in 0..=w - side {
                for (value, offset) in patch.iter_mut().zip(&offsets) {
                    *value = f64::from(image[y * w + x + offset]);
                }
                for (i, a) in patch.iter().enumerate() {
                    for (j, b) in patch[..=i].iter().enumerate() {
                        sums[(i, j)] += a * b;
                    }
                }
                n_patches += 1.0;
            }
        }
    }
    sums.fill_upper_triangle_with_lower_triangle();
    sums / n_patches
}

/// The filters one after the other.
fn whitening_filters(moment: &DMatrix<f64>, eps: f64) -> Vec<f32> {
    let SymmetricEigen { eigenvalues, eigenvectors } = SymmetricEigen::new(moment.clone());
    let mut order: Vec<usize> = (0..eigenvalues.len()).collect();
    order.sort_by(|&a, &b| eigenvalues[a].total_cmp(&eigenvalues[b]));
    let scaled: Vec<f32> = order
        .into_iter()
        .flat_map(|at| {
            let vector = eigenvectors.column(at);
            let scale = vector[vector.iamax()].signum() / (eigenvalues[at] + eps).sqrt();
            vector.iter().map(|v| (v * scale) as f32).collect::<Vec<_>>()
        })
        .collect();
    let opposite = scaled.iter().map(|v| -v);
    scaled.iter().copied().chain(opposite).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// Pictures whose neighbouring values are correlated.
    fn pictures(n: usize) -> Vec<f32> {
        (0..n * 3 * 1024)
            .map(|i| ((i * i % 7919) as f32 * 0.01).sin() + (i as f32 * 0.3).sin())
            .collect()
    }

    #[test]
    fn responses_to_the_patches_are_uncorrelated_with_variance_one() {
        let images = pictures(3);
        let moment = second_moment(&images, [3, 32, 32], 2);
        let filters = whitening_filters(&moment, 0.0);
        let filters: Vec<f64> = filters.into_iter().map(f64::from).collect();
        let rows = DMatrix::from_row_slice(24, 12, &filters);
        let responses = &rows * moment * rows.transpose();
        for i in 0..24 {
            for j in 0..24 {
                let want = match i % 12 == j % 12 {
                    true if i == j => 1.0,
                    true => -1.0,
                    false => 0.0,
                };
                assert!((responses[(i, j)] - want).abs() < 1e-4, "{i} {j}: {}", responses[(i, j)]);
            }
        }
    }

    #[test]
    fn the_second_moment_is_the_mean_over_patches() {
        // One channel of 2x3 pixels has two patches: 1 2 4 5 and 2 3 5 6.
        let moment = second_moment(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1, 2, 3], 2);
        assert_eq!(moment[(0, 0)], (1.0 + 4.0) / 2.0);
        assert_eq!(moment[(0, 3)], (5.0 + 12.0) / 2.0);
        assert_eq!(moment[(3, 0)], moment[(0, 3)]);
    }

    #[test]
    fn a_net_is_whitened_once_and_for_all() {
        let model =
            Model::initialise(crate::build("airnet94", 10).unwrap(), 0, &Device::Cpu).unwrap();
        model.whiten(&pictures(2), 5e-4).unwrap();
        let weight = model.variables[0].var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(model.variables[0].name, "whiten.weight");
        assert!(!model.variables[0].trainable);
        assert!(weight[..144].iter().zip(&weight[144..]).all(|(a, b)| *a == -b && *a != 0.0));
    }

    #[test]
    fn what_cannot_be_whitened_is_refused() {
        let of =
            |name| Model::initialise(crate::build(name, 10).unwrap(), 0, &Device::Cpu).unwrap();
        let error = of("simplenet").whiten(&pictures(1), 5e-4).unwrap_err().to_string();
        assert!(error.contains("simplenet") && error.contains("remove `whitening`"), "{error}");
        let error = of("airnet94").whiten(&[], 5e-4).unwrap_err().to_string();
        assert!(error.contains("no images"), "{error}");
    }
}
