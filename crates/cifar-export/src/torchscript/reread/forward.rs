//! What the `forward` of a class does, as layers.

use std::collections::HashMap;

use cifar_net::{
    Activation, AvgPool2d, BatchNorm2d, Conv2d, LEAKY_SLOPE, Layer, Linear, MaxPool2d, Node,
    Residual, child_path,
};
use cifar_pickle::Value as Pickled;

use super::evaluate::{Meaning, Modules};
use super::objects::Object;
use super::parse::{Class, Expr, Parsed, Statement};
use crate::Normalization;

/// What became of the input so far.
#[derive(Clone)]
pub(super) enum Flow {
    /// Layers one after another, after normalisation.
    Chain(Option<Normalization>, Vec<Item>),
    /// A body's result and the input, or a projection of it, added.
    Sum(Node, Option<Node>),
    /// The input as a picture on its way to be normalised.
    Picture(Picture),
}

/// A layer, with its name where it is a module.
#[derive(Clone)]
pub(super) struct Item {
    pub(super) name: Option<String>,
    pub(super) layer: Layer,
}

/// RGB values and what was done to them: `(value / divided - less) / by`.
#[derive(Clone, Default)]
pub(super) struct Picture {
    /// Whether channels come first, and whether values are f32.
    planes: bool,
    divided: Option<f64>,
    less: Option<[f32; 3]>,
    by: Option<[f32; 3]>,
}

impl Picture {
    /// Where everything was done that is to be done.
    pub(super) fn normalization(&self) -> Option<Normalization> {
        let known = self.planes && self.divided == Some(255.0);
        Some(Normalization { mean: self.less.filter(|_| known)?, std: self.by? })
    }
}

/// A value of an expression.
#[derive(Clone)]
enum Value {
    Flow(Flow),
    Number(f64),
    Bool(bool),
    None,
    /// Numbers.
    List(Vec<f64>),
    /// One number per channel.
    Channels([f32; 3]),
    /// A tensor of the module.
    Tensor(String),
    /// A child of the module.
    Module(String),
    /// Where a tensor lies.
    Device,
}

/// The run of a `forward`.
pub(super) struct Forward<'m, 'p> {
    modules: &'m mut Modules<'p>,
    state: Pickled<'p>,
    path: &'m str,
    variables: HashMap<&'p str, Value>,
}

impl<'m, 'p> Forward<'m, 'p> {
    /// What `class` makes of its input for the module at `path`.
    pub(super) fn run(
        modules: &'m mut Modules<'p>,
        class: &'p Class<'p>,
        state: Pickled<'p>,
        path: &'m str,
    ) -> Parsed<Flow> {
        let input = Value::Flow(Flow::Chain(None, Vec::new()));
        let variables = HashMap::from([(class.argument, input)]);
        let mut run = Self { modules, state, path, variables };
        for statement in &class.statements {
            if let Some(flow) = run.statement(statement)? {
                return Ok(flow);
            }
        }
        Err(format!("the code of {path} returns nothing"))
    }

    /// What is returned, where it is.
    fn statement(&mut self, statement: &'p Statement<'p>) -> Parsed<Option<Flow>> {
        match statement {
            Statement::Return(value) => match self.value(value)? {
                Value::Flow(flow) => Ok(Some(flow)),
                _ => Err(format!("the code of {} returns no tensor", self.path)),
            },
            Statement::Assign(name, value) => {
                let value = self.value(value)?;
                self.variables.insert(name, value);
                Ok(None)
            }
            Statement::If(condition, then) => match self.value(condition)? {
                Value::Bool(true) => self.statement(then),
                Value::Bool(false) => Ok(None),
                _ => Err(format!("the code of {} has an unknown condition", self.path)),
            },
        }
    }

