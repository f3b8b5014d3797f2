//! What the pickle of an archive may name: classes of the model, tensors, nothing else.

use candle_core::DType;
use cifar_pickle::{Heap, Value, Vocabulary, opcode};

use crate::torchscript::NAMESPACE;

/// The vocabulary.
pub(super) struct TorchScript;

/// What it makes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Object<'a> {
    Class(&'a str),
    RebuildTensor,
    OrderedDict,
    StorageType(DType),
    Storage(Storage<'a>),
    /// A tensor: its storage and the tuple of its shape.
    Tensor(Storage<'a>, Value<'a>),
    /// A module of this class, with the dictionary of its attributes once it has one.
    Module(&'a str, Option<Value<'a>>),
}

/// A record of the archive, as a tensor's values.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storage<'a> {
    pub(super) dtype: DType,
    /// The record is `data/KEY`.
    pub(super) key: &'a str,
    pub(super) n_values: i64,
}

type Made<'a> = Result<Value<'a>, &'static str>;

impl<'a> Vocabulary<'a> for TorchScript {
    type Object = Object<'a>;

    const OPCODES: &'static [u8] = &[opcode::NEWOBJ, opcode::BINPERSID];

    fn global(&self, module: &'a [u8], name: &'a [u8]) -> Option<Object<'a>> {
        let (module, name) = (str::from_utf8(module).ok()?, str::from_utf8(name).ok()?);
        match (module, name) {
            (NAMESPACE, class) => Some(Object::Class(class)),
            ("torch._utils", "_rebuild_tensor_v2") => Some(Object::RebuildTensor),
            ("collections", "OrderedDict") => Some(Object::OrderedDict),
            ("torch", "FloatStorage") => Some(Object::StorageType(DType::F32)),
            ("torch", "HalfStorage") => Some(Object::StorageType(DType::F16)),
            ("torch", "LongStorage") => Some(Object::StorageType(DType::I64)),
            _ => None,
        }
    }

    fn call(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        function: Value<'a>,
        arguments: Value<'a>,
    ) -> Made<'a> {
        let arguments = heap.tuple(arguments).ok_or("the arguments are no tuple")?;
        let made = match (heap.object(function), arguments) {
            (Some(Object::Class(class)), []) => Object::Module(class, None),
            (Some(Object::OrderedDict), []) => Object::OrderedDict,
            (Some(Object::RebuildTensor), &[storage, offset, shape, ..]) => {
                let Some(Object::Storage(storage)) = heap.object(storage) else {
                    return Err("a tensor without storage");
                };
                if offset != Value::Int(0) {
                    return Err("a tensor that does not begin with its storage");
                }
                Object::Tensor(*storage, shape)
            }
            _ => return Err("a call that no archive of this program has"),
        };
        Ok(heap.new_object(made))
    }

    fn build(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        object: Value<'a>,
        state: Value<'a>,
    ) -> Result<(), &'static str> {
        if heap.dict(state).is_none() {
            return Err("the state of a module is no dictionary");
        }
        match heap.object_mut(object) {
            Some(Object::Module(_, attributes @ None)) => {
                *attributes = Some(state);
                Ok(())
            }
            _ => Err("a state for what is no new module"),
        }
    }

    fn persistent(&self, heap: &mut Heap<'a, Object<'a>>, id: Value<'a>) -> Made<'a> {
        let Some(&[kind, of, key, _device, Value::Int(n_values)]) = heap.tuple(id) else {
            return Err("a persistent id that is no storage");
        };
        match (heap.object(of), key.text()) {
            (Some(&Object::StorageType(dtype)), Some(key)) if kind.is_string("storage") => {
                Ok(heap.new_object(Object::Storage(Storage { dtype, key, n_values })))
            }
            _ => Err("a persistent id that is no storage"),
        }
    }
}
