//! Whether a model is one of ours: tensors, operators and shapes.
//!
//! What passes holds nothing that a runtime could stumble over: all values are there before they
//! are used, their shapes fit, and their sizes are bounded.

use std::collections::HashMap;

use super::operator::{Operator, Window};
use super::proto::{DataType, Model, Node, OperatorSetId, Tensor, ValueInfo};
use super::write::value_info;
use super::{INPUT, IR_VERSION, OPSET, OUTPUT, damaged};
use crate::ExportError;

/// Values that all results for one image have together; SmallResNet has 1.5 million.
const MAX_VALUES: usize = 1 << 24;
/// Side of a padded feature map, and distance between windows.
const MAX_SIDE: usize = 1 << 16;

/// What a checked model takes and gives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Interface {
    /// Of one image.
    pub(super) input: Vec<usize>,
    /// Bytes rather than f32.
    pub(super) takes_bytes: bool,
    /// Length of one row of logits.
    pub(super) n_classes: usize,
    /// Values that all results for one image have together.
    pub(super) n_values: usize,
}

/// Checks a model.
pub(super) fn check(model: &Model) -> Result<Interface, ExportError> {
    let opset = OperatorSetId { domain: None, version: Some(OPSET) };
    if model.ir_version != Some(IR_VERSION) || model.opset_import != [opset] {
        return Err(damaged(format!("not of IR version {IR_VERSION} and opset {OPSET}")));
    }
    let graph = model.graph.as_ref().ok_or_else(|| damaged("no graph"))?;
    let ([input], [output]) = (&graph.input[..], &graph.output[..]) else {
        return Err(damaged("not one input and one output"));
    };
    let (input_type, input) = batched(input, INPUT)?;
    let (_, output) = batched(output, OUTPUT)?;
    let takes_bytes = input_type == DataType::Uint8;
    let mut values = Values { by_name: HashMap::new(), n_values: 0 };
    for tensor in &graph.initializer {
        let (name, constant) = initializer(tensor)?;
        values.insert(name, constant)?;
    }
    values.insert(INPUT, Value { r#type: input_type, per_image: true, dims: input.clone() })?;
    for node in &graph.node {
        values.node(node)?;
    }
    let logits = values
        .by_name
        .get(OUTPUT)
        .filter(|value| value.per_image && value.r#type == DataType::Float && value.dims == output);
    let (Some(_), &[n_classes]) = (logits, &output[..]) else {
        return Err(damaged(format!("`{OUTPUT}` is not one row of scores for each image")));
    };
    Ok(Interface { input, takes_bytes, n_classes, n_values: values.n_values })
}

/// A value of the graph.
#[derive(Clone, Debug, PartialEq)]
struct Value {
    r#type: DataType,
    /// One for each image of the batch, a dimension that `dims` leaves out; else a constant.
    per_image: bool,
    dims: Vec<usize>,
}

impl Value {
    fn is(&self, r#type: DataType, per_image: bool, dims: &[usize]) -> bool {
        self.r#type == r#type && self.per_image == per_image && self.dims == dims
    }
}

fn batched(info: &ValueInfo, name: &str) -> Result<(DataType, Vec<usize>), ExportError> {
    let tensor = info.r#type.as_ref().and_then(|r#type| r#type.tensor_type.as_ref());
    let dims = tensor.and_then(|tensor| tensor.shape.as_ref()).map_or(&[][..], |shape| &shape.dim);
    let dims = dims.iter().skip(1).map(|dim| dim.dim_value.and_then(positive));
    let dims: Option<Vec<usize>> = dims.collect();
    let wrong = || damaged(format!("`{name}` is not a batch of a fixed shape"));
    let dims: Vec<usize> = dims.ok_or_else(wrong)?;
    let r#type = match tensor.and_then(|tensor| tensor.elem_type) {
        Some(number) => DataType::try_from(number).map_err(|_| wrong())?,
        None => return Err(wrong()),
    };
    let written = value_info(name, r#type, &dims);
    let is_written = (&info.name, &info.r#type) == (&written.name, &written.r#type);
    let fits = volume(&dims).is_some_and(|values| values <= MAX_VALUES);
    if is_written && fits { Ok((r#type, dims)) } else { Err(wrong()) }
}

fn initializer(tensor: &Tensor) -> Result<(&str, Value), ExportError> {
    let name = tensor.name.as_deref().unwrap_or_default();
    let wrong = |what: &str| damaged(format!("tensor `{name}` {what}"));
    let r#type = tensor.data_type.and_then(|number| DataType::try_from(number).ok());
    let (r#type, size) = match r#type {
        Some(DataType::Float) => (DataType::Float, size_of::<f32>()),
        Some(DataType::Float16) => (DataType::Float16, size_of::<half::f16>()),
        _ => return Err(wrong("is neither f32 nor f16")),
    };
    let dims: Option<Vec<usize>> = tensor.dims.iter().map(|&dim| positive(dim)).collect();
    let dims = dims.ok_or_else(|| wrong("has a dimension that is not positive"))?;
    let n_bytes = volume(&dims).and_then(|values| values.checked_mul(size));
    let given = tensor.raw_data.as_ref().map_or(0, Vec::len);
    if n_bytes != Some(given) {
        return Err(wrong(&format!("of shape {dims:?} has {given} bytes")));
    }
    Ok((name, Value { r#type, per_image: false, dims }))
}

fn positive(dim: i64) -> Option<usize> {
    usize::try_from(dim).ok().filter(|&dim| dim > 0)
}

fn volume(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))
}

struct Values<'a> {
    by_name: HashMap<&'a str, Value>,
    n_values: usize,
}

impl<'a> Values<'a> {
    fn insert(&mut self, name: &'a str, value: Value) -> Result<(), ExportError> {
        if name.is_empty() || self.by_name.insert(name, value).is_some() {
            return Err(damaged(format!("the value `{name}` is there twice or has no name")));
        }
        Ok(())
    }

    fn node(&mut self, node: &'a Node) -> Result<(), ExportError> {
        let name = node.name.as_deref().unwrap_or_default();
        let wrong = |what: String| damaged(format!("node `{name}` {what}"));
        let kind = node.op_type.as_deref().unwrap_or_default();
        let operator = Operator::read(kind, &node.attribute);
        let operator = operator.ok_or_else(|| wrong(format!("is an unknown form of `{kind}`")))?;
        let find = |input: &String| {
            let missing = || wrong(format!("takes `{input}`, which is not there"));
            self.by_name.get(input.as_str()).ok_or_else(missing)
        };
        let inputs = node.input.iter().map(find).collect::<Result<Vec<&Value>, _>>()?;
        let result = result(operator, &inputs).ok_or_else(|| {
            let shapes: Vec<&[usize]> = inputs.iter().map(|value| &value.dims[..]).collect();
            wrong(format!("({kind}) does not take values of the shapes {shapes:?}"))
        })?;
        let [output] = &node.output[..] else {
            return Err(wrong("does not have one result".to_owned()));
        };
        if result.per_image {
            let n_values = volume(&result.dims).and_then(|n| n.checked_add(self.n_values));
            let bounded = n_values.filter(|&n_values| n_values <= MAX_VALUES);
            self.n_values = bounded
                .ok_or_else(|| wrong(format!("goes beyond {MAX_VALUES} values for an image")))?;
        }
        self.insert(output, result)
    }
}

/// What comes out of an operator; `None` if it does not take these inputs.
fn result(operator: Operator, inputs: &[&Value]) -> Option<Value> {
    let (&x, rest) = inputs.split_first()?;
    let is_vector = |value: &Value, len: usize| value.is(DataType::Float, false, &[len]);
    let is_bias = |len: usize| rest.get(1).is_none_or(|bias| is_vector(bias, len));
    if operator == Operator::Cast {
        let is_weight = x.r#type == DataType::Float16 && !x.per_image;
        let is_picture = x.r#type == DataType::Uint8 && x.per_image;
        let taken = (is_weight || is_picture) && rest.is_empty();
        return taken.then(|| Value { r#type: DataType::Float, ..x.clone() });
    }
    if x.r#type != DataType::Float || !x.per_image {
        return None;
    }
    let dims = match operator {
        Operator::Erf | Operator::LeakyRelu { .. } | Operator::Relu | Operator::Sigmoid
            if rest.is_empty() =>
        {
            x.dims.clone()
        }
        Operator::Add | Operator::Mul | Operator::Div if rest.len() == 1 => {
            let y = rest[0];
            let per_channel = [1, *x.dims.first()?, 1, 1];
            let fits = y == x
                || y.is(DataType::Float, false, &[])
                || x.dims.len() == 3 && y.is(DataType::Float, false, &per_channel);
            fits.then(|| x.dims.clone())?
        }
        Operator::BatchNormalization { .. } if rest.len() == 4 => {
            let &[channels, _, _] = &x.dims[..] else { return None };
            rest.iter().all(|value| is_vector(value, channels)).then(|| x.dims.clone())?
        }
        Operator::Conv { window, padding, groups } if (1..=2).contains(&rest.len()) => {
            let &[channels, height, width] = &x.dims[..] else { return None };
            let &[filters, per_group, ..] = &rest[0].dims[..] else { return None };
            let (kernel, groups) = (positive(window.kernel)?, positive(groups)?);
            let weight = [filters, per_group, kernel, kernel];
            let fits = rest[0].is(DataType::Float, false, &weight)
                && is_bias(filters)
                && filters.is_multiple_of(groups)
                && per_group.checked_mul(groups) == Some(channels);
            let side = |side| windows(side, window, padding);
            fits.then_some(())?;
            vec![filters, side(height)?, side(width)?]
        }
        Operator::MaxPool(window) | Operator::AveragePool(window) if rest.is_empty() => {
            let &[channels, height, width] = &x.dims[..] else { return None };
            vec![channels, windows(height, window, 0)?, windows(width, window, 0)?]
        }
        Operator::GlobalAveragePool if rest.is_empty() => {
            let &[channels, _, _] = &x.dims[..] else { return None };
            vec![channels, 1, 1]
        }
        Operator::Flatten if rest.is_empty() => vec![volume(&x.dims)?],
        Operator::Gemm if (1..=2).contains(&rest.len()) => {
            let (&[features], &[out, _]) = (&x.dims[..], &rest[0].dims[..]) else { return None };
            let fits = rest[0].is(DataType::Float, false, &[out, features]) && is_bias(out);
            fits.then(|| vec![out])?
        }
        Operator::Transpose if rest.is_empty() => {
            let &[height, width, channels] = &x.dims[..] else { return None };
            vec![channels, height, width]
        }
        _ => return None,
    };
    Some(Value { r#type: DataType::Float, per_image: true, dims })
}

/// How many windows fit a padded side; `None` if not one does, or if a size is beyond
/// [`MAX_SIDE`], as some runtimes count positions with 32 bits.
fn windows(side: usize, window: Window, padding: i64) -> Option<usize> {
    let bounded = |size: &usize| *size <= MAX_SIDE;
    let kernel = positive(window.kernel)?;
    let stride = positive(window.stride).filter(bounded)?;
    let padding = usize::try_from(padding).ok().filter(bounded)?;
    let padded = Some(side.checked_add(2 * padding)?).filter(bounded)?;
    Some(padded.checked_sub(kernel)? / stride + 1)
}
