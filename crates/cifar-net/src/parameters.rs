//! The tensors a net needs: names, shapes, and how each begins.

use candle_core::DType;

use crate::{BatchNorm2d, Conv2d, Layer, Linear, Net, Node, WeightInit};

/// One tensor of a net.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    /// Key in PyTorch's `state_dict`, such as `layer1.0.conv.0.weight`.
    pub name: String,
    /// PyTorch's shape; empty for a scalar.
    pub shape: Vec<usize>,
    /// Whether an optimiser moves it.
    pub kind: ParameterKind,
    /// What it begins with.
    pub init: Init,
    /// `F32`, except `num_batches_tracked`, which is `I64`.
    pub dtype: DType,
}

impl ParameterSpec {
    /// Number of values.
    pub fn n_values(&self) -> usize {
        self.shape.iter().product()
    }
}

/// Whether an optimiser moves a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// Trained: PyTorch's `parameters()`, biases included.
    Weight,
    /// Among PyTorch's `parameters()`, with `requires_grad = False`.
    Frozen,
    /// Kept up to date by the forward pass: PyTorch's `buffers()`.
    Buffer,
}

/// What a tensor begins with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Uniform in `-bound..=bound`.
    ///
    /// PyTorch initialises convolution and linear weights with `kaiming_uniform(a = √5)`, whose
    /// bound `√3 · √(2 / (1 + 5)) / √fan_in` is `1 / √fan_in`, and their biases with the same
    /// bound (`fan_in` of the weight).
    Uniform {
        /// Largest magnitude.
        bound: f64,
    },
    /// [`Init::Uniform`], then [`WeightInit::Dirac`].
    Dirac {
        /// Largest magnitude of the filters that are not the identity.
        bound: f64,
    },
    /// [`Init::Uniform`], then [`WeightInit::UnitStd`].
    UnitStd {
        /// Largest magnitude before the division.
        bound: f64,
    },
    /// All 0.
    Zeros,
    /// All 1.
    Ones,
}

impl Net {
    /// Every tensor in the order of PyTorch's `state_dict`: nodes in registration order, a
    /// node's own tensors before those of its children.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        let mut specs = Vec::new();
        for node in &self.layers {
            collect(node, "", &mut specs);
        }
        specs
    }

    /// Number of values in PyTorch's `parameters()`: frozen ones count, buffers do not.
    pub fn n_parameters(&self) -> usize {
        n_parameters(&self.parameters())
    }
}

fn collect(node: &Node, parent: &str, specs: &mut Vec<ParameterSpec>) {
    let path = child_path(parent, &node.name);
    for own in node.layer.parameters() {
        specs.push(ParameterSpec { name: child_path(&path, &own.name), ..own });
    }
    for child in node.layer.children() {
        collect(child, &path, specs);
    }
}

impl Layer {
    /// The layer's own tensors, without those of its children, under their last names
    /// (`weight`, `bias`, …), in PyTorch's order.
    pub fn parameters(&self) -> Vec<ParameterSpec> {
        match self {
            Self::Conv2d(conv) => conv.parameters(),
            Self::BatchNorm2d(norm) => norm.parameters(),
            Self::Linear(linear) => linear.parameters(),
            Self::Activation(_)
            | Self::MaxPool2d(_)
            | Self::AvgPool2d(_)
            | Self::GlobalAvgPool
            | Self::Flatten
            | Self::Scale(_)
            | Self::Dropout(_)
            | Self::Sequential(_)
            | Self::Residual(_) => Vec::new(),
        }
    }
}

impl Conv2d {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let Self { in_channels, out_channels, kernel, groups, .. } = *self;
        let seen = in_channels / groups.max(1); // 0 groups are refused by `Net::steps`
        let bound = default_bound(seen * kernel * kernel);
        let init = self.init.with(bound);
        let weight = parameter("weight", &[out_channels, seen, kernel, kernel], init);
        let mut specs = vec![frozen_if(self.weight_frozen, weight)];
        if self.bias {
            specs.push(parameter("bias", &[out_channels], Init::Uniform { bound }));
        }
        specs
    }
}

impl BatchNorm2d {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let per_channel = [self.channels];
        let tracked = buffer("num_batches_tracked", &[], Init::Zeros);
        vec![
            frozen_if(self.weight_frozen, parameter("weight", &per_channel, Init::Ones)),
            parameter("bias", &per_channel, Init::Zeros),
            buffer("running_mean", &per_channel, Init::Zeros),
            buffer("running_var", &per_channel, Init::Ones),
            ParameterSpec { dtype: DType::I64, ..tracked },
        ]
    }
}

impl Linear {
    fn parameters(&self) -> Vec<ParameterSpec> {
        let bound = default_bound(self.in_features);
        let shape = [self.out_features, self.in_features];
        let mut specs = vec![parameter("weight", &shape, self.init.with(bound))];
        if self.bias {
            specs.push(parameter("bias", &[self.out_features], Init::Uniform { bound }));
        }
        specs
    }
}

