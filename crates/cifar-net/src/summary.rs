//! What a net costs, layer by layer.

use crate::parameters::n_parameters;
use crate::{FeatureShape, Layer, Net, NetError, Step};

/// One row of the per-layer table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerSummary {
    /// Path of the layer, such as `layer1.0.conv.0`.
    pub name: String,
    /// [`Layer::kind`].
    pub kind: &'static str,
    /// Shape of one image's activations after the layer.
    pub output_shape: FeatureShape,
    /// Values of the layer itself, see [`Net::n_parameters`].
    pub parameters: usize,
    /// Multiply-adds of the layer itself for one image; see [`Net::multiply_adds`].
    pub multiply_adds: u64,
}

impl Net {
    /// One row per layer that computes something, in execution order; the columns add up to the
    /// net's totals. A residual block has a row of its own, after its branches, for the addition.
    ///
    /// # Errors
    /// Those of [`Net::steps`].
    pub fn summary(&self) -> Result<Vec<LayerSummary>, NetError> {
        let steps = self.steps()?;
        let computing = steps.iter().filter(|step| !matches!(step.layer, Layer::Sequential(_)));
        Ok(computing
            .map(|step| LayerSummary {
                name: step.path.clone(),
                kind: step.layer.kind(),
                output_shape: step.output,
                parameters: n_parameters(&step.layer.parameters()),
                multiply_adds: step.multiply_adds(),
            })
            .collect())
    }

    /// Multiply-adds of one image's forward pass, convolutions and linear layers only: the
    /// additions of biases and shortcuts, normalisation, activations and pooling do not count.
    /// Windows over the zero padding count in full, as is usual.
    ///
    /// A forward pass is twice as many floating-point operations, a training step (forward,
    /// gradient of the input, gradient of the weights) six times.
    ///
    /// # Errors
    /// Those of [`Net::steps`].
    pub fn multiply_adds(&self) -> Result<u64, NetError> {
        Ok(self.steps()?.iter().map(Step::multiply_adds).sum())
    }
}

impl Step<'_> {
    /// Multiply-adds of this layer itself for one image; see [`Net::multiply_adds`].
    pub fn multiply_adds(&self) -> u64 {
        let per_value = match self.layer {
            Layer::Conv2d(conv) => conv.in_channels / conv.groups * conv.kernel * conv.kernel,
            Layer::Linear(linear) => linear.in_features,
            Layer::BatchNorm2d(_)
            | Layer::Activation(_)
            | Layer::MaxPool2d(_)
            | Layer::AvgPool2d(_)
            | Layer::GlobalAvgPool
            | Layer::Flatten
            | Layer::Scale(_)
            | Layer::Dropout(_)
            | Layer::Sequential(_)
            | Layer::Residual(_) => 0,
        };
        per_value as u64 * self.output.n_values() as u64
    }
}

#[cfg(test)]
mod tests {
    use crate::test_nets;

    #[test]
    fn rows_add_up_to_the_totals() {
        let net = test_nets::residual();
        let rows = net.summary().unwrap();
        assert_eq!(rows.iter().map(|row| row.parameters).sum::<usize>(), net.n_parameters());
        let total: u64 = rows.iter().map(|row| row.multiply_adds).sum();
        assert_eq!(total, net.multiply_adds().unwrap());
        // conv outputs times the window they read, then the linear layer
        let convs = 4 * 72 * 27 + 6 * 20 * 36 + 6 * 20 * 4 + 6 * 20 * 54;
        assert_eq!(total, convs + 6 * 5);
    }

    #[test]
    fn rows_are_the_layers_that_compute() {
        let rows = test_nets::residual().summary().unwrap();
        let named: Vec<_> = rows.iter().map(|row| (row.name.as_str(), row.kind)).collect();
        assert_eq!(
            named[..8],
            [
                ("stem.0", "Conv2d"),
                ("stem.1", "BatchNorm2d"),
                ("stem.2", "ReLU"),
                ("block.conv.0", "Conv2d"),
                ("block.conv.1", "Scale"),
                ("block.shortcut.0", "Conv2d"),
                ("block.shortcut.1", "BatchNorm2d"),
                ("block", "Residual"),
            ]
        );
        assert_eq!(rows[7].output_shape.to_string(), "6x5x4");
    }
}
