//! What PyTorch's files may name: what rebuilds tensors, and TorchScript's own classes.

use cifar_pickle::{Heap, Value, Vocabulary, opcode};
use safetensors::Dtype;

use crate::torch_file::tensor::{Storage, TorchTensor};

/// Most bytes of a storage's key, which is a number in true files.
const MAX_KEY_LEN: usize = 64;

/// What a file mentions, and what its calls make.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Object<'a> {
    /// `collections.OrderedDict`, which makes a plain dictionary.
    OrderedDict,
    /// `torch._utils._rebuild_tensor_v2`.
    RebuildTensor,
    /// `torch._utils._rebuild_parameter`, which is read as its tensor.
    RebuildParameter,
    /// `torch.jit._pickle.build_intlist` and the like, which are read as their list.
    BuildList,
    /// `torch.FloatStorage` and the like.
    StorageType(Dtype),
    /// A storage of the archive.
    Storage(Storage<'a>),
    /// A tensor.
    Tensor(TorchTensor<'a>),
    /// A class of the archive's own code, under `__torch__`.
    Class {
        /// Such as `__torch__.cifar`.
        module: &'a str,
        /// Such as `Conv2d`.
        name: &'a str,
    },
    /// An instance of such a class.
    Instance {
        /// The class, an [`Object::Class`].
        class: Value<'a>,
        /// Its attributes, a dictionary; `None` until they are set.
        attributes: Value<'a>,
    },
}

/// Tensors, plain containers, and instances of the archive's own classes.
#[derive(Debug, Clone, Copy)]
pub struct Torch;

impl<'a> Vocabulary<'a> for Torch {
    type Object = Object<'a>;

    const OPCODES: &'static [u8] = &[opcode::NEWOBJ, opcode::BINPERSID];

    fn global(&self, module: &'a [u8], name: &'a [u8]) -> Option<Object<'a>> {
        let (module, name) = (str::from_utf8(module).ok()?, str::from_utf8(name).ok()?);
        Some(match (module, name) {
            ("collections", "OrderedDict") => Object::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Object::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Object::RebuildParameter,
            (
                "torch.jit._pickle",
                "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist",
            ) => Object::BuildList,
            ("torch", "FloatStorage") => Object::StorageType(Dtype::F32),
            ("torch", "DoubleStorage") => Object::StorageType(Dtype::F64),
            ("torch", "HalfStorage") => Object::StorageType(Dtype::F16),
            ("torch", "BFloat16Storage") => Object::StorageType(Dtype::BF16),
            ("torch", "LongStorage") => Object::StorageType(Dtype::I64),
            ("torch", "IntStorage") => Object::StorageType(Dtype::I32),
            ("torch", "ShortStorage") => Object::StorageType(Dtype::I16),
            ("torch", "CharStorage") => Object::StorageType(Dtype::I8),
            ("torch", "ByteStorage") => Object::StorageType(Dtype::U8),
            ("torch", "BoolStorage") => Object::StorageType(Dtype::BOOL),
            _ if module == "__torch__" || module.starts_with("__torch__.") => {
                Object::Class { module, name }
            }
            _ => return None,
        })
    }

    fn call(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        function: Value<'a>,
        arguments: Value<'a>,
    ) -> Result<Value<'a>, &'static str> {
        let (Some(callee), Some(arguments)) = (heap.object(function), heap.tuple(arguments)) else {
            return Err("a call of something else than a function");
        };
        let made = match (callee, arguments) {
            (Object::OrderedDict, []) => return Ok(heap.new_dict()),
            (Object::BuildList, [list]) if heap.list(*list).is_some() => return Ok(*list),
            (Object::RebuildParameter, [tensor, _, _])
                if matches!(heap.object(*tensor), Some(Object::Tensor(_))) =>
            {
                return Ok(*tensor);
            }
            (
                Object::RebuildTensor,
                [
                    storage,
                    Value::Int(offset),
                    shape @ Value::Tuple(_),
                    strides @ Value::Tuple(_),
                    ..,
                ],
            ) => {
                let Some(Object::Storage(storage)) = heap.object(*storage) else {
                    return Err("a tensor without a storage");
                };
                let (storage, offset) = (*storage, *offset);
                Object::Tensor(TorchTensor { storage, offset, shape: *shape, strides: *strides })
            }
            (Object::Class { .. }, []) => {
                Object::Instance { class: function, attributes: Value::None }
            }
            _ => return Err("a call that makes no tensor, dictionary or list"),
        };
        Ok(heap.new_object(made))
    }

    fn build(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        object: Value<'a>,
        state: Value<'a>,
    ) -> Result<(), &'static str> {
        // The state of an OrderedDict are its attributes, such as a state_dict's `_metadata`.
        if heap.dict(object).is_some() {
            return Ok(());
        }
        match (heap.object_mut(object), state) {
            (Some(Object::Instance { attributes, .. }), Value::Dict(_)) => {
                *attributes = state;
                Ok(())
            }
            _ => Err("a state for something else than a dictionary or a module"),
        }
    }

    /// A storage is named by ("storage", type, key, device, number of values).
    fn persistent(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        id: Value<'a>,
    ) -> Result<Value<'a>, &'static str> {
        let Some([kind, class, key, _device, Value::Int(n_values)]) = heap.tuple(id) else {
            return Err("a persistent id that is none of a storage");
        };
        let (Some(Object::StorageType(dtype)), Some(key), true) =
            (heap.object(*class), key.text(), kind.is_string("storage"))
        else {
            return Err("a persistent id that is none of a known storage");
        };
        // Each tensor looks its record up, so a long key could be read without end.
        if key.len() > MAX_KEY_LEN {
            return Err("a storage whose key is too long");
        }
        let n_values = u64::try_from(*n_values).map_err(|_| "a storage of negative size")?;
        let storage = Storage { dtype: *dtype, key, n_values };
        Ok(heap.new_object(Object::Storage(storage)))
    }
}
