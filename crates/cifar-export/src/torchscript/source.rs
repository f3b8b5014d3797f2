//! The source of classes.

use std::fmt::Write;

use super::NAMESPACE;
use super::modules::{Module, Number, is_identifier, member};
use crate::Normalization;

/// What is in a class, without its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Body {
    parameters: Vec<String>,
    buffers: Vec<String>,
    /// Declarations of attributes and children, a line each.
    fields: Vec<String>,
    /// What `forward` calls its input.
    argument: &'static str,
    /// The lines of `forward`.
    lines: Vec<String>,
}

impl Body {
    pub(super) fn of(argument: &'static str) -> Self {
        Self { argument, ..Self::default() }
    }

    pub(super) fn parameter(&mut self, name: &str) {
        self.parameters.push(name.to_owned());
        self.fields.push(format!("{name} : Tensor"));
    }

    pub(super) fn buffer(&mut self, name: &str) {
        self.buffers.push(name.to_owned());
        self.fields.push(format!("{name} : Tensor"));
    }

    pub(super) fn attribute(&mut self, name: &str, number: Number) {
        let kind = match number {
            Number::Int(_) => "int",
            Number::Float(_) => "float",
        };
        self.fields.push(format!("{name} : {kind}"));
    }

    pub(super) fn child(&mut self, name: &str, module: &Module) {
        let class = module.full_class();
        self.fields.push(if is_identifier(name) {
            format!("{name} : {class}")
        } else {
            format!("__annotations__[\"{name}\"] = {class}")
        });
    }

    pub(super) fn line(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    /// One child after the other.
    pub(super) fn chain(children: &[(String, Module)]) -> Self {
        let mut body = Self::of("x");
        for (name, module) in children {
            body.child(name, module);
            body.line(format!("x = ({}).forward(x, )", member(name)));
        }
        body.line("return x");
        body
    }

    /// RGB bytes `(N, H, W, 3)` to normalised f32 `(N, 3, H, W)`.
    pub(super) fn normalize(Normalization { mean, std }: &Normalization) -> Self {
        let mut body = Self::of("pixels");
        body.line("x = torch.to(torch.permute(pixels, [0, 3, 1, 2]), 6)");
        for (name, values) in [("mean", mean), ("std", std)] {
            body.line(format!(
                "{name} = torch.tensor({values:?}, dtype=6, device=ops.prim.device(pixels))"
            ));
        }
        body.line("x = torch.sub(torch.div(x, 255.0), torch.reshape(mean, [1, 3, 1, 1]))");
        body.line("return torch.div(x, torch.reshape(std, [1, 3, 1, 1]))");
        body
    }

    fn write(&self, class: &str, source: &mut String) {
        let list = |names: &[String]| -> String {
            names.iter().map(|name| format!("\"{name}\", ")).collect()
        };
        let mut line = |text: &str| {
            source.push_str(text);
            source.push('\n');
        };
        line(&format!("class {class}(Module):"));
        line(&format!("  __parameters__ = [{}]", list(&self.parameters)));
        line(&format!("  __buffers__ = [{}]", list(&self.buffers)));
        self.fields.iter().for_each(|field| line(&format!("  {field}")));
        line("  training : bool");
        line(&format!("  def forward(self: {NAMESPACE}.{class},"));
        line(&format!("    {}: Tensor) -> Tensor:", self.argument));
        self.lines.iter().for_each(|text| line(&format!("    {text}")));
    }
}

/// The classes in use, each once.
#[derive(Debug, Default)]
pub(super) struct Classes {
    /// In the order in which they are needed.
    known: Vec<(String, Body)>,
}

impl Classes {
    /// The name of the class with this body: `wanted`, or `wanted` and a number where that is taken
    /// by another.
    pub(super) fn name(&mut self, wanted: &str, body: &Body) -> String {
        let mut name = wanted.to_owned();
        let mut number = 1;
        loop {
            match self.known.iter().find(|(taken, _)| *taken == name) {
                Some((_, known)) if known == body => return name,
                Some(_) => {
                    number += 1;
                    name = wanted.to_owned();
                    // Writing to a string does not fail.
                    let _ = write!(name, "_{number}");
                }
                None => {
                    self.known.push((name.clone(), body.clone()));
                    return name;
                }
            }
        }
    }

    /// The file: the whole first, its parts below.
    pub(super) fn into_source(self) -> String {
        let mut source = String::new();
        self.known.iter().rev().for_each(|(name, body)| body.write(name, &mut source));
        source
    }
}
