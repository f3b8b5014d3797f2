use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use cifar_data::Batch;
use cifar_net::{Activation, CandleNet, Layer, Mode};
use cifar_ops::with_image_keys;

use super::{Finding, listed};
use crate::clip::global_norm;
use crate::engine::Engine;
use crate::error::TrainError;
use crate::learner::Learner;
use crate::recipe::Recipe;

/// One pass forward and backward.
#[derive(Debug, Clone, PartialEq)]
pub struct FirstPass {
    /// Mean loss of the batch.
    pub loss: f64,
    /// Name and gradient norm of every trainable variable; empty where the loss is not finite.
    pub gradients: Vec<(String, f64)>,
}

/// Loss and gradients of `batch` in training mode.
///
/// # Errors
/// As [`Engine::forward_backward`].
pub fn first_pass(
    learner: &Learner<'_>,
    batch: &Batch,
    recipe: &Recipe,
    device: &Device,
) -> Result<FirstPass, TrainError> {
    learner.unchanged(|| {
        let mut engine = Engine::new(learner, recipe, device)?;
        let pass = engine.forward_backward(learner, batch, recipe)?;
        let names = learner.variables.iter().filter(|v| v.trainable).map(|v| v.name.clone());
        let norm = |gradient: &Tensor| global_norm(std::slice::from_ref(gradient));
        let norms = pass.gradients.iter().map(norm).collect::<Result<Vec<_>, _>>()?;
        Ok(FirstPass { loss: pass.loss, gradients: names.zip(norms).collect() })
    })
}

/// How far the first loss may be from that of a uniform guess, in nats.
const LOSS_FINE: f64 = 0.5;
const LOSS_BEARABLE: f64 = 1.5;

/// Whether fresh weights guess no class: their loss is then the logarithm of the number of
/// classes, with label smoothing too.
pub fn initial_loss(loss: f64, n_classes: usize) -> Finding {
    const CHECK: &str = "initial-loss";
    let uniform = (n_classes as f64).ln();
    let found = format!("{loss:.3}, of a uniform guess {uniform:.3} = ln {n_classes}");
    let off = (loss - uniform).abs();
    let remedy = "start the last layer near zero, and check the scale of weights and input";
    if off <= LOSS_FINE {
        Finding::ok(CHECK, found, "the fresh network favours no class")
    } else if off <= LOSS_BEARABLE {
        let meaning = "the fresh network is sure of something it cannot know; the first steps only \
                       undo that";
        Finding::warning(CHECK, found, meaning, remedy)
    } else {
        let meaning = "the first logits are far too large or not numbers, or the loss is not the mean \
                       cross-entropy of the labels";
        Finding::problem(CHECK, found, meaning, remedy)
    }
}

/// Whether a gradient reaches every parameter.
pub fn gradients(pass: &FirstPass) -> Finding {
    const CHECK: &str = "gradients";
    let named = |wanted: fn(f64) -> bool| -> Vec<&str> {
        pass.gradients.iter().filter(|(_, norm)| wanted(*norm)).map(|(n, _)| n.as_str()).collect()
    };
    let (zero, broken) = (named(|norm| norm == 0.0), named(|norm| !norm.is_finite()));
    if pass.gradients.is_empty() {
        let found = format!("there is none: the loss is {}", pass.loss);
        let remedy = "look at the input and the weights for values that are not numbers";
        Finding::problem(CHECK, found, "nothing can be learned from such a loss", remedy)
    } else if !broken.is_empty() {
        let found = format!("not finite for {}", listed(&broken));
        let meaning = "the next step makes these weights infinite or no numbers at all";
        let remedy =
            "lower the scale of input or weights; with bf16 compare with precision = \"f32\"";
        Finding::problem(CHECK, found, meaning, remedy)
    } else if !zero.is_empty() {
        let found = format!("zero for {}", listed(&zero));
        let meaning = "these parameters are not learned: the loss does not depend on them, or every \
                       unit behind them is dead (right only before the first step, below a layer that \
                       begins at zero)";
        let remedy = "use them in the network or take them out; see dead-activations";
        Finding::problem(CHECK, found, meaning, remedy)
    } else {
        let norms = pass.gradients.iter().map(|(_, norm)| *norm);
        let (low, high) = norms.fold((f64::INFINITY, 0.0_f64), |(l, h), n| (l.min(n), h.max(n)));
        let found =
            format!("norms from {low:.1e} to {high:.1e} over {} tensors", pass.gradients.len());
        Finding::ok(CHECK, found, "every parameter is learned")
    }
}

