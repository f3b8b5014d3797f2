//! From a net to an ONNX graph.

use std::collections::HashMap;

use candle_core::{DType, Tensor};
use cifar_net::child_path;
use cifar_net::{
    Activation, BatchNorm2d, Conv2d, LEAKY_SLOPE, Layer, Linear, Node as NetNode, Residual,
};

use super::operator::{Operator, Window};
use super::proto::{
    DataType, Dimension, Graph, Model, Node, OperatorSetId, StringStringEntry,
    Tensor as TensorMessage, TensorShape, TensorType, Type, ValueInfo,
};
use super::{INPUT, IR_VERSION, OPSET, OUTPUT};
use crate::{ExportError, Metadata, Normalization, Subject};

/// The subject as a message.
pub(super) fn model(subject: &Subject, metadata: &Metadata) -> Result<Model, ExportError> {
    let tensors = subject.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
    let mut writer = Writer { tensors, graph: Graph::default() };
    let [channels, height, width] = subject.net.input;
    let (images, doc, mut value) = match &subject.options.preprocess {
        None => {
            let images = value_info(INPUT, DataType::Float, &[channels, height, width]);
            (images, "Normalised images, channels first.", INPUT.to_owned())
        }
        Some(normalization) => {
            let images = value_info(INPUT, DataType::Uint8, &[height, width, channels]);
            (images, "Red, green and blue, 0 to 255.", writer.preprocess(normalization))
        }
    };
    for node in &subject.net.layers {
        value = writer.node("", node, value)?;
    }
    let mut graph = writer.graph;
    if let Some(last) = graph.node.last_mut() {
        last.output = vec![OUTPUT.to_owned()];
    }
    graph.name = Some(subject.net.name.clone());
    graph.input = vec![ValueInfo { doc_string: Some(doc.to_owned()), ..images }];
    let logits = value_info(OUTPUT, DataType::Float, &[subject.net.n_classes]);
    let doc = Some("One score per class; softmax makes them probabilities.".to_owned());
    graph.output = vec![ValueInfo { doc_string: doc, ..logits }];
    let entries = metadata.entries(&subject.options)?.into_iter();
    let entries =
        entries.map(|(key, value)| StringStringEntry { key: Some(key), value: Some(value) });
    Ok(Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some(metadata.producer.clone()),
        doc_string: Some(format!("{}, an image classifier", subject.net.name)),
        graph: Some(graph),
        opset_import: vec![OperatorSetId { domain: None, version: Some(OPSET) }],
        metadata_props: entries.collect(),
    })
}

struct Writer<'a> {
    tensors: HashMap<&'a str, &'a Tensor>,
    graph: Graph,
}

