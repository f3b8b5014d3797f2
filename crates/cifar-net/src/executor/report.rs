//! What the planned executor does with its memory, for people.

use cifar_kernels::element::Element;

use super::Planned;
use super::passes::Packed;
use super::plan::Op;
use super::pooled::Pooled;
use crate::Activation;

/// The operations of a training step and the bytes it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryReport {
    /// In execution order.
    pub operations: Vec<PlannedOperation>,
    /// Images of the batch.
    pub batch_size: usize,
    /// Values kept from the forward pass for the backward pass, images included.
    pub value_bytes: usize,
    /// Gradients of values, and what lies between a convolution and its pooling; each buffer is used
    /// many times.
    pub gradient_bytes: usize,
    /// Buffers that hold them.
    pub n_gradient_buffers: usize,
    /// Weights in the order that the convolutions read them.
    pub packed_bytes: usize,
    /// Gradients of the weights, of each shard and their sum, and of the images between a convolution
    /// and its pooling.
    pub weight_gradient_bytes: usize,
    /// Images that go through all operations at a time: the whole batch where batch norm looks at
    /// it.
    pub shard_len: usize,
}

/// One operation of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedOperation {
    /// Path of the layer whose tensors it reads, or that it stands for.
    pub path: String,
    /// What is done in one pass, such as `conv3x3 winograd` or `batch norm + add + relu`.
    pub kind: String,
    /// `[C, H, W]` of the result.
    pub output: [usize; 3],
    /// Bytes of the result for the whole batch.
    pub bytes: usize,
}

impl MemoryReport {
    /// All of it.
    pub fn total_bytes(&self) -> usize {
        self.value_bytes + self.gradient_bytes + self.packed_bytes + self.weight_gradient_bytes
    }

    pub(super) fn new<E: Element>(
        Planned { plan, gradients, tensors }: &Planned,
        weights: &[Option<Packed<E>>],
        batch_size: usize,
    ) -> Self {
        let bytes = |n_values: usize| n_values * size_of::<E>() * batch_size;
        let operations = plan.operations.iter().zip(weights).map(|(operation, packed)| {
            let value = plan.values[operation.output];
            PlannedOperation {
                path: operation.path.clone(),
                kind: kind(&operation.op, packed.as_ref()),
                output: [value.channels, value.height, value.width],
                bytes: bytes(value.len()),
            }
        });
        let packed = weights.iter().flatten().map(|packed| {
            packed.forward.n_bytes() + packed.input_gradient.as_ref().map_or(0, |f| f.n_bytes())
        });
        let shard_len = plan.shard_len(batch_size, tensors.n_trained);
        let n_shards = batch_size.div_ceil(shard_len);
        let n_gradients = if n_shards == 1 { 1 } else { n_shards + 1 };
        let pooled = || plan.operations.iter().filter_map(Pooled::of);
        let between =
            pooled().map(|pooled| pooled.part_len().min(shard_len) * pooled.between_len());
        let sums = pooled().map(|pooled| pooled.n_weights()).max().unwrap_or(0);
        let n_weights = n_gradients * tensors.n_trained + n_shards * sums;
        Self {
            operations: operations.collect(),
            batch_size,
            value_bytes: plan.values.iter().map(|value| bytes(value.len())).sum(),
            gradient_bytes: gradients.buffers.iter().map(|&len| bytes(len)).sum::<usize>()
                + n_shards * size_of::<E>() * between.max().unwrap_or(0),
            n_gradient_buffers: gradients.buffers.len() + usize::from(pooled().next().is_some()),
            packed_bytes: packed.sum(),
            weight_gradient_bytes: n_weights * size_of::<f32>(),
            shard_len,
        }
    }
}

fn kind<E: Element>(op: &Op, packed: Option<&Packed<E>>) -> String {
    let mut kind = match (op, packed) {
        (Op::Conv { conv, .. }, Some(packed)) => {
            let algorithm = format!("{:?}", packed.forward.algorithm()).to_lowercase();
            format!("conv{}x{} {algorithm}", conv.kernel_height, conv.kernel_width)
        }
        (Op::Conv { .. }, _) => "conv".to_owned(),
        (Op::BatchNorm { residual: None, .. }, _) => "batch norm".to_owned(),
        (Op::BatchNorm { residual: Some(_), .. }, _) => "batch norm + add".to_owned(),
        (Op::Add { .. }, _) => "add".to_owned(),
        (Op::Activation(activation), _) => activation.name().to_lowercase(),
        (Op::Dropout(layer), _) => format!("dropout {}", layer.p),
        (Op::Scale(factor), _) => format!("times {factor}"),
        (Op::MaxPool { shape, .. }, _) => format!("max pool {0}x{0}", shape.kernel),
        (Op::AvgPool(pool), _) => format!("average pool {0}x{0}", pool.kernel),
        (Op::GlobalAvgPool, _) => "global average pool".to_owned(),
    };
    if let Op::Conv { pool: Some(shape), .. } = op {
        kind = format!("{kind} + max pool {0}x{0}", shape.kernel);
    }
    let fused = match op {
        Op::Conv { relu, .. } | Op::MaxPool { relu, .. } => relu.then_some(Activation::Relu),
        Op::BatchNorm { activation, .. } | Op::Add { activation, .. } => *activation,
        _ => None,
    };
    if let Some(activation) = fused {
        kind = format!("{kind} + {}", activation.name().to_lowercase());
    }
    kind
}
