//! Why a network decided as it did, computed: [Grad-CAM](grad_cam), [saliency], and the
//! activations between.
//!
//! [`explain`] runs one image through a [`CandleNet`] in evaluation mode and takes the gradient of
//! a class's score with respect to the image and to every stage's output. What comes out are
//! numbers; [`explanation_page`](crate::explanation_page()),
//! [`feature_map_page`](crate::feature_map_page()) and [`overlay`](crate::overlay()) draw them.
//!
//! ```
//! use candle_core::{DType, Device, Tensor};
//! use candle_nn::{VarBuilder, VarMap};
//! use cifar_net::{Activation, CandleNet, Conv2d, Layer, Linear, Net, Node};
//! use cifar_report::{explain::explain, overlay, rgb_image};
//!
//! let net = Net {
//!     name: "tiny".into(),
//!     input: [3, 32, 32],
//!     n_classes: 10,
//!     layers: vec![
//!         Node::new("conv", Conv2d::new(3, 8, 3).stride(2).padding(1)),
//!         Node::new("relu", Activation::Relu),
//!         Node::new("pool", Layer::GlobalAvgPool),
//!         Node::new("flatten", Layer::Flatten),
//!         Node::new("fc", Linear::new(8, 10)),
//!     ],
//! };
//! let weights = VarMap::new();
//! let vb = VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu);
//! let module = CandleNet::new(&net, vb)?;
//!
//! let pixels = vec![128; 3 * 32 * 32]; // planes red, green, blue
//! let image = Tensor::full(0.1f32, (1, 3, 32, 32), &Device::Cpu)?; // the same, normalised
//! let explanation = explain(&module, &net.stages()?, &image, None)?;
//! let heat = &explanation.stages[0].grad_cam;
//! let small = overlay(&rgb_image(&pixels, 32, 32), heat, 3);
//! assert_eq!((heat.width(), small.width()), (16, 96));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use candle_core::{IndexOp, Tensor, Var};
use cifar_net::{CandleNet, Mode, Stage};

pub use heat_map::HeatMap;

mod heat_map;

/// What speaks for a class in one image.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The network's scores, `K`.
    pub logits: Vec<f32>,
    /// The class whose score is explained.
    pub class: usize,
    /// In execution order.
    pub stages: Vec<ExplainedStage>,
    /// See [`saliency`].
    pub saliency: HeatMap,
}

/// What a stage of the network made of the image.
#[derive(Debug, Clone)]
pub struct ExplainedStage {
    /// The stage.
    pub stage: Stage,
    /// Its output, `(C, H, W)`.
    pub activations: Vec<f32>,
    /// See [`grad_cam`].
    pub grad_cam: HeatMap,
}

/// Why an image cannot be explained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// There is no such class.
    #[error("class {class} is to be explained, and the network knows {n_classes}: 0 to {}", n_classes.saturating_sub(1))]
    Class {
        /// The class asked for.
        class: usize,
        /// Classes of the network.
        n_classes: usize,
    },
    /// The weights are of no use.
    #[error(
        "the network's scores are not finite ({0}): its training diverged; take another checkpoint, \
         or train with a lower learning rate"
    )]
    NotFinite(f32),
    /// An operation of candle's failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// Explains `class`, or the class with the highest score where there is none, for one `image`,
