//! The tree of modules, and the class of each.

use cifar_net::{
    AvgPool2d, BatchNorm2d, Conv2d, LEAKY_SLOPE, Layer, Linear, MaxPool2d, Node, ParameterKind,
    Residual,
};

use super::NAMESPACE;
use super::source::{Body, Classes};
use crate::{Dtype, ExportError, Subject};

/// PyTorch's number of the type f32.
const FLOAT: &str = "6";

/// An instance of a class.
pub(super) struct Module {
    /// Its class, without the namespace.
    pub(super) class: String,
    /// Its own tensors, and whether they are trained.
    pub(super) tensors: Vec<(String, bool)>,
    /// Its numbers.
    pub(super) attributes: Vec<(&'static str, Number)>,
    /// In registration order.
    pub(super) children: Vec<(String, Module)>,
}

/// An attribute.
#[derive(Clone, Copy)]
pub(super) enum Number {
    Int(usize),
    Float(f64),
}

/// The root, and the source of all classes.
pub(super) fn describe(subject: &Subject) -> Result<(Module, String), ExportError> {
    let mut describe = Describe { classes: Classes::default(), dtype: subject.options.dtype };
    let mut children = Vec::new();
    if let Some(normalization) = &subject.options.preprocess {
        let class = describe.classes.name("Normalize", &Body::normalize(normalization));
        children.push(("normalize".to_owned(), Module::without_state(class)));
    }
    for node in &subject.net.layers {
        children.push(describe.node(node)?);
    }
    let class = describe.classes.name(&class_name(&subject.net.name), &Body::chain(&children));
    let root = Module { children, ..Module::without_state(class) };
    Ok((root, describe.classes.into_source()))
}

impl Module {
    fn without_state(class: String) -> Self {
        Self { class, tensors: Vec::new(), attributes: Vec::new(), children: Vec::new() }
    }

    /// The class with its namespace.
    pub(super) fn full_class(&self) -> String {
        format!("{NAMESPACE}.{}", self.class)
    }
}

struct Describe {
    classes: Classes,
    dtype: Dtype,
}

impl Describe {
    fn node(&mut self, node: &Node) -> Result<(String, Module), ExportError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if !node.name.chars().all(plain) || matches!(node.name.as_str(), "training" | "forward") {
            return Err(ExportError::Name { name: node.name.clone() });
        }
        let module = match &node.layer {
            Layer::Sequential(sequential) => {
                let children = sequential.nodes.iter().map(|node| self.node(node));
                let children = children.collect::<Result<Vec<_>, _>>()?;
                let class = self.classes.name(&sequential_name(node), &Body::chain(&children));
                Module { children, ..Module::without_state(class) }
            }
            Layer::Residual(residual) => self.residual(residual)?,
            plain => self.plain(plain),
        };
        Ok((node.name.clone(), module))
    }

    fn residual(&mut self, residual: &Residual) -> Result<Module, ExportError> {
        let nodes = std::iter::once(&residual.body).chain(&residual.shortcut);
        let children = nodes.map(|node| self.node(node)).collect::<Result<Vec<_>, _>>()?;
        let mut body = Body::of("x");
        children.iter().for_each(|(name, module)| body.child(name, module));
        body.line(format!("out = ({}).forward(x, )", member(&children[0].0)));
        let shortcut = match children.get(1) {
            Some((name, _)) => format!("({}).forward(x, )", member(name)),
            None => "x".to_owned(),
        };
        body.line(format!("out = torch.add(out, {shortcut})"));
        body.line(format!("return {}", activation(residual.activation, "out")));
        let name = if children.len() > 1 { "ProjectedResBlock" } else { "ResBlock" };
        let class = self.classes.name(name, &body);
        Ok(Module { children, ..Module::without_state(class) })
    }

    /// A layer without children.
    fn plain(&mut self, layer: &Layer) -> Module {
        let specs = layer.parameters();
        let kind_of = |kind| {
            move |spec: &&cifar_net::ParameterSpec| (spec.kind == ParameterKind::Buffer) == kind
        };
        let mut body = Body::of("input");
        specs.iter().filter(kind_of(false)).for_each(|spec| body.parameter(&spec.name));
        specs.iter().filter(kind_of(true)).for_each(|spec| body.buffer(&spec.name));
        let attributes = attributes(layer);
        attributes.iter().for_each(|(name, number)| body.attribute(name, *number));
        self.forward(layer, &mut body);
        let tensors = specs.into_iter().map(|s| (s.name, s.kind == ParameterKind::Weight));
        let class = self.classes.name(plain_name(layer), &body);
        Module { tensors: tensors.collect(), attributes, ..Module::without_state(class) }
    }

