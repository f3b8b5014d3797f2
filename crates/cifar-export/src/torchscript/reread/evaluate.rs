//! The modules of a pickle, each with what the code of its class does.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use cifar_net::{Layer, Node, Sequential, child_path};
use cifar_pickle::{Pickle, Value};

use super::forward::{Flow, Forward, Item};
use super::objects::{Object, Storage};
use super::parse::{Class, Parsed};
use crate::Normalization;

/// Modules within modules.
const MAX_DEPTH: usize = 16;

/// Modules of a file; more than any net has, as one that is mentioned twice counts twice.
const MAX_MODULES: usize = 10_000;

/// What a file holds.
pub(super) struct Found {
    /// What is done to RGB bytes first, where the file takes those.
    pub(super) normalization: Option<Normalization>,
    pub(super) layers: Vec<Node>,
    /// By their paths.
    pub(super) tensors: HashMap<String, Tensor>,
}

/// What a module does.
pub(super) enum Meaning {
    Layer(Layer),
    /// From RGB bytes to normalised images.
    Normalize(Normalization),
    /// A sequence that begins with that.
    Preprocessed(Normalization, Vec<Node>),
}

/// What the root of `pickle` does by the code `classes`, with tensors from `records`.
pub(super) fn evaluate(
    pickle: &Pickle<'_, Object<'_>>,
    classes: &HashMap<&str, Class<'_>>,
    records: &HashMap<String, Vec<u8>>,
) -> Parsed<Found> {
    let mut modules =
        Modules { pickle, classes, records, tensors: HashMap::new(), n_modules: 0, depth: 0 };
    let (normalization, layers) = match modules.module(pickle.root, "")? {
        Meaning::Layer(Layer::Sequential(sequential)) => (None, sequential.nodes),
        Meaning::Preprocessed(normalization, layers) => (Some(normalization), layers),
        Meaning::Layer(_) | Meaning::Normalize(_) => return Err("the root is no sequence".into()),
    };
    Ok(Found { normalization, layers, tensors: modules.tensors })
}

/// The modules so far.
pub(super) struct Modules<'p> {
    pickle: &'p Pickle<'p, Object<'p>>,
    classes: &'p HashMap<&'p str, Class<'p>>,
    records: &'p HashMap<String, Vec<u8>>,
    tensors: HashMap<String, Tensor>,
    n_modules: usize,
    depth: usize,
}

impl<'p> Modules<'p> {
    /// The module `value`, whose tensors are below `path`.
    pub(super) fn module(&mut self, value: Value<'p>, path: &str) -> Parsed<Meaning> {
        self.n_modules += 1;
        self.depth += 1;
        if self.n_modules > MAX_MODULES || self.depth > MAX_DEPTH {
            return Err("too many modules, or too deep".to_owned());
        }
        let Some(&Object::Module(class, Some(state))) = self.pickle.heap.object(value) else {
            return Err(format!("{path} is no module"));
        };
        let class = self.classes.get(class).ok_or_else(|| format!("no class {class}"))?;
        for name in class.fields.iter().map(|(name, _)| name) {
            if self.pickle.heap.get(state, name).is_none() {
                return Err(format!("{} has no value", child_path(path, name)));
            }
        }
        for name in &class.tensors {
            self.read_tensor(state, name, path)?;
        }
        let flow = Forward::run(self, class, state, path)?;
        self.depth -= 1;
        meaning(flow).ok_or_else(|| format!("{path} mixes layers and modules"))
    }

    /// The attribute `name` of a module.
    pub(super) fn attribute(&self, state: Value<'p>, name: &str) -> Option<Value<'p>> {
        self.pickle.heap.get(state, name)
    }

    /// What an attribute refers to.
    pub(super) fn object(&self, value: Value<'p>) -> Option<&'p Object<'p>> {
        self.pickle.heap.object(value)
    }

    /// The tensor of that path.
    pub(super) fn tensor(&self, path: &str) -> Parsed<&Tensor> {
        self.tensors.get(path).ok_or_else(|| format!("no tensor {path}"))
    }

    fn read_tensor(&mut self, state: Value<'p>, name: &str, path: &str) -> Parsed<()> {
        let path = child_path(path, name);
        let heap = &self.pickle.heap;
        let value = heap.get(state, name).and_then(|value| heap.object(value));
        let Some(&Object::Tensor(Storage { dtype, key, n_values }, shape)) = value else {
            return Err(format!("{path} is no tensor"));
        };
        let dims: Option<Vec<usize>> = heap.tuple(shape).and_then(|dims| {
            let dims = dims.iter().map(|dim| match dim {
                Value::Int(dim) => usize::try_from(*dim).ok(),
                _ => None,
            });
            dims.collect()
        });
        let dims = dims.ok_or_else(|| format!("{path} has no shape"))?;
        let n = dims.iter().try_fold(1usize, |n, dim| n.checked_mul(*dim));
        let bytes = self.records.get(&format!("data/{key}"));
        let bytes = bytes.ok_or_else(|| format!("no record data/{key} for {path}"))?;
        let n_bytes = n.and_then(|n| n.checked_mul(dtype.size_in_bytes()));
        if n_bytes != Some(bytes.len()) || n.and_then(|n| i64::try_from(n).ok()) != Some(n_values) {
            let len = bytes.len();
            return Err(format!("{path} of shape {dims:?} has {len} bytes for {n_values} values"));
        }
        let tensor = Tensor::from_raw_buffer(bytes, dtype, &dims, &Device::Cpu);
        let finite = tensor.map_err(|error| error.to_string())?;
        let dtype = if dtype == DType::F16 { DType::F32 } else { dtype };
        let tensor = finite.to_dtype(dtype).map_err(|error| error.to_string())?;
        self.tensors.insert(path, tensor);
        Ok(())
    }
}

/// A single layer is what it is; modules with names are a sequence.
fn meaning(flow: Flow) -> Option<Meaning> {
    match flow {
        Flow::Picture(picture) => picture.normalization().map(Meaning::Normalize),
        Flow::Chain(None, mut items) if matches!(items[..], [Item { name: None, .. }]) => {
            items.pop().map(|item| Meaning::Layer(item.layer))
        }
        Flow::Chain(normalization, items) => {
            let node = |item: Item| Some(Node { name: item.name?, layer: item.layer });
            let nodes = items.into_iter().map(node).collect::<Option<Vec<_>>>()?;
            Some(match normalization {
                None => Meaning::Layer(Sequential { nodes }.into()),
                Some(normalization) => Meaning::Preprocessed(normalization, nodes),
            })
        }
        Flow::Sum(..) => None,
    }
}
