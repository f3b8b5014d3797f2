//! A net frozen for evaluation: batch norm folded into the convolution before it, values in as
//! few buffers as they need.

use candle_core::Result;
use cifar_kernels::activation;
use cifar_kernels::buffer::Buffer;
use cifar_kernels::channels_last::{batch_norm, pool};
use cifar_kernels::conv::{self, Algorithm, Conv2d, Epilogue, Filters, Pass};
use cifar_kernels::element::{Element, bf16};
use cifar_kernels::isa::Isa;
use cifar_kernels::layout;
use rayon::prelude::*;

use super::plan::{Op, Operation, Plan, ValueId};
use super::statistics::Statistics;
use super::{Arithmetic, Precision, Tensors, forward, n_images, on_pool};
use crate::{Activation, BatchNorm2d, Mode, Net, Variable};

/// A net with the weights and statistics its variables had when it was made: images to logits on
/// the CPU, in evaluation mode.
#[derive(Debug)]
pub struct Inference {
    name: String,
    /// `[C, H, W]`
    input: [usize; 3],
    stages: Box<dyn Run>,
    /// `(N, K)` of the last images.
    logits: Vec<f32>,
}

/// All stages, whatever type values are stored in.
trait Run: std::fmt::Debug + Send {
    fn run(&mut self, images: &[f32], n_images: usize, logits: &mut Vec<f32>);
}

/// The operations, and the buffers between them.
#[derive(Debug)]
struct Stages<E: Element> {
    stages: Vec<Stage<E>>,
    /// Values of each buffer for one image.
    lens: Vec<usize>,
    /// Images that go through all stages at a time, on one thread.
    shard_len: usize,
    shards: Vec<Shard>,
    /// `C` and `H·W`
    input: (usize, usize),
    logits: BufferId,
    n_classes: usize,
}

type BufferId = usize;

/// What some of the images have to themselves.
#[derive(Debug, Default)]
struct Shard {
    buffers: Vec<Buffer>,
    /// Which pixel of its window each maximum is; nobody asks.
    argmax: Vec<u32>,
}

/// Values of the largest input and result of one shard. Fewer stay nearer, more read the weights
/// less often; docs/benchmarks.md has the measurement.
const SHARD_VALUES: usize = 1024 * 1024;

/// One operation, with the buffers in the place of the values.
#[derive(Debug)]
struct Stage<E: Element> {
    kind: Kind<E>,
    channels: usize,
    input: BufferId,
    output: BufferId,
    /// Values of input and result for one image.
    lens: (usize, usize),
}

#[derive(Debug)]
enum Kind<E: Element> {
    /// `activation(conv(x) + bias + residual)`; the residual is copied to the result's buffer
    /// first unless it lies there already.
    Conv {
        filters: Filters<E>,
        bias: Vec<f32>,
        residual: Option<BufferId>,
        activation: Option<Activation>,
    },
    BatchNorm {
        statistics: Statistics,
        residual: Option<BufferId>,
        activation: Option<Activation>,
    },
    MaxPool {
        shape: cifar_kernels::pool::PoolShape,
        relu: bool,
    },
    /// Its residual is a buffer.
    Plain(Op),
}

impl Inference {
    /// Freezes the net as its `variables` are now.
    ///
    /// # Errors
    /// Those of [`Executor::new`](super::Executor::new).
    pub fn new(net: &Net, variables: &[Variable], arithmetic: Arithmetic) -> Result<Self> {
        let convolution = arithmetic.convolution;
        let stages: Box<dyn Run> = match arithmetic.precision {
            Precision::F32 => Box::new(Stages::<f32>::new(net, variables, convolution)?),
            Precision::Bf16 => Box::new(Stages::<bf16>::new(net, variables, convolution)?),
        };
        Ok(Self { name: net.name.clone(), input: net.input, stages, logits: Vec::new() })
    }

    /// The logits, `(N, K)`, of `images`, `(N, C, H, W)`.
    ///
    /// # Errors
    /// Images that are not whole or none.
    pub fn logits(&mut self, images: &[f32]) -> Result<&[f32]> {
        let n = n_images(&self.name, self.input, images)?;
        let Self { stages, logits, .. } = self;
        on_pool(|| stages.run(images, n, logits));
        Ok(&self.logits)
    }
}

impl<E: Element> Stages<E> {
    fn new(net: &Net, variables: &[Variable], convolution: Algorithm) -> Result<Self> {
        let plan = fold(Plan::new(net, Mode::Eval)?);
        let tensors = Tensors::new(net, variables)?;
        let mut pool = Assignment::new(&plan.plan);
        let mut stages = Vec::new();
        for (at, operation) in plan.plan.operations.iter().enumerate() {
            let input = pool.of[operation.input];
            let residual = operation.inputs().nth(1);
            let in_place = residual.filter(|_| matches!(operation.op, Op::BatchNorm { .. }));
            let output = pool.output(at, operation, in_place);
            let residual = residual.map(|residual| pool.of[residual]);
            pool.release(at, operation);
            let (values, folded) = (&plan.plan.values, plan.folded[at].as_ref());
            stages.push(Stage {
                kind: kind(operation, folded, residual, &tensors, convolution)?,
                channels: values[operation.input].channels,
                input,
                output,
                lens: (values[operation.input].len(), values[operation.output].len()),
            });
        }
        let [c, h, w] = net.input;
        let largest = stages.iter().map(|stage| stage.lens.0 + stage.lens.1).max().unwrap_or(1);
        Ok(Self {
            stages,
            input: (c, h * w),
            logits: pool.of[plan.plan.output],
            shard_len: (SHARD_VALUES / largest).max(1),
            shards: Vec::new(),
            lens: pool.lens,
            n_classes: net.n_classes,
        })
    }
}

