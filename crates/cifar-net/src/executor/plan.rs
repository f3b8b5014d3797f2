//! A net as a list of fused operations on channels-last values.

use candle_core::{Error, Result, bail};
use cifar_kernels::conv::Conv2d;
use cifar_kernels::pool::PoolShape;

use super::pooled::Pooled;
use crate::dropout::Dropout;
use crate::parameters::child_path;
use crate::{Activation, BatchNorm2d, Layer, Mode, Net, Node, Residual};

/// Index of a value; 0 is the images.
pub(super) type ValueId = usize;

/// Values of one shard of a batch: with their gradients about a second-level cache.
const SHARD_VALUES: usize = 512 * 1024;

/// What passes from one operation to the next, for each image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
}

impl Value {
    /// `H·W·C`
    pub(super) fn len(&self) -> usize {
        self.channels * self.height * self.width
    }
}

/// One pass over memory, or one convolution.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Op {
    /// With its bias, the max pooling and the ReLU behind it; another activation is an operation of
    /// its own.
    Conv {
        conv: Conv2d,
        bias: bool,
        pool: Option<PoolShape>,
        relu: bool,
    },
    /// With the addition and the activation behind it.
    BatchNorm {
        norm: BatchNorm2d,
        residual: Option<ValueId>,
        activation: Option<Activation>,
    },
    Add {
        residual: ValueId,
        activation: Option<Activation>,
    },
    Activation(Activation),
    Scale(f32),
    Dropout(Dropout),
    /// With the ReLU that stood in front of it: the largest value is the same, and there are fewer to
    /// look at.
    MaxPool {
        shape: PoolShape,
        relu: bool,
    },
    AvgPool(PoolShape),
    GlobalAvgPool,
}

/// An operation with what it reads and writes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operation {
    /// Path of the layer whose tensors it reads, such as `layer1.0.conv.0`.
    pub(super) path: String,
    pub(super) op: Op,
    pub(super) input: ValueId,
    pub(super) output: ValueId,
}

impl Operation {
    /// The values it reads.
    pub(super) fn inputs(&self) -> impl Iterator<Item = ValueId> {
        let residual = match self.op {
            Op::BatchNorm { residual, .. } => residual,
            Op::Add { residual, .. } => Some(residual),
            _ => None,
        };
        std::iter::once(self.input).chain(residual)
    }
}

/// The operations of a net in order, and the values between them.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) operations: Vec<Operation>,
    pub(super) values: Vec<Value>,
    /// The logits.
    pub(super) output: ValueId,
    /// Whether an operation looks at all images of a batch.
    whole: bool,
}

impl Plan {
    /// What `net` does in this mode.
    pub(super) fn new(net: &Net, mode: Mode) -> Result<Self> {
        let steps = net.steps().map_err(Error::wrap)?;
        let whole = steps.iter().any(|step| matches!(step.layer, Layer::BatchNorm2d(_)));
        let [channels, height, width] = net.input;
        let mut builder = Builder {
            operations: Vec::new(),
            values: vec![Value { channels, height, width }],
            shared: vec![true],
            mode,
            joins_pools: mode == Mode::Train && !whole && net.n_parameters() <= SHARD_VALUES,
        };
        let output = builder.chain(&net.layers, "", 0)?;
        let last = builder.values[output];
        if (last.height, last.width) != (1, 1) {
            bail!(
                "{}: the planned executor needs a net that ends in one value per class, this one \
                 flattens {}x{}x{} at its end; run it with candle's autograd",
                net.name,
                last.channels,
                last.height,
                last.width
            );
        }
        let Builder { operations, values, .. } = builder;
        Ok(Self { operations, values, output, whole })
    }

    /// Images that go through all operations at a time: all of them where an operation looks at the
    /// whole batch or the gradients of `n_weights` would take more memory than the values.
    pub(super) fn shard_len(&self, n_images: usize, n_weights: usize) -> usize {
        let between = self.operations.iter().filter_map(Pooled::of);
        let of_image = self.values.iter().map(Value::len).sum::<usize>()
            + between.map(|pooled| pooled.between_len()).sum::<usize>();
        let shard_len = SHARD_VALUES.div_ceil(of_image);
        if self.whole || n_weights > shard_len * of_image {
            n_images
        } else {
            shard_len.min(n_images)
        }
    }

    /// Whether the operations draw at random.
    pub(super) fn draws(&self) -> bool {
        self.operations.iter().any(|operation| matches!(operation.op, Op::Dropout(_)))
    }

