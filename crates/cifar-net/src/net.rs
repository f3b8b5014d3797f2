//! A whole architecture, and the walk over it that every reader starts from.

use std::collections::HashSet;

use crate::parameters::child_path;
use crate::shape::{Inferred, Misfit, flatten_shape, global_avg_pool_shape};
use crate::{Activation, FeatureShape, Layer, NetError, Node, Residual};

/// An image classifier as data: images in, one score (logit) per class out.
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    /// Name of the architecture, such as `small-resnet`.
    pub name: String,
    /// Shape of an image, `[C, H, W]`.
    pub input: [usize; 3],
    /// Length of the output vector, `K`.
    pub n_classes: usize,
    /// In execution order, which is also PyTorch's registration order.
    pub layers: Vec<Node>,
}

/// One node on the way through a net.
#[derive(Clone, Debug, PartialEq)]
pub struct Step<'net> {
    /// Names from the root, joined by dots: PyTorch's `named_modules`.
    pub path: String,
    /// What happens here.
    pub layer: &'net Layer,
    /// Shape that arrives.
    pub input: FeatureShape,
    /// Shape that leaves.
    pub output: FeatureShape,
}

impl Net {
    /// Every node in execution order with the shapes around it; a container comes after the
    /// nodes inside it, so its step stands for what it does itself (a residual block's addition).
    ///
    /// # Errors
    /// The first layer that cannot take what arrives, by path with both shapes; a size of 0; a
    /// bad or repeated name; an output other than one score per class.
    pub fn steps(&self) -> Result<Vec<Step<'_>>, NetError> {
        for (field, value) in ["channels", "height", "width"].into_iter().zip(self.input) {
            self.require_positive(field, value)?;
        }
        self.require_positive("n_classes", self.n_classes)?;
        let mut walk = Walk { steps: Vec::new() };
        let output = walk.chain("", &self.layers, self.input.into())?;
        if output != (FeatureShape::Vector { features: self.n_classes }) {
            let (net, n_classes) = (self.name.clone(), self.n_classes);
            return Err(NetError::Output { net, output, n_classes });
        }
        Ok(walk.steps)
    }

    /// The same net with this activation in the place of every other; no name changes.
    pub fn with_activation(mut self, activation: Activation) -> Self {
        self.layers.iter_mut().for_each(|node| replace_activations(node, activation));
        self
    }

    fn require_positive(&self, field: &'static str, value: usize) -> Result<(), NetError> {
        if value == 0 { Err(NetError::Zero { path: self.name.clone(), field }) } else { Ok(()) }
    }
}

fn replace_activations(node: &mut Node, activation: Activation) {
    match &mut node.layer {
        Layer::Activation(old) => *old = activation,
        Layer::Sequential(sequential) => {
            sequential.nodes.iter_mut().for_each(|node| replace_activations(node, activation));
        }
        Layer::Residual(residual) => {
            residual.activation = activation;
            let nodes = std::iter::once(&mut residual.body).chain(&mut residual.shortcut);
            nodes.for_each(|node| replace_activations(node, activation));
        }
        _ => {}
    }
}

struct Walk<'net> {
    steps: Vec<Step<'net>>,
}

impl<'net> Walk<'net> {
    fn chain(
        &mut self,
        parent: &str,
        nodes: &'net [Node],
        input: FeatureShape,
    ) -> Result<FeatureShape, NetError> {
        let mut names = HashSet::new();
        let mut shape = input;
        for node in nodes {
            if !names.insert(&node.name) {
                return Err(NetError::DuplicateName { path: child_path(parent, &node.name) });
            }
            shape = self.node(parent, node, shape)?;
        }
        Ok(shape)
    }

    fn node(
        &mut self,
        parent: &str,
        node: &'net Node,
        input: FeatureShape,
    ) -> Result<FeatureShape, NetError> {
        let path = child_path(parent, &node.name);
        if node.name.is_empty() || node.name.contains('.') {
            return Err(NetError::Name { path });
        }
        let layer = &node.layer;
        let inferred: Inferred = match layer {
            Layer::Sequential(sequential) => Ok(self.chain(&path, &sequential.nodes, input)?),
            Layer::Residual(residual) => Ok(self.branches(&path, residual, input)?),
            Layer::Conv2d(conv) => conv.output_shape(input),
            Layer::BatchNorm2d(norm) => norm.output_shape(input),
            Layer::MaxPool2d(pool) => pool.output_shape(input),
            Layer::AvgPool2d(pool) => pool.output_shape(input),
            Layer::Linear(linear) => linear.output_shape(input),
            Layer::GlobalAvgPool => global_avg_pool_shape(input),
            Layer::Flatten => Ok(flatten_shape(input)),
            Layer::Activation(_) | Layer::Scale(_) => Ok(input),
            Layer::Dropout(p) if (0.0..1.0).contains(p) => Ok(input),
            Layer::Dropout(p) => Err(Misfit::Dropout(*p)),
        };
        let output = inferred.map_err(|misfit| match misfit {
            Misfit::Zero(field) => NetError::Zero { path: path.clone(), field },
            Misfit::Dropout(p) => NetError::Dropout { path: path.clone(), p },
            Misfit::Groups(groups) => NetError::Groups { path: path.clone(), groups },
            Misfit::Input(expected) => {
                NetError::Input { path: path.clone(), kind: layer.kind(), input, expected }
            }
        })?;
        self.steps.push(Step { path, layer, input, output });
        Ok(output)
    }

