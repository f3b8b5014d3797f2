//! The outputs of a net that are worth looking at.

use crate::parameters::child_path;
use crate::{FeatureShape, Layer, Net, NetError, Node, Step};

/// A stretch of a net whose feature maps have one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it is called: the path of its container, such as `layer1`, or of its last convolution.
    pub name: String,
    /// Path of the node whose output is the stage's, such as `relu1`; hooks and taps are called
    /// with it.
    pub path: String,
    /// Feature maps of that output, `C`.
    pub channels: usize,
    /// Their height `H`, pixels.
    pub height: usize,
    /// Their width `W`, pixels.
    pub width: usize,
}

impl Net {
    /// The stages in execution order. A stage ends where the resolution is about to change, and
    /// with every container at the top of the net: SmallResNet has `stem`, `layer1`, `layer2` and
    /// `layer3`, SimpleNet the outputs of its two ReLUs. A stretch without a convolution (a
    /// pooling before the classifier) is none, and neither are single pixels.
    ///
    /// # Errors
    /// Those of [`Net::steps`].
    pub fn stages(&self) -> Result<Vec<Stage>, NetError> {
        let steps = self.steps()?;
        let mut road = Road { steps: &steps, stages: Vec::new(), open: None };
        for node in &self.layers {
            let is_container = !node.layer.children().is_empty();
            if is_container {
                road.end();
            }
            road.walk("", node);
            if is_container {
                road.end();
            }
        }
        road.end();
        Ok(road.stages)
    }
}

/// The way through the layers, with the stage that has not ended yet.
struct Road<'a> {
    steps: &'a [Step<'a>],
    stages: Vec<Stage>,
    open: Option<Open>,
}

struct Open {
    stage: Stage,
    has_convolution: bool,
}

impl Road<'_> {
    /// Goes along `node`. A residual block is one step: its branches run side by side.
    fn walk(&mut self, parent: &str, node: &Node) {
        let path = child_path(parent, &node.name);
        if let Layer::Sequential(sequential) = &node.layer {
            sequential.nodes.iter().for_each(|child| self.walk(&path, child));
            // The container's output is that of its last layer, under the better name.
            if let Some(open) = &mut self.open
                && let Some(last) = sequential.nodes.last()
                && open.stage.path == child_path(&path, &last.name)
            {
                open.stage.name.clone_from(&path);
                open.stage.path = path;
            }
            return;
        }
        match self.steps.iter().find(|step| step.path == path).map(|step| step.output) {
            Some(FeatureShape::Map { channels, height, width }) if height * width > 1 => {
                let same = self
                    .open
                    .as_ref()
                    .is_some_and(|open| (open.stage.height, open.stage.width) == (height, width));
                if !same {
                    self.end();
                }
                let convolves = has_convolution(&node.layer);
                let earlier = self.open.take();
                let named_before = earlier.as_ref().filter(|_| !convolves);
                let name =
                    named_before.map_or_else(|| path.clone(), |open| open.stage.name.clone());
                let has_convolution = convolves || earlier.is_some_and(|open| open.has_convolution);
                let stage = Stage { name, path, channels, height, width };
                self.open = Some(Open { stage, has_convolution });
            }
            _ => self.end(),
        }
    }

    /// Whatever comes next belongs to another stage.
    fn end(&mut self) {
        let finished = self.open.take().filter(|open| open.has_convolution);
        self.stages.extend(finished.map(|open| open.stage));
    }
}

fn has_convolution(layer: &Layer) -> bool {
    matches!(layer, Layer::Conv2d(_))
        || layer.children().into_iter().any(|node| has_convolution(&node.layer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, BatchNorm2d, Conv2d, Linear, MaxPool2d, Sequential, test_nets};

    fn found(net: &Net) -> Vec<(String, String, String)> {
        let shape = |s: &Stage| format!("{}x{}x{}", s.channels, s.height, s.width);
        net.stages()
            .unwrap()
            .into_iter()
            .map(|s| (s.name.clone(), s.path.clone(), shape(&s)))
            .collect()
    }

    fn named(expected: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
        expected.iter().map(|&(n, p, s)| (n.to_owned(), p.to_owned(), s.to_owned())).collect()
    }

    #[test]
    fn containers_at_the_top_are_stages() {
        let want =
            [("stem", "stem", "4x9x8"), ("block", "block", "6x5x4"), ("again", "again", "6x5x4")];
        assert_eq!(found(&test_nets::residual()), named(&want));
    }

    #[test]
    fn plain_layers_end_a_stage_before_the_resolution_changes() {
        let features = Sequential::of([
            Conv2d::new(3, 4, 3).padding(1).into(),
            Activation::Relu.into(),
            Conv2d::new(4, 5, 3).padding(1).into(),
            Activation::Relu.into(),
            MaxPool2d::new(2).into(),
            Conv2d::new(5, 6, 3).padding(1).into(),
            BatchNorm2d::new(6).into(),
            MaxPool2d::new(2).into(),
        ]);
        let vgg = |layers| Net { name: "vgg".into(), input: [3, 8, 8], n_classes: 2, layers };
        let head = [Node::new("flatten", Layer::Flatten), Node::new("fc", Linear::new(6 * 4, 2))];
        let nested = std::iter::once(Node::new("features", features.clone())).chain(head.clone());
        let want = [("features.2", "features.3", "5x8x8"), ("features.5", "features.6", "6x4x4")];
        assert_eq!(found(&vgg(nested.collect())), named(&want));

        let want = [("2", "3", "5x8x8"), ("5", "6", "6x4x4")];
        let flat = features.nodes.into_iter().chain(head);
        assert_eq!(found(&vgg(flat.collect())), named(&want));
    }

    #[test]
    fn a_net_without_convolutions_has_none() {
        let layers =
            vec![Node::new("flatten", Layer::Flatten), Node::new("fc", Linear::new(12, 2))];
        let net = Net { name: "linear".into(), input: [3, 2, 2], n_classes: 2, layers };
        assert_eq!(net.stages().unwrap(), []);
    }
}