/// What a ReLU lets through.
#[derive(Debug, Clone, PartialEq)]
pub struct ReluOutput {
    /// Its path in the net.
    pub path: String,
    /// Share of values that are zero.
    pub zeros: f64,
    /// Channels (or features) that are zero for every image and everywhere.
    pub n_dead: usize,
    /// All channels.
    pub n_channels: usize,
}

/// The outputs of the net's ReLUs for `batch` in training mode, in order; none where the learner
/// has no net.
///
/// # Errors
/// candle's.
pub fn relu_outputs(
    learner: &Learner<'_>,
    batch: &Batch,
    device: &Device,
) -> Result<Vec<ReluOutput>, TrainError> {
    let Some(net) = learner.net else { return Ok(Vec::new()) };
    let relu = |layer: &Layer| match layer {
        Layer::Activation(activation) => *activation == Activation::Relu,
        Layer::Residual(residual) => residual.activation == Activation::Relu,
        _ => false,
    };
    let steps = net.steps().map_err(candle_core::Error::wrap)?;
    let paths: Vec<String> =
        steps.into_iter().filter(|step| relu(step.layer)).map(|step| step.path).collect();
    let tensors: HashMap<String, Tensor> =
        learner.variables.iter().map(|v| (v.name.clone(), v.var.as_tensor().clone())).collect();
    let reader = CandleNet::new(net, VarBuilder::from_tensors(tensors, DType::F32, device))?;
    learner.unchanged(|| {
        let mut outputs = Vec::new();
        let images = batch.image_tensor(device)?;
        let mut tap = |path: &str, values: &Tensor| {
            if paths.iter().any(|relu| relu == path) {
                outputs.push(relu_output(path, values));
            }
        };
        with_image_keys(&batch.image_keys(0), || {
            reader.forward_with_taps(&images, Mode::Train, &mut tap)
        })?;
        Ok(outputs.into_iter().collect::<Result<_, _>>()?)
    })
}

/// `values`: `(N, C, ...)`.
fn relu_output(path: &str, values: &Tensor) -> candle_core::Result<ReluOutput> {
    let (n, c) = (values.dim(0)?, values.dim(1)?);
    let alive = values.detach().ne(0.0)?.to_dtype(DType::F32)?.reshape((n, c, ()))?;
    let shares = alive.mean((0, 2))?.to_vec1::<f32>()?;
    Ok(ReluOutput {
        path: path.to_owned(),
        zeros: 1.0 - shares.iter().map(|&share| f64::from(share)).sum::<f64>() / c as f64,
        n_dead: shares.iter().filter(|&&share| share == 0.0).count(),
        n_channels: c,
    })
}

/// Share of zeros from which a layer hardly lets anything through.
const MOSTLY_ZERO: f64 = 0.9;
/// Share of dead channels from which the network is smaller than it looks.
const MANY_DEAD: f64 = 0.25;

/// Whether the ReLUs let values through. About half of them being zero is usual.
pub fn dead_activations(outputs: &[ReluOutput]) -> Finding {
    const CHECK: &str = "dead-activations";
    let remedy = "lower the learning rate, check the normalisation, or put a batch norm before the \
                  activation";
    let Some(worst) = outputs.iter().max_by(|a, b| a.zeros.total_cmp(&b.zeros)) else {
        return Finding::ok(CHECK, "no ReLU to look at".to_owned(), "nothing can be dead");
    };
    let n_dead: usize = outputs.iter().map(|output| output.n_dead).sum();
    let found = format!(
        "{} ReLUs, zeros up to {:.0} % ({}), {n_dead} channels of {} always zero",
        outputs.len(),
        100.0 * worst.zeros,
        worst.path,
        outputs.iter().map(|output| output.n_channels).sum::<usize>()
    );
    let dead = outputs.iter().filter(|output| output.n_dead == output.n_channels);
    let dead: Vec<&str> = dead.map(|output| output.path.as_str()).collect();
    let many = |output: &ReluOutput| output.n_dead as f64 > MANY_DEAD * output.n_channels as f64;
    if !dead.is_empty() {
        let found = format!("nothing comes out of {}", listed(&dead));
        let meaning = "no image and no gradient passes there: the network cannot learn";
        Finding::problem(CHECK, found, meaning, remedy)
    } else if worst.zeros > MOSTLY_ZERO || outputs.iter().any(many) {
        let meaning = "much of a layer is switched off for every image, and gets no gradient to come \
                       back";
        Finding::warning(CHECK, found, meaning, remedy)
    } else {
        Finding::ok(CHECK, found, "every layer lets values and gradients through")
    }
}