    fn value(&mut self, expr: &'p Expr<'p>) -> Parsed<Value> {
        match expr {
            Expr::Number(number) => Ok(Value::Number(*number)),
            Expr::Name("None") => Ok(Value::None),
            Expr::Name("True") => Ok(Value::Bool(true)),
            Expr::Name("False") => Ok(Value::Bool(false)),
            Expr::Name(name) => {
                self.variables.get(name).cloned().ok_or_else(|| format!("no variable {name}"))
            }
            Expr::List(items) => {
                let numbers = items.iter().map(|item| match self.value(item)? {
                    Value::Number(number) => Ok(number),
                    _ => Err("a list of something else than numbers".to_owned()),
                });
                Ok(Value::List(numbers.collect::<Parsed<_>>()?))
            }
            Expr::Member(of, name) if matches!(**of, Expr::Name("self")) => self.attribute(name),
            Expr::Call(function, arguments, named) => self.call(function, arguments, named),
            Expr::Text(_) | Expr::Member(..) => Err("an expression of no known meaning".to_owned()),
        }
    }

    /// `self.name`.
    fn attribute(&self, name: &str) -> Parsed<Value> {
        let found = self.modules.attribute(self.state, name);
        Ok(match found {
            Some(Pickled::Int(number)) => Value::Number(number as f64),
            Some(Pickled::Float(number)) => Value::Number(number),
            Some(Pickled::Bool(value)) => Value::Bool(value),
            Some(value) => match self.modules.object(value) {
                Some(Object::Tensor(..)) => Value::Tensor(name.to_owned()),
                Some(Object::Module(..)) => Value::Module(name.to_owned()),
                _ => return Err(format!("{} is of no known kind", child_path(self.path, name))),
            },
            None => return Err(format!("no attribute {}", child_path(self.path, name))),
        })
    }