impl Writer<'_> {
    /// Writes a node of the net; takes and returns the name of a value.
    fn node(&mut self, parent: &str, node: &NetNode, input: String) -> Result<String, ExportError> {
        let path = &child_path(parent, &node.name);
        Ok(match &node.layer {
            Layer::Conv2d(conv) => self.conv(path, conv, input)?,
            Layer::BatchNorm2d(norm) => self.batch_norm(path, norm, input)?,
            Layer::Activation(activation) => self.activation(path, *activation, input),
            Layer::MaxPool2d(pool) => {
                self.unary(path, Operator::MaxPool(window(pool.kernel, pool.stride)), input)
            }
            Layer::AvgPool2d(pool) => {
                self.unary(path, Operator::AveragePool(window(pool.kernel, pool.stride)), input)
            }
            Layer::GlobalAvgPool => self.unary(path, Operator::GlobalAveragePool, input),
            Layer::Linear(linear) => self.linear(path, linear, input)?,
            Layer::Flatten => self.unary(path, Operator::Flatten, input),
            Layer::Scale(factor) => {
                let factor = self.constant(&format!("{path}/factor"), *factor as f32);
                self.operator(&format!("{path}/Mul"), Operator::Mul, vec![input, factor])
            }
            // Does nothing in evaluation.
            Layer::Dropout(_) => input,
            Layer::Sequential(sequential) => {
                let mut value = input;
                for node in &sequential.nodes {
                    value = self.node(path, node, value)?;
                }
                value
            }
            Layer::Residual(residual) => self.residual(path, residual, input)?,
        })
    }

    fn conv(&mut self, path: &str, conv: &Conv2d, input: String) -> Result<String, ExportError> {
        let inputs = self.with_weights(path, conv.bias, input)?;
        let operator = Operator::Conv {
            window: window(conv.kernel, conv.stride),
            padding: size(conv.padding),
            groups: size(conv.groups),
        };
        Ok(self.operator(&format!("{path}/Conv"), operator, inputs))
    }

    fn linear(
        &mut self,
        path: &str,
        linear: &Linear,
        input: String,
    ) -> Result<String, ExportError> {
        let inputs = self.with_weights(path, linear.bias, input)?;
        Ok(self.operator(&format!("{path}/Gemm"), Operator::Gemm, inputs))
    }

    fn with_weights(
        &mut self,
        path: &str,
        bias: bool,
        input: String,
    ) -> Result<Vec<String>, ExportError> {
        let mut inputs = vec![input, self.tensor(path, "weight")?];
        if bias {
            inputs.push(self.tensor(path, "bias")?);
        }
        Ok(inputs)
    }

    /// By the running statistics.
    fn batch_norm(
        &mut self,
        path: &str,
        norm: &BatchNorm2d,
        input: String,
    ) -> Result<String, ExportError> {
        let mut inputs = vec![input];
        for name in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.tensor(path, name)?);
        }
        let operator = Operator::BatchNormalization { epsilon: norm.eps as f32 };
        Ok(self.operator(&format!("{path}/BatchNormalization"), operator, inputs))
    }

    fn residual(
        &mut self,
        path: &str,
        residual: &Residual,
        input: String,
    ) -> Result<String, ExportError> {
        let body = self.node(path, &residual.body, input.clone())?;
        let shortcut = match &residual.shortcut {
            Some(projection) => self.node(path, projection, input)?,
            None => input,
        };
        let sum = self.operator(&format!("{path}/Add"), Operator::Add, vec![body, shortcut]);
        Ok(self.activation(path, residual.activation, sum))
    }

    fn activation(&mut self, path: &str, activation: Activation, x: String) -> String {
        match activation {
            Activation::Relu => self.unary(path, Operator::Relu, x),
            Activation::Silu => {
                let step = |name: &str| format!("{path}/SiLU_{name}");
                let gate = self.operator(&step("Sigmoid"), Operator::Sigmoid, vec![x.clone()]);
                self.operator(&step("Mul"), Operator::Mul, vec![x, gate])
            }
            Activation::Gelu => self.gelu(path, x),
            Activation::LeakyRelu => {
                self.unary(path, Operator::LeakyRelu { alpha: LEAKY_SLOPE }, x)
            }
        }
    }

    /// `x · (erf(x / √2) + 1) · ½`, step by step as PyTorch's exporter writes it, so that runtimes
    /// know it again and compute it at once.
    fn gelu(&mut self, path: &str, x: String) -> String {
        let step = |name: &str| format!("{path}/GELU_{name}");
        let root = self.constant(&step("root"), std::f32::consts::SQRT_2);
        let one = self.constant(&step("one"), 1.0);
        let half = self.constant(&step("half"), 0.5);
        let scaled = self.operator(&step("Div"), Operator::Div, vec![x.clone(), root]);
        let erf = self.operator(&step("Erf"), Operator::Erf, vec![scaled]);
        let shifted = self.operator(&step("Add"), Operator::Add, vec![erf, one]);
        let product = self.operator(&step("Mul"), Operator::Mul, vec![x, shifted]);
        self.operator(&step("Mul_1"), Operator::Mul, vec![product, half])
    }

    /// Bytes `(N, H, W, C)` to normalised values `(N, C, H, W)`.
    fn preprocess(&mut self, normalization: &Normalization) -> String {
        let per_channel = |value: &dyn Fn(f64, f64) -> f64| {
            let pairs = normalization.mean.iter().zip(&normalization.std);
            pairs.map(|(&mean, &std)| value(mean.into(), std.into()) as f32).collect::<Vec<_>>()
        };
        let scale = per_channel(&|_, std| 1.0 / (255.0 * std));
        let shift = per_channel(&|mean, std| -mean / std);
        let step = |name: &str| format!("{INPUT}/{name}");
        let scale = self.f32s(step("scale"), &[1, 3, 1, 1], &scale);
        let shift = self.f32s(step("shift"), &[1, 3, 1, 1], &shift);
        let real = self.operator(&step("real"), Operator::Cast, vec![INPUT.to_owned()]);
        let planes = self.operator(&step("planes"), Operator::Transpose, vec![real]);
        let scaled = self.operator(&step("scaled"), Operator::Mul, vec![planes, scale]);
        self.operator(&step("normalised"), Operator::Add, vec![scaled, shift])
    }

    fn unary(&mut self, path: &str, operator: Operator, input: String) -> String {
        self.operator(&format!("{path}/{}", operator.kind()), operator, vec![input])
    }

    /// Appends a node; returns the name of its result. Some runtimes keep nodes and values in one
    /// table, so the two names differ.
    fn operator(&mut self, name: &str, operator: Operator, inputs: Vec<String>) -> String {
        let output = format!("{name}_output");
        self.graph.node.push(Node {
            input: inputs,
            output: vec![output.clone()],
            name: Some(name.to_owned()),
            op_type: Some(operator.kind().to_owned()),
            attribute: operator.attributes(),
        });
        output
    }

    /// Adds a tensor of the net; returns the name of its f32 value.
    fn tensor(&mut self, path: &str, name: &str) -> Result<String, ExportError> {
        let name = child_path(path, name);
        let missing = || candle_core::Error::CannotFindTensor { path: name.clone() }.bt();
        let tensor = *self.tensors.get(name.as_str()).ok_or_else(missing)?;
        let dims: Vec<i64> = tensor.dims().iter().map(|&dim| size(dim)).collect();
        let flat = tensor.flatten_all()?;
        if tensor.dtype() == DType::F16 {
            let values = flat.to_vec1::<half::f16>()?;
            let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            self.initializer(name.clone(), dims, DataType::Float16, raw);
            return Ok(self.unary(&name, Operator::Cast, name.clone()));
        }
        Ok(self.f32s(name, &dims, &flat.to_vec1()?))
    }

    fn constant(&mut self, name: &str, value: f32) -> String {
        self.f32s(name.to_owned(), &[], &[value])
    }

    fn f32s(&mut self, name: String, dims: &[i64], values: &[f32]) -> String {
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(name.clone(), dims.to_vec(), DataType::Float, raw);
        name
    }

    fn initializer(&mut self, name: String, dims: Vec<i64>, r#type: DataType, raw: Vec<u8>) {
        let (data_type, name, raw_data) = (Some(r#type.into()), Some(name), Some(raw));
        self.graph.initializer.push(TensorMessage { dims, data_type, name, raw_data });
    }
}

/// A tensor of `N` rows of that shape.
pub(super) fn value_info(name: &str, r#type: DataType, dims: &[usize]) -> ValueInfo {
    let batch = Dimension { dim_param: Some("N".to_owned()), ..Dimension::default() };
    let dims = dims.iter().map(|&dim| Dimension { dim_value: Some(size(dim)), dim_param: None });
    let shape = TensorShape { dim: std::iter::once(batch).chain(dims).collect() };
    let tensor = TensorType { elem_type: Some(r#type.into()), shape: Some(shape) };
    let r#type = Type { tensor_type: Some(tensor) };
    ValueInfo { name: Some(name.to_owned()), r#type: Some(r#type), doc_string: None }
}

fn window(kernel: usize, stride: usize) -> Window {
    Window { kernel: size(kernel), stride: size(stride) }
}

/// No tensor is so large; a stride that is means one window, as does `i64::MAX`.
fn size(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
