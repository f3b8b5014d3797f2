//! `data.pkl`: the tree of modules as a pickle of protocol 2.

use candle_core::DType;
use cifar_net::child_path;

use super::NAMESPACE;
use super::modules::{Module, Number};
use crate::{ExportError, Subject};

/// The pickle of `root`. A tensor's bytes are the record of its place in the subject.
pub(super) fn write(root: &Module, subject: &Subject) -> Result<Vec<u8>, ExportError> {
    let mut pickle = Pickle { bytes: b"\x80\x02".to_vec(), subject };
    pickle.module(root, "")?;
    pickle.bytes.push(b'.');
    Ok(pickle.bytes)
}

struct Pickle<'a> {
    bytes: Vec<u8>,
    subject: &'a Subject,
}

impl Pickle<'_> {
    /// `Class.__new__(Class)`, then `__setstate__` with a dictionary.
    fn module(&mut self, module: &Module, path: &str) -> Result<(), ExportError> {
        self.global(NAMESPACE, &module.class);
        self.bytes.extend(b")\x81}(");
        for (name, trained) in &module.tensors {
            self.text(name);
            self.tensor(&child_path(path, name), *trained)?;
        }
        for (name, number) in &module.attributes {
            self.text(name);
            match *number {
                Number::Int(number) => self.int(number),
                Number::Float(number) => {
                    self.bytes.push(b'G');
                    self.bytes.extend(number.to_be_bytes());
                }
            }
        }
        self.text("training");
        self.bool(false);
        for (name, child) in &module.children {
            self.text(name);
            self.module(child, &child_path(path, name))?;
        }
        self.bytes.extend(b"ub");
        Ok(())
    }

    /// `torch._utils._rebuild_tensor_v2(storage, 0, shape, strides, requires_grad, OrderedDict())`.
    fn tensor(&mut self, name: &str, requires_grad: bool) -> Result<(), ExportError> {
        let mut tensors = self.subject.tensors.iter().enumerate();
        let Some((at, (_, tensor))) = tensors.find(|(_, (known, _))| known == name) else {
            return Err(candle_core::Error::CannotFindTensor { path: name.to_owned() }.into());
        };
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.bytes.extend(b"((");
        self.text("storage");
        self.global("torch", storage(tensor.dtype()));
        self.text(&at.to_string());
        self.text("cpu");
        self.int(tensor.elem_count());
        self.bytes.extend(b"tQ");
        self.int(0);
        self.tuple(tensor.dims());
        self.tuple(tensor.stride());
        self.bool(requires_grad);
        self.global("collections", "OrderedDict");
        self.bytes.extend(b")RtR");
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) {
        self.bytes.push(b'c');
        for line in [module, name] {
            self.bytes.extend(line.as_bytes());
            self.bytes.push(b'\n');
        }
    }

    fn text(&mut self, text: &str) {
        self.bytes.push(b'X');
        self.bytes.extend((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
    }

    fn int(&mut self, number: usize) {
        match i32::try_from(number) {
            Ok(number) => {
                self.bytes.push(b'J');
                self.bytes.extend(number.to_le_bytes());
            }
            Err(_) => {
                self.bytes.extend([0x8a, 8]);
                self.bytes.extend((number as u64).to_le_bytes());
            }
        }
    }

    fn bool(&mut self, value: bool) {
        self.bytes.push(if value { 0x88 } else { 0x89 });
    }

    fn tuple(&mut self, numbers: &[usize]) {
        self.bytes.push(b'(');
        numbers.iter().for_each(|number| self.int(*number));
        self.bytes.push(b't');
    }
}

fn storage(dtype: DType) -> &'static str {
    match dtype {
        DType::F16 => "HalfStorage",
        DType::I64 => "LongStorage",
        _ => "FloatStorage",
    }
}