    fn call(
        &mut self,
        function: &'p Expr<'p>,
        arguments: &'p [Expr<'p>],
        named: &'p [(&'p str, Expr<'p>)],
    ) -> Parsed<Value> {
        if let (Expr::Name("getattr"), [Expr::Name("self"), Expr::Text(name)]) =
            (function, arguments)
        {
            return self.attribute(name);
        }
        let Expr::Member(of, name) = function else {
            return Err("a call of no known function".to_owned());
        };
        let torch = matches!(**of, Expr::Name("torch"));
        if !torch && *name == "forward" {
            return self.child(of, arguments);
        }
        if !matches!(named, [] | [("dtype", _), ("device", _)]) {
            return Err(format!("a call of {name} with unknown arguments"));
        }
        let arguments = arguments.iter().chain(named.iter().map(|(_, value)| value));
        let values = arguments.map(|argument| self.value(argument));
        let values = values.collect::<Parsed<Vec<_>>>()?;
        let device = matches!(&**of, Expr::Member(of, "prim") if matches!(**of, Expr::Name("ops")));
        match (torch, *name) {
            (true, "add") => add(values),
            (true, name) => match preprocessing(name, &values) {
                Some(value) => Ok(value),
                None => self.layer(name, values),
            },
            (false, "device") if device => Ok(Value::Device),
            _ => Err(format!("a call of no known function {name}")),
        }
    }

    /// `(module).forward(x, )`.
    fn child(&mut self, of: &'p Expr<'p>, arguments: &'p [Expr<'p>]) -> Parsed<Value> {
        let [argument] = arguments else { return Err("a module takes one input".to_owned()) };
        let (Value::Module(name), Value::Flow(Flow::Chain(normalized, mut items))) =
            (self.value(of)?, self.value(argument)?)
        else {
            return Err(format!("the code of {} runs no module", self.path));
        };
        let value = self.modules.attribute(self.state, &name).unwrap_or(Pickled::None);
        let path = child_path(self.path, &name);
        let normalized = match self.modules.module(value, &path)? {
            Meaning::Layer(layer) => {
                items.push(Item { name: Some(name), layer });
                normalized
            }
            Meaning::Normalize(normalization) if normalized.is_none() && items.is_empty() => {
                Some(normalization)
            }
            _ => return Err(format!("{path} stands where no images arrive")),
        };
        Ok(Value::Flow(Flow::Chain(normalized, items)))
    }

    /// One operation on the flow.
    fn layer(&self, name: &str, mut values: Vec<Value>) -> Parsed<Value> {
        let unknown = || format!("the code of {} calls torch.{name} in no known way", self.path);
        if let [Value::Flow(Flow::Sum(body, shortcut)), arguments @ ..] = &values[..]
            && let Some(activation) = activation(name, arguments)
        {
            let block = Residual::new(body.clone(), activation);
            let block = match shortcut {
                Some(projection) => block.shortcut(projection.clone()),
                None => block,
            };
            return Ok(item(block.into()));
        }
        if values.is_empty() {
            return Err(unknown());
        }
        let input = values.remove(0);
        if let ("to", Value::Tensor(_), [Value::Number(6.0)]) = (name, &input, &values[..]) {
            return Ok(input);
        }
        match input {
            Value::Flow(Flow::Chain(None, items)) if items.is_empty() => {
                self.operation(name, &values)?.map(item).ok_or_else(unknown)
            }
            _ => Err(unknown()),
        }
    }

    /// The layer that `torch.name(input, …)` is.
    fn operation(&self, name: &str, values: &[Value]) -> Parsed<Option<Layer>> {
        use Value::{Bool, List, Number};
        Ok(Some(match (name, values) {
            (
                "conv2d",
                [weight, bias, List(stride), List(padding), List(dilation), Number(groups)],
            ) if dilation[..] == [1.0, 1.0] => {
                let (dims, bias) = (self.weight(weight)?, self.bias(bias)?);
                let [out, seen, kernel, width] = dims[..] else { return Ok(None) };
                let (stride, padding) = (square(stride)?, square(padding)?);
                let groups = whole(*groups)?;
                let channels = seen.checked_mul(groups).ok_or("too many channels")?;
                if kernel != width {
                    return Ok(None);
                }
                let conv = Conv2d { bias, ..Conv2d::new(channels, out, kernel) };
                conv.stride(stride).padding(padding).groups(groups).into()
            }
            ("linear", [weight, bias]) => {
                let (dims, bias) = (self.weight(weight)?, self.bias(bias)?);
                let [out, features] = dims[..] else { return Ok(None) };
                Linear { bias, ..Linear::new(features, out) }.into()
            }
            (
                "batch_norm",
                [weight, bias, mean, var, Bool(false), Number(momentum), Number(eps), Bool(true)],
            ) => {
                let names = [
                    (weight, "weight"),
                    (bias, "bias"),
                    (mean, "running_mean"),
                    (var, "running_var"),
                ];
                if !names.iter().all(|(value, name)| matches!(value, Value::Tensor(t) if t == name))
                {
                    return Ok(None);
                }
                let [channels] = self.weight(weight)?[..] else { return Ok(None) };
                BatchNorm2d::new(channels).eps(*eps).momentum(*momentum).into()
            }
            (
                "max_pool2d",
                [List(kernel), List(stride), List(padding), List(dilation), Bool(false)],
            ) if padding[..] == [0.0, 0.0] && dilation[..] == [1.0, 1.0] => {
                MaxPool2d { kernel: square(kernel)?, stride: square(stride)? }.into()
            }
            (
                "avg_pool2d",
                [List(kernel), List(stride), List(padding), Bool(false), Bool(true)],
            ) if padding[..] == [0.0, 0.0] => {
                AvgPool2d { kernel: square(kernel)?, stride: square(stride)? }.into()
            }
            ("adaptive_avg_pool2d", [List(size)]) if size[..] == [1.0, 1.0] => Layer::GlobalAvgPool,
            ("flatten", [Number(1.0)]) => Layer::Flatten,
            ("mul", [Number(factor)]) => Layer::Scale(*factor),
            ("dropout", [Number(p), Bool(false)]) => Layer::Dropout(*p),
            (name, arguments) => return Ok(activation(name, arguments).map(Layer::Activation)),
        }))
    }

    /// Shape of the module's tensor `weight`.
    fn weight(&self, value: &Value) -> Parsed<Vec<usize>> {
        match value {
            Value::Tensor(name) if name == "weight" => {
                Ok(self.modules.tensor(&child_path(self.path, name))?.dims().to_vec())
            }
            _ => Err(format!("{} uses something else as its weight", self.path)),
        }
    }

    fn bias(&self, value: &Value) -> Parsed<bool> {
        match value {
            Value::Tensor(name) if name == "bias" => Ok(true),
            Value::None => Ok(false),
            _ => Err(format!("{} uses something else as its bias", self.path)),
        }
    }
}