    fn forward(&self, layer: &Layer, body: &mut Body) {
        let bias = |bias: bool| if bias { "self.bias" } else { "None" };
        // What is stored in half precision is computed with in single precision.
        let weight = match self.dtype {
            Dtype::F32 => "self.weight".to_owned(),
            Dtype::F16 => format!("torch.to(self.weight, {FLOAT})"),
        };
        let pool = "[self.kernel_size, self.kernel_size], [self.stride, self.stride], [0, 0]";
        let result = match layer {
            Layer::Conv2d(conv) => format!(
                "return torch.conv2d(input, {weight}, {}, [self.stride, self.stride], \
                 [self.padding, self.padding], [1, 1], self.groups)",
                bias(conv.bias)
            ),
            Layer::BatchNorm2d(_) => {
                body.line("if self.training:");
                body.line("  _0 = torch.add_(self.num_batches_tracked, 1)");
                "return torch.batch_norm(input, self.weight, self.bias, self.running_mean, \
                 self.running_var, self.training, self.momentum, self.eps, True)"
                    .to_owned()
            }
            Layer::Linear(linear) => {
                format!("return torch.linear(input, {weight}, {})", bias(linear.bias))
            }
            Layer::Activation(kind) => format!("return {}", activation(*kind, "input")),
            Layer::MaxPool2d(_) => {
                format!("return torch.max_pool2d(input, {pool}, [1, 1], False)")
            }
            Layer::AvgPool2d(_) => format!("return torch.avg_pool2d(input, {pool}, False, True)"),
            Layer::GlobalAvgPool => "return torch.adaptive_avg_pool2d(input, [1, 1])".to_owned(),
            Layer::Flatten => "return torch.flatten(input, 1)".to_owned(),
            Layer::Scale(_) => "return torch.mul(input, self.factor)".to_owned(),
            Layer::Dropout(_) => "return torch.dropout(input, self.p, self.training)".to_owned(),
            Layer::Sequential(_) | Layer::Residual(_) => return,
        };
        body.line(result);
    }
}

fn activation(kind: cifar_net::Activation, argument: &str) -> String {
    use cifar_net::Activation;
    match kind {
        Activation::Relu => format!("torch.relu({argument})"),
        Activation::Gelu => format!("torch.gelu({argument})"),
        Activation::Silu => format!("torch.silu({argument})"),
        Activation::LeakyRelu => format!("torch.leaky_relu({argument}, {LEAKY_SLOPE:?})"),
    }
}

/// What classes of one kind differ by from module to module, by PyTorch's names.
fn attributes(layer: &Layer) -> Vec<(&'static str, Number)> {
    use Number::{Float, Int};
    match *layer {
        Layer::Conv2d(Conv2d { stride, padding, groups, .. }) => {
            vec![("stride", Int(stride)), ("padding", Int(padding)), ("groups", Int(groups))]
        }
        Layer::BatchNorm2d(BatchNorm2d { eps, momentum, .. }) => {
            vec![("eps", Float(eps)), ("momentum", Float(momentum))]
        }
        Layer::MaxPool2d(MaxPool2d { kernel, stride })
        | Layer::AvgPool2d(AvgPool2d { kernel, stride }) => {
            vec![("kernel_size", Int(kernel)), ("stride", Int(stride))]
        }
        Layer::Scale(factor) => vec![("factor", Float(factor))],
        Layer::Dropout(p) => vec![("p", Float(p))],
        _ => Vec::new(),
    }
}

fn plain_name(layer: &Layer) -> &'static str {
    match layer {
        Layer::Conv2d(Conv2d { bias: false, .. }) => "Conv2dWithoutBias",
        Layer::Linear(Linear { bias: false, .. }) => "LinearWithoutBias",
        Layer::GlobalAvgPool => "AdaptiveAvgPool2d",
        _ => layer.kind(),
    }
}

/// Named after its place, such as `Stem`; in a list after what it holds.
fn sequential_name(node: &Node) -> String {
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(&node.name) {
        return class_name(&node.name);
    }
    let in_list = node.layer.children().iter().all(|child| is_number(&child.name));
    if in_list { "Sequential".to_owned() } else { "Group".to_owned() }
}

/// `small-resnet` as `SmallResNet`.
fn class_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let capital = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    let joined: String = words.map(capital).collect();
    let joined = joined.replace("net", "Net");
    // A class's name begins with a letter.
    if joined.starts_with(|c: char| c.is_ascii_alphabetic()) {
        joined
    } else {
        format!("Net{joined}")
    }
}

/// How a child is reached.
pub(super) fn member(name: &str) -> String {
    if is_identifier(name) { format!("self.{name}") } else { format!("getattr(self, \"{name}\")") }
}

/// Whether Python takes it for a name; `true` for none of its keywords that a node may be called.
pub(super) fn is_identifier(name: &str) -> bool {
    const KEYWORDS: [&str; 10] =
        ["and", "class", "def", "if", "else", "for", "in", "is", "not", "pass"];
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && !name.contains('-') && !KEYWORDS.contains(&name)
}