/// `(1, C, H, W)` f32, normalised. `stages`: those of the net, [`cifar_net::Net::stages`].
///
/// Batch norm uses its running statistics; nothing of `net` changes.
///
/// # Errors
/// [`ExplainError::Class`] for a class beyond the network's, [`ExplainError::NotFinite`] for
/// scores that are NaN or infinite, and candle's, for an image of another shape for example.
pub fn explain(
    net: &CandleNet,
    stages: &[Stage],
    image: &Tensor,
    class: Option<usize>,
) -> Result<Explanation, ExplainError> {
    let image = Var::from_tensor(&image.copy()?)?;
    let mut traces: Vec<Option<Trace>> = vec![None; stages.len()];
    // candle gives the gradients of variables alone. A variable of zeros that is added to an
    // activation has the same gradient and changes nothing.
    let logits = net.forward_with_hooks(&image, Mode::Eval, &mut |path, ys| {
        let Some(idx) = stages.iter().position(|stage| stage.path == path) else { return Ok(ys) };
        let probe = Var::zeros(ys.shape(), ys.dtype(), ys.device())?;
        let probed = (&ys + probe.as_tensor())?;
        traces[idx] = Some(Trace { activations: ys.detach(), probe });
        Ok(probed)
    })?;
    let scores = floats(&logits)?;
    if let Some(&score) = scores.iter().find(|score| !score.is_finite()) {
        return Err(ExplainError::NotFinite(score));
    }
    let class = class.unwrap_or_else(|| cifar_metrics::first_maximum(&scores));
    if class >= scores.len() {
        return Err(ExplainError::Class { class, n_classes: scores.len() });
    }
    let gradients = logits.i((0, class))?.backward()?;
    let gradient = |of: &Var| match gradients.get(of) {
        Some(gradient) => floats(gradient),
        // The score does not depend on it.
        None => Ok(vec![0.0; of.elem_count()]),
    };
    let explained = |(stage, trace): (&Stage, Option<Trace>)| {
        let Some(trace) = trace else {
            let name = &stage.path;
            return Err(candle_core::Error::Msg(format!("the net has no layer `{name}`")));
        };
        let activations = floats(&trace.activations)?;
        let shape = [stage.channels, stage.height, stage.width];
        let grad_cam = grad_cam(&activations, &gradient(&trace.probe)?, shape);
        Ok(ExplainedStage { stage: stage.clone(), activations, grad_cam })
    };
    let stages = stages.iter().zip(traces).map(explained).collect::<Result<_, _>>()?;
    let (_, c, h, w) = image.dims4()?;
    let saliency = saliency(&gradient(&image)?, [c, h, w]);
    Ok(Explanation { logits: scores, class, stages, saliency })
}

/// A stage's output, and the variable that gets its gradient.
#[derive(Clone)]
struct Trace {
    activations: Tensor,
    probe: Var,
}

fn floats(tensor: &Tensor) -> candle_core::Result<Vec<f32>> {
    tensor.detach().flatten_all()?.to_vec1()
}

/// Gradient-weighted class activation map (Selvaraju et al. 2017, arXiv:1610.02391, equations 1
/// and 2): the feature maps summed, each times the mean of its gradient, and what is negative cut
/// off. `activations` and `gradients` of the class's score: `(C, H, W)`.
///
/// # Panics
/// If the lengths contradict `shape`.
pub fn grad_cam(activations: &[f32], gradients: &[f32], shape: [usize; 3]) -> HeatMap {
    let [channels, height, width] = shape;
    let plane = height * width;
    assert_eq!(activations.len(), channels * plane, "activations of shape {shape:?}");
    assert_eq!(gradients.len(), channels * plane, "gradients of shape {shape:?}");
    let mut sum = vec![0f64; plane];
    for (map, gradient) in activations.chunks_exact(plane).zip(gradients.chunks_exact(plane)) {
        let weight = gradient.iter().map(|&g| f64::from(g)).sum::<f64>() / plane as f64;
        sum.iter_mut().zip(map).for_each(|(sum, &a)| *sum += weight * f64::from(a));
    }
    HeatMap::new(height, width, sum.into_iter().map(|value| value as f32).collect())
}

/// Image-specific class saliency (Simonyan et al. 2013, arXiv:1312.6034, section 3): how strongly
/// the score answers to each pixel, the largest magnitude over its colours. `gradient` of the
/// class's score with respect to the image: `(C, H, W)`.
///
/// # Panics
/// If the length contradicts `shape`.
pub fn saliency(gradient: &[f32], shape: [usize; 3]) -> HeatMap {
    let [channels, height, width] = shape;
    let plane = height * width;
    assert_eq!(gradient.len(), channels * plane, "a gradient of shape {shape:?}");
    let strongest =
        |at: usize| gradient.iter().skip(at).step_by(plane).fold(0f32, |most, g| most.max(g.abs()));
    HeatMap::new(height, width, (0..plane).map(strongest).collect())
}

impl ExplainedStage {
    /// One feature map, `(H, W)`.
    ///
    /// # Panics
    /// If there is no such channel.
    pub fn feature_map(&self, channel: usize) -> &[f32] {
        let plane = self.stage.height * self.stage.width;
        &self.activations[channel * plane..][..plane]
    }

    /// The `n` channels with the highest mean activation, the highest first.
    pub fn strongest(&self, n: usize) -> Vec<usize> {
        let mean =
            |&channel: &usize| self.feature_map(channel).iter().map(|&a| f64::from(a)).sum::<f64>();
        let mut channels: Vec<usize> = (0..self.stage.channels).collect();
        channels.sort_by(|a, b| mean(b).total_cmp(&mean(a))); // stable
        channels.truncate(n);
        channels
    }
}

#[cfg(test)]
mod tests;