fn item(layer: Layer) -> Value {
    Value::Flow(Flow::Chain(None, vec![Item { name: None, layer }]))
}

/// The activation that `torch.name(x, arguments…)` is.
fn activation(name: &str, arguments: &[Value]) -> Option<Activation> {
    match (name, arguments) {
        ("relu", []) => Some(Activation::Relu),
        ("gelu", []) => Some(Activation::Gelu),
        ("silu", []) => Some(Activation::Silu),
        ("leaky_relu", [Value::Number(slope)]) if *slope as f32 == LEAKY_SLOPE => {
            Some(Activation::LeakyRelu)
        }
        _ => None,
    }
}

/// `body(x) + x` or `body(x) + shortcut(x)`.
fn add(values: Vec<Value>) -> Parsed<Value> {
    let only = |value: Value| match value {
        Value::Flow(Flow::Chain(None, items)) => {
            let node = |item: Item| Some(Node { name: item.name?, layer: item.layer });
            items.into_iter().map(node).collect::<Option<Vec<Node>>>()
        }
        _ => None,
    };
    let [body, shortcut] = values.try_into().map_err(|_| "a sum of other than two".to_owned())?;
    match (only(body), only(shortcut)) {
        (Some(mut body), Some(mut shortcut)) if body.len() == 1 && shortcut.len() < 2 => {
            Ok(Value::Flow(Flow::Sum(body.remove(0), shortcut.pop())))
        }
        _ => Err("a sum that is no residual block".to_owned()),
    }
}

/// Operations of normalisation; `None` for any other.
fn preprocessing(name: &str, values: &[Value]) -> Option<Value> {
    use Value::{Channels, List, Number};
    if let ("tensor", [List(list), Number(6.0), Value::Device]) = (name, values) {
        let channels: [f64; 3] = list.as_slice().try_into().ok()?;
        return Some(Channels(channels.map(|value| value as f32)));
    }
    if let ("reshape", [Channels(channels), List(shape)]) = (name, values) {
        return (shape[..] == [1.0, 3.0, 1.0, 1.0]).then_some(Channels(*channels));
    }
    if let ("permute", [Value::Flow(Flow::Chain(None, items)), List(order)]) = (name, values) {
        let planes = items.is_empty() && order[..] == [0.0, 3.0, 1.0, 2.0];
        return planes.then(|| Value::Flow(Flow::Picture(Picture::default())));
    }
    let [Value::Flow(Flow::Picture(picture)), operand] = values else { return None };
    let changed = match (name, operand, picture) {
        ("to", Number(6.0), Picture { planes: false, .. }) => {
            Picture { planes: true, ..picture.clone() }
        }
        ("div", Number(by), Picture { planes: true, divided: None, .. }) => {
            Picture { divided: Some(*by), ..picture.clone() }
        }
        ("sub", Channels(less), Picture { divided: Some(_), less: None, .. }) => {
            Picture { less: Some(*less), ..picture.clone() }
        }
        ("div", Channels(by), Picture { less: Some(_), by: None, .. }) => {
            Picture { by: Some(*by), ..picture.clone() }
        }
        _ => return None,
    };
    Some(Value::Flow(Flow::Picture(changed)))
}

fn square(sides: &[f64]) -> Parsed<usize> {
    match sides {
        [height, width] if height == width => whole(*height),
        _ => Err("two sides that differ".to_owned()),
    }
}

fn whole(number: f64) -> Parsed<usize> {
    let known = number.fract() == 0.0 && (0.0..=f64::from(i32::MAX)).contains(&number);
    if known { Ok(number as usize) } else { Err(format!("{number} where a size is expected")) }
}
