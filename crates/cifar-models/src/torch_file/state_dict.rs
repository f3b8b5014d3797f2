//! Where in a file the weights are.

use cifar_pickle::{Heap, Pickle, Value};

use crate::torch_file::archive::shown;
use crate::torch_file::error::TorchFileError;
use crate::torch_file::tensor::TorchTensor;
use crate::torch_file::vocabulary::Object;

/// Where training scripts put a `state_dict` in what they save.
const KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// How deep modules may lie in each other.
const MAX_DEPTH: usize = 32;

/// Most tensors of a file, and most attributes of modules that are looked at. What is shared counts
/// each time, so there may be more than the file has values.
const MAX_ENTRIES: usize = 100_000;

/// Most bytes of a tensor's name, which has its own copy even where the file has one for many.
const MAX_TENSOR_NAME_LEN: usize = 256;

type Named<'p, 'a> = Vec<(String, &'p TorchTensor<'a>)>;

/// The tensors of the `state_dict`, by name.
pub(super) fn find<'p, 'a>(
    pickle: &'p Pickle<'a, Object<'a>>,
) -> Result<Named<'p, 'a>, TorchFileError> {
    let (heap, root) = (&pickle.heap, pickle.root);
    if let Some(Object::Instance { .. }) = heap.object(root) {
        let mut modules = Modules { heap, tensors: Vec::new(), n_attributes: 0 };
        modules.visit(root, "", 0)?;
        return Ok(modules.tensors);
    }
    let has_tensors = |value: Value<'_>| {
        let items = heap.dict(value).unwrap_or_default();
        items.iter().any(|(_, value)| matches!(heap.object(*value), Some(Object::Tensor(_))))
    };
    let inside = || KEYS.iter().find_map(|key| heap.get(root, key).filter(|v| has_tensors(*v)));
    let dict = if has_tensors(root) { Some(root) } else { inside() };
    let Some(items) = dict.and_then(|dict| heap.dict(dict)) else {
        let text = format!("it holds no dictionary of tensors, nor one under {}", KEYS.join(", "));
        return Err(TorchFileError::NoStateDict(text));
    };
    check_count(items.len())?;
    let named = |(key, value): &(Value<'a>, Value<'a>)| {
        let name = tensor_name("", *key)?;
        match heap.object(*value) {
            Some(Object::Tensor(tensor)) => Ok((name, tensor)),
            _ => {
                let name = shown(name.as_bytes());
                Err(TorchFileError::NoStateDict(format!("its entry {name} is no tensor")))
            }
        }
    };
    items.iter().map(named).collect()
}

fn check_count(n_entries: usize) -> Result<(), TorchFileError> {
    match n_entries > MAX_ENTRIES {
        true => {
            let text = format!("it has more than {MAX_ENTRIES} tensors and attributes");
            Err(TorchFileError::NoStateDict(text))
        }
        false => Ok(()),
    }
}

/// The name of what stands under `key` in the module whose name and dot are `prefix`.
fn tensor_name(prefix: &str, key: Value<'_>) -> Result<String, TorchFileError> {
    match key.text().filter(|key| prefix.len() + key.len() <= MAX_TENSOR_NAME_LEN) {
        Some(key) => Ok(format!("{prefix}{key}")),
        None => {
            let text = format!("a tensor's name is no text of up to {MAX_TENSOR_NAME_LEN} bytes");
            Err(TorchFileError::NoStateDict(text))
        }
    }
}

/// The parameters and buffers of a TorchScript module and of those in it.
struct Modules<'p, 'a> {
    heap: &'p Heap<'a, Object<'a>>,
    tensors: Named<'p, 'a>,
    n_attributes: usize,
}

impl<'a> Modules<'_, 'a> {
    /// `prefix`: the module's name and a dot; empty for the whole.
    fn visit(
        &mut self,
        module: Value<'a>,
        prefix: &str,
        depth: usize,
    ) -> Result<(), TorchFileError> {
        let Some(Object::Instance { attributes, .. }) = self.heap.object(module) else {
            return Ok(());
        };
        let attributes = self.heap.dict(*attributes).unwrap_or_default();
        self.n_attributes += attributes.len();
        check_count(self.n_attributes)?;
        if depth > MAX_DEPTH {
            let text = format!("its modules lie more than {MAX_DEPTH} deep in each other");
            return Err(TorchFileError::NoStateDict(text));
        }
        for (key, value) in attributes {
            match self.heap.object(*value) {
                Some(Object::Tensor(tensor)) => {
                    self.tensors.push((tensor_name(prefix, *key)?, tensor));
                }
                Some(Object::Instance { .. }) => {
                    self.visit(*value, &format!("{}.", tensor_name(prefix, *key)?), depth + 1)?;
                }
                // Numbers and flags, such as `training`.
                _ => {}
            }
        }
        Ok(())
    }
}