    /// For each value, the last operation that reads it; `None` for one that nothing reads.
    pub(super) fn last_uses(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.values.len()];
        for (at, operation) in self.operations.iter().enumerate() {
            operation.inputs().for_each(|value| last[value] = Some(at));
        }
        last
    }
}

struct Builder {
    operations: Vec<Operation>,
    values: Vec<Value>,
    /// Whether a value is read by more than its next operation, so that nothing may be fused into
    /// what makes it.
    shared: Vec<bool>,
    mode: Mode,
    /// Whether a convolution takes up the max pooling behind it: in training, where the images are on
    /// one thread from the first operation to the last.
    joins_pools: bool,
}

impl Builder {
    fn push(&mut self, path: &str, op: Op, input: ValueId, value: Value) -> ValueId {
        let output = self.values.len();
        self.values.push(value);
        self.shared.push(false);
        self.operations.push(Operation { path: path.to_owned(), op, input, output });
        output
    }

    fn chain(&mut self, nodes: &[Node], parent: &str, input: ValueId) -> Result<ValueId> {
        nodes.iter().try_fold(input, |input, node| {
            self.layer(&node.layer, &child_path(parent, &node.name), input)
        })
    }

    fn layer(&mut self, layer: &Layer, path: &str, input: ValueId) -> Result<ValueId> {
        let Value { channels, height, width } = self.values[input];
        let pooled = |kernel: usize, stride: usize| {
            let shape = PoolShape { height, width, kernel, stride, padding: 0 };
            (shape, Value { channels, height: shape.out_height(), width: shape.out_width() })
        };
        Ok(match layer {
            Layer::Conv2d(conv) => {
                let bias = conv.bias;
                let conv = Conv2d {
                    in_channels: channels,
                    out_channels: conv.out_channels,
                    height,
                    width,
                    kernel_height: conv.kernel,
                    kernel_width: conv.kernel,
                    stride: conv.stride,
                    padding: conv.padding,
                    groups: conv.groups,
                };
                self.conv(path, conv, bias, input)
            }
            // The flattened map's window is the whole map: PyTorch's weight `(K, C·H·W)` is
            // `(K, C, H, W)` as it lies.
            Layer::Linear(linear) => {
                let conv = Conv2d {
                    in_channels: channels,
                    out_channels: linear.out_features,
                    height,
                    width,
                    kernel_height: height,
                    kernel_width: width,
                    stride: 1,
                    padding: 0,
                    groups: 1,
                };
                self.conv(path, conv, linear.bias, input)
            }
            Layer::BatchNorm2d(norm) => {
                let op = Op::BatchNorm { norm: *norm, residual: None, activation: None };
                self.push(path, op, input, self.values[input])
            }
            Layer::Activation(activation) => self.activation(path, *activation, input),
            Layer::MaxPool2d(pool) => {
                let (shape, value) = pooled(pool.kernel, pool.stride);
                let (relu, joins) = (self.take_relu(input), self.joins_pools);
                match self.conv_of(input) {
                    Some(Op::Conv { pool: pool @ None, relu: after, .. }) if joins => {
                        (*pool, *after) = (Some(shape), relu);
                        self.values[input] = value;
                        input
                    }
                    _ => self.push(path, Op::MaxPool { shape, relu }, input, value),
                }
            }
            Layer::AvgPool2d(pool) => {
                let (shape, value) = pooled(pool.kernel, pool.stride);
                self.push(path, Op::AvgPool(shape), input, value)
            }
            Layer::GlobalAvgPool => {
                let value = Value { channels, height: 1, width: 1 };
                self.push(path, Op::GlobalAvgPool, input, value)
            }
            Layer::Flatten => input,
            Layer::Scale(factor) => {
                self.push(path, Op::Scale(*factor as f32), input, self.values[input])
            }
            Layer::Dropout(_) if self.mode == Mode::Eval => input,
            Layer::Dropout(p) => {
                let op = Op::Dropout(Dropout::new(*p, path));
                self.push(path, op, input, self.values[input])
            }
            Layer::Sequential(sequential) => self.chain(&sequential.nodes, path, input)?,
            Layer::Residual(residual) => self.residual(residual, path, input)?,
        })
    }

    fn conv(&mut self, path: &str, conv: Conv2d, bias: bool, input: ValueId) -> ValueId {
        let value = Value {
            channels: conv.out_channels,
            height: conv.out_height(),
            width: conv.out_width(),
        };
        self.push(path, Op::Conv { conv, bias, pool: None, relu: false }, input, value)
    }