    fn branches(
        &mut self,
        path: &str,
        residual: &'net Residual,
        input: FeatureShape,
    ) -> Result<FeatureShape, NetError> {
        let body = self.node(path, &residual.body, input)?;
        let shortcut = match &residual.shortcut {
            Some(projection) if projection.name == residual.body.name => {
                return Err(NetError::DuplicateName { path: child_path(path, &projection.name) });
            }
            Some(projection) => self.node(path, projection, input)?,
            None => input,
        };
        if body != shortcut {
            return Err(NetError::Branches { path: path.to_owned(), body, shortcut });
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Activation, BatchNorm2d, Conv2d, Expected, Linear, MaxPool2d, Sequential, test_nets,
    };

    #[test]
    fn steps_come_in_execution_order_with_containers_last() {
        let net = test_nets::residual();
        let walked: Vec<String> = net
            .steps()
            .unwrap()
            .iter()
            .map(|step| format!("{} {} -> {}", step.path, step.input, step.output))
            .collect();
        assert_eq!(
            walked[..11],
            [
                "stem.0 3x9x8 -> 4x9x8",
                "stem.1 4x9x8 -> 4x9x8",
                "stem.2 4x9x8 -> 4x9x8",
                "stem 3x9x8 -> 4x9x8",
                "block.conv.0 4x9x8 -> 6x5x4",
                "block.conv.1 6x5x4 -> 6x5x4",
                "block.conv 4x9x8 -> 6x5x4",
                "block.shortcut.0 4x9x8 -> 6x5x4",
                "block.shortcut.1 6x5x4 -> 6x5x4",
                "block.shortcut 4x9x8 -> 6x5x4",
                "block 4x9x8 -> 6x5x4",
            ]
        );
    }

    fn steps_of(layers: Vec<Node>) -> NetError {
        let net = Net { name: "net".into(), input: [3, 8, 8], n_classes: 10, layers };
        net.steps().unwrap_err()
    }

    fn block(body: Conv2d) -> Residual {
        Residual::new(Node::new("conv", Sequential::of([body.into()])), Activation::Relu)
    }

    #[test]
    fn a_layer_that_cannot_take_its_input_is_named_with_both_shapes() {
        let inner = Sequential::of([BatchNorm2d::new(3).into(), Conv2d::new(4, 8, 3).into()]);
        assert_eq!(
            steps_of(vec![Node::new("stem", inner)]).to_string(),
            "layer `stem.1` (Conv2d) receives 3x8x8, expected a feature map of 4 channels"
        );
        let linear = steps_of(vec![Node::new("fc", Linear::new(192, 10))]);
        let expected = Expected::Vector(192);
        let (path, kind, input) = ("fc".to_owned(), "Linear", [3, 8, 8].into());
        assert_eq!(linear, NetError::Input { path, kind, input, expected });
        let pool = steps_of(vec![Node::new("pool", MaxPool2d::new(9))]);
        assert!(pool.to_string().contains("9x9 window"), "{pool}");
        let vector =
            vec![Node::new("flatten", Layer::Flatten), Node::new("p", Layer::GlobalAvgPool)];
        assert!(steps_of(vector).to_string().contains("receives 192, expected a feature map"));
    }

    #[test]
    fn a_shortcut_must_meet_the_body() {
        let narrowing = block(Conv2d::new(3, 3, 3).stride(2).padding(1));
        let err = steps_of(vec![Node::new("layer1", narrowing.clone())]);
        let (body, shortcut) = ([3, 4, 4].into(), [3, 8, 8].into());
        assert_eq!(err, NetError::Branches { path: "layer1".into(), body, shortcut });
        let clash = narrowing.shortcut(Node::new("conv", Conv2d::new(3, 3, 1).stride(2)));
        let err = steps_of(vec![Node::new("layer1", clash)]);
        assert_eq!(err, NetError::DuplicateName { path: "layer1.conv".into() });
    }

    #[test]
    fn zero_sizes_are_refused_by_field() {
        let stride = steps_of(vec![Node::new("conv1", Conv2d::new(3, 8, 3).stride(0))]);
        assert_eq!(stride.to_string(), "`conv1`: stride is 0, expected at least 1");
        let groups = steps_of(vec![Node::new("conv1", Conv2d::new(3, 8, 3).groups(2))]);
        assert!(groups.to_string().starts_with("`conv1`: 2 groups do not divide"), "{groups}");
        let kernel = steps_of(vec![Node::new("pool", MaxPool2d { kernel: 0, stride: 1 })]);
        assert_eq!(kernel, NetError::Zero { path: "pool".into(), field: "kernel" });
        let sure = steps_of(vec![Node::new("drop", Layer::Dropout(1.0))]);
        assert!(sure.to_string().starts_with("`drop`: a dropout of 1, expected"), "{sure}");
        let net = Net { n_classes: 0, ..test_nets::residual() };
        assert_eq!(
            net.steps().unwrap_err().to_string(),
            "`residual`: n_classes is 0, expected at least 1"
        );
        let net = Net { input: [3, 0, 8], ..test_nets::residual() };
        assert!(net.steps().unwrap_err().to_string().contains("height is 0"));
    }

    #[test]
    fn names_must_make_distinct_paths() {
        let relu = || Layer::from(Activation::Relu);
        let twice = vec![Node::new("relu", relu()), Node::new("relu", relu())];
        assert_eq!(steps_of(twice), NetError::DuplicateName { path: "relu".into() });
        for name in ["", "a.b"] {
            assert_eq!(
                steps_of(vec![Node::new(name, relu())]),
                NetError::Name { path: name.into() }
            );
        }
    }

    #[test]
    fn the_output_must_be_one_score_per_class() {
        let flat = steps_of(vec![Node::new("flatten", Layer::Flatten)]);
        assert_eq!(
            flat.to_string(),
            "net `net` ends in 192, expected one score for each of 10 classes"
        );
    }
}
