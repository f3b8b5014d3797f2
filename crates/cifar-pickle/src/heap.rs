//! Values, and where the larger ones lie.

/// A value of fixed size. Strings are borrowed from the file; what holds other values lies in the
/// [`Heap`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A string: Python 2's `str`, Python 3's `bytes`, or text as UTF-8.
    Bytes(&'a [u8]),
    /// A list: [`Heap::list`].
    List(Id),
    /// A tuple: [`Heap::tuple`].
    Tuple(Id),
    /// A dictionary: [`Heap::dict`].
    Dict(Id),
    /// What the vocabulary knows or made: [`Heap::object`].
    Object(Id),
}

/// Where in its heap a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(usize);

/// The lists, tuples, dictionaries and objects of one pickle.
///
/// Ids of another heap find something else, or nothing.
#[derive(Debug)]
pub struct Heap<'a, Object> {
    /// Lists and tuples.
    sequences: Vec<Vec<Value<'a>>>,
    dicts: Vec<Vec<(Value<'a>, Value<'a>)>>,
    objects: Vec<Object>,
}

impl<'a> Value<'a> {
    /// Whether this is the string `string`.
    pub fn is_string(&self, string: &str) -> bool {
        matches!(self, Value::Bytes(bytes) if *bytes == string.as_bytes())
    }

    /// The text, where this is a string in UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        let Value::Bytes(bytes) = self else { return None };
        str::from_utf8(bytes).ok()
    }
}

impl<'a, Object> Heap<'a, Object> {
    pub(crate) fn new() -> Self {
        Self { sequences: Vec::new(), dicts: Vec::new(), objects: Vec::new() }
    }

    /// What is in a list.
    pub fn list(&self, value: Value<'_>) -> Option<&[Value<'a>]> {
        let Value::List(Id(id)) = value else { return None };
        self.sequences.get(id).map(Vec::as_slice)
    }

    /// What is in a tuple.
    pub fn tuple(&self, value: Value<'_>) -> Option<&[Value<'a>]> {
        let Value::Tuple(Id(id)) = value else { return None };
        self.sequences.get(id).map(Vec::as_slice)
    }

    /// Keys and values of a dictionary in the order of the file. A key may occur again; Python
    /// keeps its last value.
    pub fn dict(&self, value: Value<'_>) -> Option<&[(Value<'a>, Value<'a>)]> {
        let Value::Dict(Id(id)) = value else { return None };
        self.dicts.get(id).map(Vec::as_slice)
    }

    /// What a dictionary has under the string `key`.
    pub fn get(&self, dict: Value<'_>, key: &str) -> Option<Value<'a>> {
        let mut items = self.dict(dict)?.iter().rev();
        items.find(|(found, _)| found.is_string(key)).map(|(_, value)| *value)
    }

    /// What the vocabulary knows or made.
    pub fn object(&self, value: Value<'_>) -> Option<&Object> {
        let Value::Object(Id(id)) = value else { return None };
        self.objects.get(id)
    }

    /// The same, to be changed; everything that refers to it sees the change, as in Python.
    pub fn object_mut(&mut self, value: Value<'_>) -> Option<&mut Object> {
        let Value::Object(Id(id)) = value else { return None };
        self.objects.get_mut(id)
    }

    /// Keeps an object.
    pub fn new_object(&mut self, object: Object) -> Value<'a> {
        self.objects.push(object);
        Value::Object(Id(self.objects.len() - 1))
    }

    /// An empty dictionary.
    pub fn new_dict(&mut self) -> Value<'a> {
        self.dicts.push(Vec::new());
        Value::Dict(Id(self.dicts.len() - 1))
    }

    pub(crate) fn new_list(&mut self) -> Value<'a> {
        Value::List(self.new_sequence(Vec::new()))
    }

    pub(crate) fn new_tuple(&mut self, items: Vec<Value<'a>>) -> Value<'a> {
        Value::Tuple(self.new_sequence(items))
    }

    fn new_sequence(&mut self, items: Vec<Value<'a>>) -> Id {
        self.sequences.push(items);
        Id(self.sequences.len() - 1)
    }

    pub(crate) fn list_mut(&mut self, value: Value<'_>) -> Option<&mut Vec<Value<'a>>> {
        let Value::List(Id(id)) = value else { return None };
        self.sequences.get_mut(id)
    }

    pub(crate) fn dict_mut(
        &mut self,
        value: Value<'_>,
    ) -> Option<&mut Vec<(Value<'a>, Value<'a>)>> {
        let Value::Dict(Id(id)) = value else { return None };
        self.dicts.get_mut(id)
    }
}