impl<E: Element> Run for Stages<E> {
    fn run(&mut self, images: &[f32], n: usize, logits: &mut Vec<f32>) {
        let Self { stages, lens, shard_len, shards, input, n_classes, logits: last } = self;
        logits.resize(n * *n_classes, 0.0);
        if shards.len() < n.div_ceil(*shard_len) {
            shards.resize_with(n.div_ceil(*shard_len), Shard::default);
        }
        let isa = Isa::current();
        let parts = images.par_chunks(*shard_len * input.0 * input.1);
        let parts = parts.zip(logits.par_chunks_mut(*shard_len * *n_classes));
        shards.par_iter_mut().zip(parts).for_each(|(shard, (images, logits))| {
            isa.force(|| {
                let n = logits.len() / *n_classes;
                shard.run::<E>(stages, lens, *input, images, n);
                let last = shard.buffers[*last].as_slice::<E>();
                logits.iter_mut().zip(last).for_each(|(logit, last)| *logit = last.to_f32());
            });
        });
    }
}

impl Shard {
    /// All stages on `n` images of `C` and `H·W`.
    fn run<E: Element>(
        &mut self,
        stages: &[Stage<E>],
        lens: &[usize],
        (channels, n_pixels): (usize, usize),
        images: &[f32],
        n: usize,
    ) {
        let Self { buffers, argmax } = self;
        buffers.resize(lens.len(), Buffer::default());
        for (buffer, len) in buffers.iter_mut().zip(lens) {
            buffer.resize::<E>(n * len);
        }
        let first = &mut buffers[0].as_mut_slice::<E>()[..images.len()];
        layout::channels_last(images, channels, n_pixels, first);
        for stage in stages {
            let mut output = std::mem::take(&mut buffers[stage.output]);
            stage.run(buffers, n, output.as_mut_slice(), argmax);
            buffers[stage.output] = output;
        }
    }
}

impl<E: Element> Stage<E> {
    fn run(&self, buffers: &[Buffer], n: usize, y: &mut [E], argmax: &mut Vec<u32>) {
        let (in_len, out_len) = (n * self.lens.0, n * self.lens.1);
        let x = buffers[self.input].as_slice().get(..in_len).unwrap_or_default();
        let y = &mut y[..out_len];
        match &self.kind {
            Kind::Conv { filters, bias, residual, activation } => {
                if let Some(residual) = residual.filter(|&residual| residual != self.output) {
                    y.copy_from_slice(&buffers[residual].as_slice()[..out_len]);
                }
                let (accumulate, bias) = (residual.is_some(), Some(&bias[..]));
                let relu = *activation == Some(Activation::Relu);
                conv::forward(filters, x, Epilogue { accumulate, bias, relu }, y);
                if !relu && activation.is_some() {
                    activation::apply(*activation, None, None, y);
                }
            }
            Kind::BatchNorm { statistics, residual, activation } => {
                let residual = residual.map(|id| &buffers[id].as_slice()[..out_len]);
                batch_norm::apply(x, statistics.affine(), residual, *activation, y);
            }
            Kind::MaxPool { shape, relu } => {
                argmax.resize(out_len, 0);
                pool::max_pool(x, shape, self.channels, *relu, y, argmax);
            }
            Kind::Plain(op) => forward::plain(op, x, self.channels, buffers, y),
        }
    }
}

/// A plan without the batch norms that follow a convolution, and for each operation the one that
/// was folded into it.
struct Folded {
    plan: Plan,
    folded: Vec<Option<(String, BatchNorm2d, Conv2d, bool)>>,
}

/// Puts each batch norm that alone reads a convolution's result in the convolution's place.
fn fold(mut plan: Plan) -> Folded {
    let n_uses = |plan: &Plan, value: ValueId| {
        let reads = plan.operations.iter().flat_map(Operation::inputs);
        reads.filter(|&read| read == value).count()
    };
    let (mut operations, mut folded): (Vec<Operation>, Vec<_>) = (Vec::new(), Vec::new());
    for operation in &plan.operations {
        let conv = operations.iter().position(|conv| {
            conv.output == operation.input && matches!(conv.op, Op::Conv { relu: false, .. })
        });
        if let (Op::BatchNorm { norm, .. }, Some(at)) = (&operation.op, conv)
            && n_uses(&plan, operation.input) == 1
            && plan.output != operation.input
        {
            // It takes the batch norm's place, so that its residual has been computed.
            let before: Operation = operations.remove(at);
            folded.remove(at);
            if let Op::Conv { conv, bias, .. } = before.op {
                folded.push(Some((before.path, *norm, conv, bias)));
            }
            operations.push(Operation { input: before.input, ..operation.clone() });
        } else {
            operations.push(operation.clone());
            folded.push(None);
        }
    }
    plan.operations = operations;
    Folded { plan, folded }
}

