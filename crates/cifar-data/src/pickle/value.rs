//! What pickles of the Python version consist of.

use std::borrow::Cow;

/// A value. Strings are borrowed from the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A string: Python 2's `str`, Python 3's `bytes`, or text as UTF-8.
    Bytes(&'a [u8]),
    /// Bytes written as text, a character for each: how Python 3 writes `bytes` in protocol 2.
    /// They are decoded only when they are read, so a pickle cannot ask for copies.
    Latin1(&'a [u8]),
    /// A list.
    List(Vec<Value<'a>>),
    /// A tuple.
    Tuple(Vec<Value<'a>>),
    /// A dictionary, in the order of the file.
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// One of the names that a batch mentions.
    Global(Global),
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

/// A function or class that a batch mentions. It is recognised, never called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Global {
    /// `numpy.core.multiarray._reconstruct`: an array without a state.
    Reconstruct,
    /// `numpy.ndarray`.
    Ndarray,
    /// `numpy.dtype`.
    Dtype,
    /// `_codecs.encode`.
    Encode,
}

impl Global {
    /// The global of this name, if a batch may mention it.
    pub(super) fn find(module: &[u8], name: &[u8]) -> Option<Self> {
        match (module, name) {
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => {
                Some(Self::Reconstruct)
            }
            (b"numpy", b"ndarray") => Some(Self::Ndarray),
            (b"numpy", b"dtype") => Some(Self::Dtype),
            (b"_codecs", b"encode") => Some(Self::Encode),
            _ => None,
        }
    }
}

impl<'a> Value<'a> {
    /// What a dictionary has under `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&Value<'a>> {
        let Value::Dict(items) = self else { return None };
        // Python keeps the last value of a repeated key.
        let item = items.iter().rev().find(|(found, _)| found.is_string(key));
        item.map(|(_, value)| value)
    }

    fn is_string(&self, string: &str) -> bool {
        matches!(self, Value::Bytes(bytes) | Value::Latin1(bytes) if *bytes == string.as_bytes())
    }

    /// What Python would get from calling this with `arguments`, a tuple.
    pub(super) fn call(&self, arguments: &Value<'a>) -> Result<Value<'a>, &'static str> {
        let (Value::Global(function), Value::Tuple(arguments)) = (self, arguments) else {
            return Err("a call of something else than a function");
        };
        match (function, arguments.as_slice()) {
            (Global::Reconstruct, [Value::Global(Global::Ndarray), _, _]) => Ok(Value::NewArray),
            (Global::Dtype, [name, _, _]) if name.is_string("u1") || name.is_string("|u1") => {
                Ok(Value::Dtype)
            }
            (Global::Dtype, _) => Err("a dtype that is not `u1`"),
            (Global::Encode, [Value::Bytes(text), codec]) if codec.is_string("latin1") => {
                Ok(Value::Latin1(text))
            }
            _ => Err("a call that makes no array, dtype or bytes"),
        }
    }

    /// What Python would get from giving this the state `state`.
    pub(super) fn build(self, state: Value<'a>) -> Result<Value<'a>, &'static str> {
        match self {
            // Byte order and alignment mean nothing to single bytes.
            Value::Dtype => Ok(Value::Dtype),
            Value::NewArray => Array::from_state(state).map(Value::Array),
            _ => Err("a state for something else than an array or a dtype"),
        }
    }
}

impl<'a> Array<'a> {
    /// The array whose state is (version, shape, dtype, whether column-major, values).
    fn from_state(state: Value<'a>) -> Result<Self, &'static str> {
        let Value::Tuple(state) = state else { return Err("an array's state is no tuple") };
        let [Value::Int(1), Value::Tuple(shape), Value::Dtype, column_major, data] = &state[..]
        else {
            return Err("an array's state is not that of numpy's version 1");
        };
        if !matches!(column_major, Value::Bool(false) | Value::Int(0)) {
            return Err("an array in column-major order");
        }
        let data = match data {
            Value::Bytes(bytes) => ArrayData::Bytes(bytes),
            Value::Latin1(text) => ArrayData::Latin1(text),
            _ => return Err("an array's values are no bytes"),
        };
        let [Value::Int(n_rows), Value::Int(n_columns)] = shape[..] else {
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