impl WeightInit {
    fn with(self, bound: f64) -> Init {
        match self {
            Self::Uniform => Init::Uniform { bound },
            Self::Dirac => Init::Dirac { bound },
            Self::UnitStd => Init::UnitStd { bound },
        }
    }
}

pub(crate) fn n_parameters(specs: &[ParameterSpec]) -> usize {
    let counted = specs.iter().filter(|spec| spec.kind != ParameterKind::Buffer);
    counted.map(ParameterSpec::n_values).sum()
}

/// `parent.name`, or `name` at the root: how paths and tensor names are put together.
pub fn child_path(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}.{name}") }
}

fn default_bound(fan_in: usize) -> f64 {
    1.0 / (fan_in as f64).sqrt()
}

fn frozen_if(frozen: bool, spec: ParameterSpec) -> ParameterSpec {
    ParameterSpec { kind: if frozen { ParameterKind::Frozen } else { spec.kind }, ..spec }
}

fn parameter(name: &str, shape: &[usize], init: Init) -> ParameterSpec {
    let (name, shape) = (name.to_owned(), shape.to_vec());
    ParameterSpec { name, shape, kind: ParameterKind::Weight, init, dtype: DType::F32 }
}

fn buffer(name: &str, shape: &[usize], init: Init) -> ParameterSpec {
    ParameterSpec { kind: ParameterKind::Buffer, ..parameter(name, shape, init) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_nets;

    #[test]
    fn names_are_those_of_the_pytorch_module_in_its_order() {
        let names: Vec<String> =
            test_nets::residual().parameters().into_iter().map(|spec| spec.name).collect();
        assert_eq!(
            names,
            [
                "stem.0.weight",
                "stem.1.weight",
                "stem.1.bias",
                "stem.1.running_mean",
                "stem.1.running_var",
                "stem.1.num_batches_tracked",
                "block.conv.0.weight",
                "block.conv.0.bias",
                "block.shortcut.0.weight",
                "block.shortcut.1.weight",
                "block.shortcut.1.bias",
                "block.shortcut.1.running_mean",
                "block.shortcut.1.running_var",
                "block.shortcut.1.num_batches_tracked",
                "again.conv.0.weight",
                "fc.weight",
                "fc.bias",
            ]
        );
    }

    #[test]
    fn shapes_kinds_and_types_are_pytorchs() {
        let specs = test_nets::residual().parameters();
        let find = |name: &str| specs.iter().find(|spec| spec.name == name).unwrap();
        assert_eq!(find("stem.0.weight").shape, [4, 3, 3, 3]);
        assert_eq!(find("fc.weight").shape, [5, 6]);
        let tracked = find("stem.1.num_batches_tracked");
        assert_eq!((tracked.shape.len(), tracked.dtype), (0, DType::I64));
        assert_eq!(tracked.n_values(), 1);
        assert_eq!(tracked.kind, ParameterKind::Buffer);
        assert_eq!(find("stem.1.weight").init, Init::Ones);
        assert_eq!(find("stem.1.running_mean").kind, ParameterKind::Buffer);
    }

    #[test]
    fn uniform_bound_is_the_inverse_root_of_the_fan_in() {
        let conv = Conv2d::new(4, 7, 5).parameters();
        assert_eq!(conv[0].init, Init::Uniform { bound: 0.1 });
        assert_eq!(conv[1].init, conv[0].init, "the bias takes the weight's fan-in");
        let grouped = Conv2d::new(16, 8, 5).groups(4).parameters();
        assert_eq!((&grouped[0].shape[..], grouped[0].init), (&[8, 4, 5, 5][..], conv[0].init));
        assert_eq!(Linear::new(16, 3).parameters()[1].init, Init::Uniform { bound: 0.25 });
    }

    #[test]
    fn frozen_weights_are_counted_but_not_trained() {
        let kinds = |specs: Vec<ParameterSpec>| -> Vec<ParameterKind> {
            specs.into_iter().map(|spec| spec.kind).collect()
        };
        let conv = Conv2d::new(3, 4, 2).freeze_weight().parameters();
        assert_eq!(n_parameters(&conv), 3 * 4 * 4 + 4);
        assert_eq!(kinds(conv), [ParameterKind::Frozen, ParameterKind::Weight]);
        let norm = kinds(BatchNorm2d::new(4).freeze_weight().parameters());
        assert_eq!(norm[..2], [ParameterKind::Frozen, ParameterKind::Weight]);
    }

    #[test]
    fn buffers_are_not_counted() {
        let stem = 4 * 27 + 8;
        let block = 6 * 4 * 9 + 6 + 6 * 4 + 12;
        let rest = 6 * 6 * 9 + 5 * 6 + 5;
        assert_eq!(test_nets::residual().n_parameters(), stem + block + rest);
    }
}