/// The operation with the weights it needs.
fn kind<E: Element>(
    operation: &Operation,
    folded: Option<&(String, BatchNorm2d, Conv2d, bool)>,
    residual: Option<BufferId>,
    tensors: &Tensors,
    convolution: Algorithm,
) -> Result<Kind<E>> {
    let path = &operation.path;
    Ok(match &operation.op {
        Op::BatchNorm { norm, activation, .. } => {
            let mut statistics = Statistics::new(norm.channels);
            statistics.mean.copy_from_slice(tensors.read(path, "running_mean")?.slice());
            statistics.variance.copy_from_slice(tensors.read(path, "running_var")?.slice());
            let (weight, bias) = (tensors.read(path, "weight")?, tensors.read(path, "bias")?);
            statistics.map(norm.eps, weight.slice(), bias.slice());
            let Some((path, _, conv, has_bias)) = folded else {
                return Ok(Kind::BatchNorm { statistics, residual, activation: *activation });
            };
            let weight = tensors.read(path, "weight")?;
            let filters = weight.slice().chunks_exact(conv.weight_len() / conv.out_channels);
            let scaled: Vec<f32> = filters
                .zip(&statistics.scale)
                .flat_map(|(filter, scale)| filter.iter().map(move |weight| weight * scale))
                .collect();
            let bias = has_bias.then(|| tensors.read(path, "bias")).transpose()?;
            let bias = bias.as_ref().map_or(&[][..], |bias| bias.slice());
            let bias = (0..conv.out_channels).map(|k| {
                let before = bias.get(k).copied().unwrap_or(0.0) - statistics.mean[k];
                before * statistics.scale[k] + statistics.bias[k]
            });
            let bias = bias.collect();
            let filters = packed(*conv, &scaled, convolution);
            Kind::Conv { filters, bias, residual, activation: *activation }
        }
        Op::Conv { conv, bias, relu, .. } => {
            let weight = tensors.read(path, "weight")?;
            let filters = packed(*conv, weight.slice(), convolution);
            let bias = match bias {
                true => tensors.read(path, "bias")?.slice().to_vec(),
                false => vec![0.0; conv.out_channels],
            };
            let activation = relu.then_some(Activation::Relu);
            Kind::Conv { filters, bias, residual: None, activation }
        }
        Op::MaxPool { shape, relu } => Kind::MaxPool { shape: *shape, relu: *relu },
        Op::Add { activation, .. } => {
            let (residual, activation) = (residual.unwrap_or_default(), *activation);
            Kind::Plain(Op::Add { residual, activation })
        }
        plain => Kind::Plain(plain.clone()),
    })
}

fn packed<E: Element>(conv: Conv2d, weight: &[f32], convolution: Algorithm) -> Filters<E> {
    let mut filters = Filters::new(conv, Pass::Forward, convolution);
    filters.pack(weight);
    filters
}

/// Which buffer each value lies in.
struct Assignment {
    of: Vec<BufferId>,
    /// Values of each buffer for one image.
    lens: Vec<usize>,
    free: Vec<BufferId>,
    value_lens: Vec<usize>,
    last_uses: Vec<Option<usize>>,
}

impl Assignment {
    fn new(plan: &Plan) -> Self {
        let value_lens: Vec<usize> = plan.values.iter().map(|value| value.len()).collect();
        let mut of = vec![usize::MAX; value_lens.len()];
        of[0] = 0;
        Self {
            of,
            lens: vec![value_lens[0]],
            free: Vec::new(),
            last_uses: plan.last_uses(),
            value_lens,
        }
    }

    /// A buffer for the result of operation `at`: that of its residual where it is read for the
    /// last time.
    fn output(&mut self, at: usize, operation: &Operation, residual: Option<ValueId>) -> BufferId {
        let len = self.value_lens[operation.output];
        let in_place = residual.filter(|&value| {
            self.last_uses[value] == Some(at) && value != operation.input && value != 0
        });
        let id = match in_place {
            Some(value) => self.of[value],
            None => {
                let fits = self.free.iter().position(|&id| self.lens[id] >= len);
                match fits.map(|at| self.free.remove(at)).or_else(|| self.free.pop()) {
                    Some(id) => {
                        self.lens[id] = self.lens[id].max(len);
                        id
                    }
                    None => {
                        self.lens.push(len);
                        self.lens.len() - 1
                    }
                }
            }
        };
        self.of[operation.output] = id;
        id
    }

    /// Frees the buffers of what operation `at` was the last to read.
    fn release(&mut self, at: usize, operation: &Operation) {
        for value in operation.inputs() {
            let id = self.of[value];
            let spent = self.last_uses[value] == Some(at) && id != self.of[operation.output];
            if spent && !self.free.contains(&id) {
                self.free.push(id);
            }
        }
    }
}
