//! The candle reader: a net as ordinary candle operations, trained by candle's autograd.

use candle_core::{Context, Error, ModuleT, Result, Tensor, bail};
use candle_nn::{Linear, Module, VarBuilder};
use cifar_ops::{
    Algorithm, Conv2dParams, activate, avg_pool2d, conv2d, dropout, global_avg_pool2d, max_pool2d,
};

use crate::dropout::{Dropout, image_keys};
use crate::parameters::child_path;
use crate::{
    Activation, AvgPool2d, Init, Layer, MaxPool2d, Net, Node, ParameterKind, ParameterSpec,
};
use batch_norm::BatchNorm;

mod batch_norm;

/// What a forward pass is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Batch norm uses the batch's statistics and updates the running ones; dropout draws by the
    /// calling thread's [`image_keys`](cifar_ops::image_keys).
    Train,
    /// Batch norm uses the running statistics and dropout does nothing; nothing changes.
    Eval,
}

/// What may look at a node's output, by its path, and replace it.
pub type Hook<'a> = dyn FnMut(&str, Tensor) -> Result<Tensor> + 'a;

/// A net with its tensors, run layer by layer: `(N, C, H, W)` f32 images to `(N, K)` logits.
///
/// The tensors stay shared with whoever made them: an optimiser that sets a `Var` changes the
/// next forward pass, and a forward pass in training mode sets the `Var`s of the running
/// statistics.
#[derive(Debug)]
pub struct CandleNet {
    name: String,
    input: [usize; 3],
    layers: Vec<Unit>,
}

impl CandleNet {
    /// Takes every tensor of [`Net::parameters`] from `vb` under its name. A `vb` over a
    /// `VarMap` that lacks some creates them as PyTorch's layers would, with candle's random numbers
    /// (which cannot be seeded on the CPU), and without what [`WeightInit`](crate::WeightInit) asks
    /// for on top.
    ///
    /// # Errors
    /// A net that [`Net::steps`] refuses; a tensor that is missing or has another shape.
    #[expect(clippy::needless_pass_by_value, reason = "candle's modules take it by value")]
    pub fn new(net: &Net, vb: VarBuilder) -> Result<Self> {
        net.steps().map_err(Error::wrap)?;
        let layers = units(&net.layers, "", &vb)?;
        Ok(Self { name: net.name.clone(), input: net.input, layers })
    }

    /// Runs the net and shows `tap` the output of every node by its path, in the order of
    /// [`Net::steps`]. `images`: `(N, C, H, W)` f32, `N >= 1`. Returns logits `(N, K)`.
    ///
    /// # Errors
    /// Images of another shape; a failed operation, naming the layer; in training mode, a batch
    /// norm that sees a single value per channel, whose variance would be undefined, or a dropout
    /// without a key for each image.
    pub fn forward_with_taps(
        &self,
        images: &Tensor,
        mode: Mode,
        tap: &mut dyn FnMut(&str, &Tensor),
    ) -> Result<Tensor> {
        self.forward_with_hooks(images, mode, &mut |path, ys| {
            tap(path, &ys);
            Ok(ys)
        })
    }

    /// Like [`CandleNet::forward_with_taps`], but the net goes on with what `hook` makes of each
    /// output, as after a forward hook of PyTorch's that returns something.
    ///
    /// # Errors
    /// Those of [`CandleNet::forward_with_taps`], and those of `hook`, naming the layer.
    pub fn forward_with_hooks(
        &self,
        images: &Tensor,
        mode: Mode,
        hook: &mut Hook<'_>,
    ) -> Result<Tensor> {
        let [c, h, w] = self.input;
        if images.elem_count() == 0
            || !matches!(images.dims(), [_, rest @ ..] if rest == self.input)
        {
            let (name, shape) = (&self.name, images.dims());
            bail!("{name}: images have the shape {shape:?}, expected [N, {c}, {h}, {w}], N >= 1");
        }
        chain(&self.layers, images, mode, hook)
    }
}

impl ModuleT for CandleNet {
    /// [`CandleNet::forward_with_taps`] without taps; `train` chooses the [`Mode`].
    fn forward_t(&self, xs: &Tensor, train: bool) -> Result<Tensor> {
        let mode = if train { Mode::Train } else { Mode::Eval };
        self.forward_with_hooks(xs, mode, &mut |_, ys| Ok(ys))
    }
}

/// A node with its tensors.
#[derive(Debug)]
struct Unit {
    path: String,
    op: Op,
}

#[derive(Debug)]
enum Op {
    Conv2d { weight: Tensor, bias: Option<Tensor>, params: Conv2dParams },
    BatchNorm2d(BatchNorm),
    Activation(Activation),
    MaxPool2d(MaxPool2d),
    AvgPool2d(AvgPool2d),
    GlobalAvgPool,
    Linear(Linear),
    Flatten,
    Scale(f64),
    Dropout(Dropout),
    Sequential(Vec<Unit>),
    Residual { body: Box<Unit>, shortcut: Option<Box<Unit>>, activation: Activation },
}

fn units(nodes: &[Node], parent: &str, vb: &VarBuilder) -> Result<Vec<Unit>> {
    nodes.iter().map(|node| Unit::new(node, parent, vb)).collect()
}

fn chain(units: &[Unit], xs: &Tensor, mode: Mode, hook: &mut Hook<'_>) -> Result<Tensor> {
    units.iter().try_fold(xs.clone(), |xs, unit| unit.forward(&xs, mode, hook))
}

