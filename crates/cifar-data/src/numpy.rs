//! What the pickles of CIFAR-10's Python version may name, and nothing else: numpy's
//! `_reconstruct`, `ndarray` and `dtype`, and `_codecs.encode`, with which Python 3 writes `bytes`
//! in protocol 2.

use std::borrow::Cow;

use cifar_pickle::{Heap, Pickle, PickleError, Value, Vocabulary};

/// Reads a pickle of the Python version.
pub(crate) fn load(bytes: &[u8]) -> Result<Pickle<'_, Object<'_>>, PickleError> {
    cifar_pickle::load(bytes, &Numpy)
}

/// What a batch mentions, and what its calls make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object<'a> {
    /// `numpy.core.multiarray._reconstruct`: an array without a state.
    Reconstruct,
    /// `numpy.ndarray`.
    Ndarray,
    /// `numpy.dtype`.
    DtypeClass,
    /// `_codecs.encode`.
    Encode,
    /// Bytes written as text, a character for each. They are decoded only when they are read, so
    /// a pickle cannot ask for copies.
    Latin1(&'a [u8]),
    /// numpy's `dtype('uint8')`, the only one there is.
    Dtype,
    /// A numpy array whose state is still to come.
    NewArray,
    /// A numpy array.
    Array(Array<'a>),
}

/// A row-major array of uint8 in two dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Array<'a> {
    pub(crate) n_rows: usize,
    pub(crate) n_columns: usize,
    data: ArrayData<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ArrayData<'a> {
    Bytes(&'a [u8]),
    Latin1(&'a [u8]),
}

struct Numpy;

impl<'a> Vocabulary<'a> for Numpy {
    type Object = Object<'a>;

    const OPCODES: &'static [u8] = &[];

    fn global(&self, module: &'a [u8], name: &'a [u8]) -> Option<Object<'a>> {
        match (module, name) {
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => {
                Some(Object::Reconstruct)
            }
            (b"numpy", b"ndarray") => Some(Object::Ndarray),
            (b"numpy", b"dtype") => Some(Object::DtypeClass),
            (b"_codecs", b"encode") => Some(Object::Encode),
            _ => None,
        }
    }

    fn call(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        function: Value<'a>,
        arguments: Value<'a>,
    ) -> Result<Value<'a>, &'static str> {
        let (Some(function), Some(arguments)) = (heap.object(function), heap.tuple(arguments))
        else {
            return Err("a call of something else than a function");
        };
        let made = match (function, arguments) {
            (Object::Reconstruct, [class, _, _])
                if heap.object(*class) == Some(&Object::Ndarray) =>
            {
                Object::NewArray
            }
            (Object::DtypeClass, [name, _, _])
                if is_string(heap, *name, "u1") || is_string(heap, *name, "|u1") =>
            {
                Object::Dtype
            }
            (Object::DtypeClass, _) => return Err("a dtype that is not `u1`"),
            (Object::Encode, [Value::Bytes(text), codec]) if is_string(heap, *codec, "latin1") => {
                Object::Latin1(text)
            }
            _ => return Err("a call that makes no array, dtype or bytes"),
        };
        Ok(heap.new_object(made))
    }

    fn build(
        &self,
        heap: &mut Heap<'a, Object<'a>>,
        object: Value<'a>,
        state: Value<'a>,
    ) -> Result<(), &'static str> {
        match heap.object(object) {
            // Byte order and alignment mean nothing to single bytes.
            Some(Object::Dtype) => Ok(()),
            Some(Object::NewArray) => {
                let array = Object::Array(Array::from_state(heap, state)?);
                heap.object_mut(object).map(|new| *new = array).ok_or("an array that is none")
            }
            _ => Err("a state for something else than an array or a dtype"),
        }
    }
}

/// The bytes of a string, however it is written.
pub(crate) fn bytes<'a>(heap: &Heap<'a, Object<'a>>, value: Value<'a>) -> Option<&'a [u8]> {
    match (value, heap.object(value)) {
        (Value::Bytes(bytes), _) => Some(bytes),
        (_, Some(Object::Latin1(text))) => Some(text),
        _ => None,
    }
}

fn is_string(heap: &Heap<'_, Object<'_>>, value: Value<'_>, string: &str) -> bool {
    bytes(heap, value) == Some(string.as_bytes())
}

/// What the dictionary `pickle` has under `key`.
pub(crate) fn get<'a>(pickle: &Pickle<'a, Object<'a>>, key: &str) -> Option<Value<'a>> {
    // Python keeps the last value of a repeated key.
    let mut items = pickle.heap.dict(pickle.root)?.iter().rev();
    items.find(|(found, _)| is_string(&pickle.heap, *found, key)).map(|(_, value)| *value)
}

impl<'a> Array<'a> {
    /// The array whose state is (version, shape, dtype, whether column-major, values).
    fn from_state(heap: &Heap<'a, Object<'a>>, state: Value<'a>) -> Result<Self, &'static str> {
        let state = heap.tuple(state).ok_or("an array's state is no tuple")?;
        let [Value::Int(1), shape, dtype, column_major, data] = state else {
            return Err("an array's state is not that of numpy's version 1");
        };
        let (Some(shape), Some(Object::Dtype)) = (heap.tuple(*shape), heap.object(*dtype)) else {
            return Err("an array's state is not that of numpy's version 1");
        };
        if !matches!(column_major, Value::Bool(false) | Value::Int(0)) {
            return Err("an array in column-major order");
        }
        let data = match (data, heap.object(*data)) {
            (Value::Bytes(bytes), _) => ArrayData::Bytes(bytes),
            (_, Some(Object::Latin1(text))) => ArrayData::Latin1(text),
            _ => return Err("an array's values are no bytes"),
        };
        let [Value::Int(n_rows), Value::Int(n_columns)] = *shape else {
            return Err("an array that has not two dimensions");
        };
        match (usize::try_from(n_rows), usize::try_from(n_columns)) {
            (Ok(n_rows), Ok(n_columns)) => Ok(Self { n_rows, n_columns, data }),
            _ => Err("an array of negative size"),
        }
    }

    /// Its values, row by row; `None` if they are not the UTF-8 of characters up to U+00FF.
    ///
    /// There may be more or fewer of them than the shape says.
    pub(crate) fn values(&self) -> Option<Cow<'a, [u8]>> {
        match self.data {
            ArrayData::Bytes(bytes) => Some(Cow::Borrowed(bytes)),
            ArrayData::Latin1(text) => {
                let chars = str::from_utf8(text).ok()?.chars();
                chars.map(|c| u8::try_from(c).ok()).collect::<Option<_>>().map(Cow::Owned)
            }
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod writer;
