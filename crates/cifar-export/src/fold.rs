//! Batch norms that become part of the convolutions before them.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use cifar_net::{BatchNorm2d, Conv2d, Layer, Net, Node, Residual, Sequential, child_path};
use serde::{Deserialize, Serialize};

use crate::ExportError;

/// What became of the batch norms, by path.
///
/// In evaluation mode a batch norm is `scale · x + shift` per channel. It is folded into the
/// convolution before it in the same sequence, directly or over poolings: a mean commutes with
/// every such map, a maximum with one of positive scale only. Where a scale is not positive, or no
/// convolution is there, the batch norm stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Folding {
    /// Gone, into the convolution before.
    pub folded: Vec<String>,
    /// As they were.
    pub kept: Vec<String>,
}

impl Folding {
    /// All kept.
    pub(crate) fn none(net: &Net) -> Self {
        let mut kept = Vec::new();
        net.layers.iter().for_each(|node| norms(node, "", &mut kept));
        Self { folded: Vec::new(), kept }
    }
}

fn norms(node: &Node, parent: &str, found: &mut Vec<String>) {
    let path = child_path(parent, &node.name);
    node.layer.children().into_iter().for_each(|child| norms(child, &path, found));
    if matches!(node.layer, Layer::BatchNorm2d(_)) {
        found.push(path);
    }
}

/// The net without the batch norms that can go, and in `tensors` the weights that it then needs.
/// Folded weights are computed in f64 and rounded once.
pub(crate) fn fold(
    net: &Net,
    tensors: &mut HashMap<String, Tensor>,
) -> Result<(Net, Folding), ExportError> {
    let mut fold = Fold { tensors, folding: Folding::default() };
    let layers = fold.chain(&net.layers, "")?;
    Ok((Net { layers, ..net.clone() }, fold.folding))
}

struct Fold<'a> {
    tensors: &'a mut HashMap<String, Tensor>,
    folding: Folding,
}

impl Fold<'_> {
    fn chain(&mut self, nodes: &[Node], parent: &str) -> Result<Vec<Node>, ExportError> {
        let mut done: Vec<Node> = Vec::with_capacity(nodes.len());
        for node in nodes {
            let path = child_path(parent, &node.name);
            match &node.layer {
                Layer::BatchNorm2d(norm) => {
                    if self.take(&mut done, parent, &path, norm)? {
                        self.folding.folded.push(path);
                    } else {
                        self.folding.kept.push(path);
                        done.push(node.clone());
                    }
                }
                _ => done.push(self.node(node, parent)?),
            }
        }
        Ok(done)
    }

    /// A node that is no batch norm of a sequence.
    fn node(&mut self, node: &Node, parent: &str) -> Result<Node, ExportError> {
        let path = child_path(parent, &node.name);
        let layer: Layer = match &node.layer {
            Layer::Sequential(sequential) => {
                Sequential { nodes: self.chain(&sequential.nodes, &path)? }.into()
            }
            Layer::Residual(residual) => {
                let body = self.node(&residual.body, &path)?;
                let shortcut = residual.shortcut.as_deref();
                let shortcut = shortcut.map(|node| self.node(node, &path)).transpose()?;
                let (body, shortcut) = (Box::new(body), shortcut.map(Box::new));
                Residual { body, shortcut, activation: residual.activation }.into()
            }
            Layer::BatchNorm2d(_) => {
                self.folding.kept.push(path);
                node.layer.clone()
            }
            plain => plain.clone(),
        };
        Ok(Node { name: node.name.clone(), layer })
    }

    /// Puts the batch norm at `path` into the last convolution of `before`, where that can be done.
    fn take(
        &mut self,
        before: &mut [Node],
        parent: &str,
        path: &str,
        norm: &BatchNorm2d,
    ) -> Result<bool, ExportError> {
        let is_pool = |node: &&mut Node| {
            matches!(node.layer, Layer::MaxPool2d(_) | Layer::AvgPool2d(_) | Layer::GlobalAvgPool)
        };
        let over_maxima = before
            .iter()
            .rev()
            .map_while(|node| match node.layer {
                Layer::MaxPool2d(_) => Some(true),
                Layer::AvgPool2d(_) | Layer::GlobalAvgPool => Some(false),
                _ => None,
            })
            .any(|maximum| maximum);
        let Some(node) = before.iter_mut().rev().find(|node| !is_pool(node)) else {
            return Ok(false);
        };
        let Layer::Conv2d(conv) = &mut node.layer else { return Ok(false) };
        let map = self.map(path, norm)?;
        let fits = |scale: &f64| scale.is_finite() && (!over_maxima || *scale > 0.0);
        if !map.scale.iter().all(fits) {
            return Ok(false);
        }
        self.scale(conv, &child_path(parent, &node.name), &map)?;
        for spec in Layer::from(*norm).parameters() {
            self.tensors.remove(&child_path(path, &spec.name));
        }
        Ok(true)
    }

    fn map(&self, path: &str, norm: &BatchNorm2d) -> Result<Affine, ExportError> {
        let values = |name: &str| self.values(&child_path(path, name));
        let (weight, bias) = (values("weight")?, values("bias")?);
        let (mean, variance) = (values("running_mean")?, values("running_var")?);
        let scale = weight.iter().zip(&variance);
        let scale: Vec<f64> = scale.map(|(w, var)| w / (var + norm.eps).sqrt()).collect();
        let shift = bias.iter().zip(&mean).zip(&scale);
        let shift = shift.map(|((bias, mean), scale)| bias - mean * scale).collect();
        Ok(Affine { scale, shift })
    }

    fn scale(&mut self, conv: &mut Conv2d, path: &str, map: &Affine) -> Result<(), ExportError> {
        let (weight_name, bias_name) = (child_path(path, "weight"), child_path(path, "bias"));
        let (shape, weight) =
            (self.tensor(&weight_name)?.shape().clone(), self.values(&weight_name)?);
        let bias = if conv.bias { self.values(&bias_name)? } else { vec![0.0; conv.out_channels] };
        let per_filter = weight.len() / conv.out_channels.max(1);
        let scaled: Vec<f32> = weight
            .chunks_exact(per_filter.max(1))
            .zip(&map.scale)
            .flat_map(|(filter, scale)| filter.iter().map(move |w| (w * scale) as f32))
            .collect();
        let shifted = bias.iter().zip(&map.scale).zip(&map.shift);
        let shifted: Vec<f32> =
            shifted.map(|((b, scale), shift)| (b * scale + shift) as f32).collect();
        let bias = Tensor::from_vec(shifted, conv.out_channels, &Device::Cpu)?;
        self.tensors.insert(weight_name, Tensor::from_vec(scaled, shape, &Device::Cpu)?);
        self.tensors.insert(bias_name, bias);
        conv.bias = true;
        Ok(())
    }

    fn tensor(&self, name: &str) -> Result<&Tensor, ExportError> {
        let missing = || candle_core::Error::CannotFindTensor { path: name.to_owned() }.bt();
        Ok(self.tensors.get(name).ok_or_else(missing)?)
    }

    fn values(&self, name: &str) -> Result<Vec<f64>, ExportError> {
        Ok(self.tensor(name)?.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
    }
}

/// `scale · x + shift` per channel.
struct Affine {
    scale: Vec<f64>,
    shift: Vec<f64>,
}

#[cfg(test)]
mod tests;