impl Unit {
    fn new(node: &Node, parent: &str, vb: &VarBuilder) -> Result<Self> {
        let path = child_path(parent, &node.name);
        let vb = &vb.pp(&node.name);
        let op = match &node.layer {
            Layer::Conv2d(conv) => {
                let params = Conv2dParams {
                    stride: conv.stride,
                    padding: conv.padding,
                    groups: conv.groups,
                    // The other readers are measured by this one.
                    algorithm: Algorithm::Direct,
                };
                let mut tensors = fetch_all(&node.layer, vb)?.into_iter();
                let weight = tensors.next().context("a convolution has a weight")?;
                Op::Conv2d { weight, bias: tensors.next(), params }
            }
            Layer::BatchNorm2d(norm) => {
                Op::BatchNorm2d(BatchNorm::new(norm, fetch(&node.layer, vb)?)?)
            }
            Layer::Linear(_) => {
                let mut tensors = fetch_all(&node.layer, vb)?.into_iter();
                let weight = tensors.next().context("a linear layer has a weight")?;
                Op::Linear(Linear::new(weight, tensors.next()))
            }
            Layer::Activation(activation) => Op::Activation(*activation),
            Layer::MaxPool2d(pool) => Op::MaxPool2d(*pool),
            Layer::AvgPool2d(pool) => Op::AvgPool2d(*pool),
            Layer::GlobalAvgPool => Op::GlobalAvgPool,
            Layer::Flatten => Op::Flatten,
            Layer::Scale(factor) => Op::Scale(*factor),
            Layer::Dropout(p) => Op::Dropout(Dropout::new(*p, &path)),
            Layer::Sequential(sequential) => Op::Sequential(units(&sequential.nodes, &path, vb)?),
            Layer::Residual(residual) => {
                let body = Box::new(Self::new(&residual.body, &path, vb)?);
                let shortcut = residual.shortcut.as_deref();
                let shortcut = shortcut.map(|node| Self::new(node, &path, vb)).transpose()?;
                let activation = residual.activation;
                Op::Residual { body, shortcut: shortcut.map(Box::new), activation }
            }
        };
        Ok(Self { path, op })
    }

    fn forward(&self, xs: &Tensor, mode: Mode, hook: &mut Hook<'_>) -> Result<Tensor> {
        let ys = match &self.op {
            Op::Sequential(units) => chain(units, xs, mode, hook)?,
            Op::Residual { body, shortcut, activation } => {
                let ys = body.forward(xs, mode, hook)?;
                let shortcut = match shortcut {
                    Some(projection) => projection.forward(xs, mode, hook)?,
                    None => xs.clone(),
                };
                (ys + shortcut)
                    .and_then(|sum| activate(&sum, *activation))
                    .map_err(self.name_it())?
            }
            plain => plain.forward(xs, mode).map_err(self.name_it())?,
        };
        hook(&self.path, ys).map_err(self.name_it())
    }

    fn name_it(&self) -> impl Fn(Error) -> Error {
        |err| err.context(format!("layer `{}`", self.path))
    }
}

impl Op {
    /// One layer without children.
    fn forward(&self, xs: &Tensor, mode: Mode) -> Result<Tensor> {
        match self {
            Self::Conv2d { weight, bias, params } => conv2d(xs, weight, bias.as_ref(), *params),
            Self::BatchNorm2d(norm) => norm.forward(xs, mode),
            Self::Activation(activation) => activate(xs, *activation),
            Self::MaxPool2d(pool) => max_pool2d(xs, pool.kernel, pool.stride, 0),
            Self::AvgPool2d(pool) => avg_pool2d(xs, pool.kernel, pool.stride),
            Self::GlobalAvgPool => global_avg_pool2d(xs),
            Self::Linear(linear) => linear.forward(xs),
            Self::Flatten => xs.flatten_from(1),
            Self::Scale(factor) => xs * *factor,
            Self::Dropout(_) if mode == Mode::Eval => Ok(xs.clone()),
            Self::Dropout(layer) => {
                let keys: Vec<u64> = layer.keys(&image_keys(xs.dim(0)?)?).collect();
                dropout(xs, layer.p, &keys)
            }
            Self::Sequential(_) | Self::Residual { .. } => {
                bail!("a container is not a plain layer")
            }
        }
    }
}

fn fetch<const N: usize>(layer: &Layer, vb: &VarBuilder) -> Result<[Tensor; N]> {
    let tensors = fetch_all(layer, vb)?;
    tensors.try_into().map_err(|found: Vec<Tensor>| {
        Error::msg(format!("{} tensors for a {}, expected {N}", found.len(), layer.kind()))
    })
}

/// The layer's own tensors in the order of [`Layer::parameters`].
fn fetch_all(layer: &Layer, vb: &VarBuilder) -> Result<Vec<Tensor>> {
    let fetch_one = |spec: ParameterSpec| {
        let init = match spec.init {
            Init::Uniform { bound } | Init::Dirac { bound } | Init::UnitStd { bound } => {
                candle_nn::Init::Uniform { lo: -bound, up: bound }
            }
            Init::Zeros => candle_nn::Init::Const(0.0),
            Init::Ones => candle_nn::Init::Const(1.0),
        };
        let tensor = vb.get_with_hints_dtype(spec.shape, &spec.name, init, spec.dtype)?;
        // The same storage, through which no gradient is sent.
        Ok(if spec.kind == ParameterKind::Frozen { tensor.detach() } else { tensor })
    };
    layer.parameters().into_iter().map(fetch_one).collect()
}

#[cfg(test)]
mod tests;