    fn activation(&mut self, path: &str, activation: Activation, input: ValueId) -> ValueId {
        if !self.shared[input]
            && let Some(last) = self.operations.last_mut()
            && last.output == input
        {
            match &mut last.op {
                Op::Conv { relu, .. } if activation == Activation::Relu => {
                    *relu = true;
                    return input;
                }
                Op::BatchNorm { activation: none @ None, .. }
                | Op::Add { activation: none @ None, .. } => {
                    *none = Some(activation);
                    return input;
                }
                _ => {}
            }
        }
        self.push(path, Op::Activation(activation), input, self.values[input])
    }

    /// The convolution that makes `input`, if nothing else reads that.
    fn conv_of(&mut self, input: ValueId) -> Option<&mut Op> {
        let last = self.operations.last_mut().filter(|last| last.output == input)?;
        let is_conv = matches!(last.op, Op::Conv { .. }) && !self.shared[input];
        is_conv.then_some(&mut last.op)
    }

    /// Takes the ReLU from the convolution that makes `input`.
    fn take_relu(&mut self, input: ValueId) -> bool {
        match self.conv_of(input) {
            Some(Op::Conv { relu, .. }) => std::mem::take(relu),
            _ => false,
        }
    }

    /// The shortcut first, so that the body's last operation finds it done.
    fn residual(&mut self, block: &Residual, path: &str, input: ValueId) -> Result<ValueId> {
        self.shared[input] = true;
        let branch = |this: &mut Self, node: &Node| {
            this.layer(&node.layer, &child_path(path, &node.name), input)
        };
        let shortcut = match &block.shortcut {
            Some(projection) => branch(self, projection)?,
            None => input,
        };
        let body = branch(self, &block.body)?;
        let fused = match self.operations.last_mut() {
            Some(Operation {
                op: Op::BatchNorm { residual, activation: None, .. },
                output,
                ..
            }) if *output == body && residual.is_none() && !self.shared[body] => {
                *residual = Some(shortcut);
                true
            }
            _ => false,
        };
        let sum = if fused {
            body
        } else {
            let op = Op::Add { residual: shortcut, activation: None };
            self.push(path, op, body, self.values[body])
        };
        Ok(self.activation(path, block.activation, sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_nets;

    #[test]
    fn batch_norm_takes_up_the_addition_and_the_activation_behind_it() {
        let plan = Plan::new(&test_nets::residual(), Mode::Train).unwrap();
        let kinds: Vec<_> = plan.operations.iter().map(|o| (o.path.as_str(), &o.op)).collect();
        assert!(matches!(kinds[0], ("stem.0", Op::Conv { relu: false, .. })));
        let relu = Some(Activation::Relu);
        let Op::BatchNorm { activation, residual: None, .. } = kinds[1].1 else { panic!() };
        assert_eq!((kinds[1].0, *activation), ("stem.1", relu));
        assert!(matches!(kinds[2], ("block.shortcut.0", Op::Conv { .. })));
        assert!(matches!(kinds[3], ("block.shortcut.1", Op::BatchNorm { activation: None, .. })));
        // A body that ends in something else keeps its addition.
        assert!(matches!(kinds[5], ("block.conv.1", Op::Scale(_))));
        let Op::Add { activation, .. } = kinds[6].1 else { panic!() };
        assert_eq!((kinds[6].0, *activation), ("block", relu));
    }

    #[test]
    fn a_relu_in_front_of_a_block_is_not_fused_into_what_the_shortcut_reads() {
        use crate::{Conv2d, Layer, Linear, Residual, Sequential};
        let body = Sequential::of([Activation::Relu.into(), Conv2d::new(4, 4, 1).into()]);
        let net = Net {
            name: "preactivated".into(),
            input: [3, 4, 4],
            n_classes: 2,
            layers: vec![
                Node::new("conv", Conv2d::new(3, 4, 1)),
                Node::new("block", Residual::new(Node::new("body", body), Activation::Relu)),
                Node::new("flatten", Layer::Flatten),
                Node::new("fc", Linear::new(64, 2)),
            ],
        };
        let plan = Plan::new(&net, Mode::Train).unwrap();
        assert!(matches!(plan.operations[0].op, Op::Conv { relu: false, .. }));
        assert!(matches!(plan.operations[1].op, Op::Activation(Activation::Relu)));
        let Op::Conv { conv, .. } = plan.operations[4].op else { panic!("no linear layer") };
        assert_eq!((conv.kernel_height, conv.out_height(), conv.in_channels), (4, 1, 4));
    }
}
