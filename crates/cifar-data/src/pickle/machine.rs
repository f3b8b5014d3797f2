//! The stack machine.

use std::collections::HashMap;

use super::PickleError;
use super::value::{Global, Value};

/// Values of one pickle: a batch of 10,000 pictures has about 20,000.
const MAX_VALUES: usize = 1_000_000;

/// Lists, tuples and dictionaries that one pickle keeps: a batch has about 10. They can be nested no
/// deeper than there are many, so taking them apart cannot exhaust the stack.
const MAX_CONTAINERS: usize = 1_000;

/// Bytes of a refused module or name that an error shows.
const MAX_NAME_LEN: usize = 60;

/// Reads one pickle.
pub(crate) fn load(bytes: &[u8]) -> Result<Value<'_>, PickleError> {
    Machine { input: Input { bytes, at: 0 }, ..Machine::default() }.run()
}

#[derive(Default)]
struct Machine<'a> {
    input: Input<'a>,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at which collections begin.
    marks: Vec<usize>,
    /// Values that a later instruction may ask for again. Only those that hold no others: copies
    /// of lists of copies of lists would grow without bound.
    memo: HashMap<usize, Value<'a>>,
    n_values: usize,
    n_containers: usize,
    /// Where the current instruction stands.
    at: usize,
}

/// The instructions, by their names in Python's `pickletools`.
mod opcode {
    pub(super) const MARK: u8 = b'(';
    pub(super) const STOP: u8 = b'.';
    pub(super) const BININT: u8 = b'J';
    pub(super) const BININT1: u8 = b'K';
    pub(super) const BININT2: u8 = b'M';
    pub(super) const NONE: u8 = b'N';
    pub(super) const REDUCE: u8 = b'R';
    pub(super) const BINSTRING: u8 = b'T';
    pub(super) const SHORT_BINSTRING: u8 = b'U';
    pub(super) const BINUNICODE: u8 = b'X';
    pub(super) const BINBYTES: u8 = b'B';
    pub(super) const SHORT_BINBYTES: u8 = b'C';
    pub(super) const EMPTY_LIST: u8 = b']';
    pub(super) const EMPTY_TUPLE: u8 = b')';
    pub(super) const EMPTY_DICT: u8 = b'}';
    pub(super) const APPEND: u8 = b'a';
    pub(super) const APPENDS: u8 = b'e';
    pub(super) const SETITEM: u8 = b's';
    pub(super) const SETITEMS: u8 = b'u';
    pub(super) const BUILD: u8 = b'b';
    pub(super) const GLOBAL: u8 = b'c';
    pub(super) const STACK_GLOBAL: u8 = 0x93;
    pub(super) const BINGET: u8 = b'h';
    pub(super) const LONG_BINGET: u8 = b'j';
    pub(super) const BINPUT: u8 = b'q';
    pub(super) const LONG_BINPUT: u8 = b'r';
    pub(super) const MEMOIZE: u8 = 0x94;
    pub(super) const TUPLE: u8 = b't';
    pub(super) const TUPLE1: u8 = 0x85;
    pub(super) const TUPLE2: u8 = 0x86;
    pub(super) const TUPLE3: u8 = 0x87;
    pub(super) const NEWTRUE: u8 = 0x88;
    pub(super) const NEWFALSE: u8 = 0x89;
    pub(super) const PROTO: u8 = 0x80;
    pub(super) const SHORT_BINUNICODE: u8 = 0x8c;
    pub(super) const BINUNICODE8: u8 = 0x8d;
    pub(super) const BINBYTES8: u8 = 0x8e;
    pub(super) const FRAME: u8 = 0x95;
}

impl<'a> Machine<'a> {
    fn run(mut self) -> Result<Value<'a>, PickleError> {
        loop {
            self.at = self.input.at;
            match self.input.u8()? {
                opcode::STOP => return self.pop(),
                opcode => self.step(opcode)?,
            }
        }
    }

    /// One instruction: sorts them by what they work on.
    fn step(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            opcode::PROTO => self.protocol(),
            opcode::FRAME => self.input.u64().map(drop),
            opcode::MARK => self.mark(),
            opcode::REDUCE => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                // The arguments go no further, so they nest nothing: Python 3 has one such tuple
                // for each string.
                self.n_containers -= usize::from(matches!(arguments, Value::Tuple(_)));
                let made = callee.call(&arguments).map_err(|what| self.malformed(what))?;
                self.push(made)
            }
            opcode::BUILD => {
                let (state, object) = (self.pop()?, self.pop()?);
                let built = object.build(state).map_err(|what| self.malformed(what))?;
                self.push(built)
            }
            opcode::APPEND | opcode::APPENDS => self.extend_list(opcode == opcode::APPENDS),
            opcode::SETITEM | opcode::SETITEMS => self.extend_dict(opcode == opcode::SETITEMS),
            opcode::BINPUT | opcode::LONG_BINPUT | opcode::MEMOIZE => self.memoise(opcode),
            _ => {
                let value = self.value(opcode)?;
                self.push(value)
            }
        }
    }

    /// The value that an instruction puts on the stack.
    fn value(&mut self, opcode: u8) -> Result<Value<'a>, PickleError> {
        Ok(match opcode {
            opcode::NONE => Value::None,
            opcode::NEWTRUE => Value::Bool(true),
            opcode::NEWFALSE => Value::Bool(false),
            opcode::BININT1 => Value::Int(self.input.u8()?.into()),
            opcode::BININT2 => Value::Int(u16::from_le_bytes(self.input.array()?).into()),
            opcode::BININT => Value::Int(i32::from_le_bytes(self.input.array()?).into()),
            opcode::EMPTY_LIST => Value::List(Vec::new()),
            opcode::EMPTY_TUPLE => Value::Tuple(Vec::new()),
            opcode::EMPTY_DICT => Value::Dict(Vec::new()),
            opcode::TUPLE => Value::Tuple(self.pop_to_mark()?),
            opcode::TUPLE1 => Value::Tuple(self.pop_last(1)?),
            opcode::TUPLE2 => Value::Tuple(self.pop_last(2)?),
            opcode::TUPLE3 => Value::Tuple(self.pop_last(3)?),
            opcode::GLOBAL => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                global(module, name)?
            }
            opcode::STACK_GLOBAL => match (self.pop()?, self.pop()?) {
                (Value::Bytes(name), Value::Bytes(module)) => global(module, name)?,
                _ => return Err(self.malformed("a global has no name")),
            },
            opcode::BINGET => {
                let key = self.input.u8()?.into();
                self.remembered(key)?
            }
            opcode::LONG_BINGET => {
                let key = self.input.u32()? as usize;
                self.remembered(key)?
            }
            _ => Value::Bytes(self.string(opcode)?),
        })
    }

    /// The bytes of an instruction that carries them.
    fn string(&mut self, opcode: u8) -> Result<&'a [u8], PickleError> {
        let len = match opcode {
            opcode::SHORT_BINSTRING | opcode::SHORT_BINBYTES | opcode::SHORT_BINUNICODE => {
                self.input.u8()?.into()
            }
            opcode::BINSTRING | opcode::BINBYTES | opcode::BINUNICODE => self.input.u32()?.into(),
            opcode::BINBYTES8 | opcode::BINUNICODE8 => self.input.u64()?,
            _ => return Err(PickleError::Opcode { opcode, at: self.at }),
        };
        self.input.take(len)
    }

    fn protocol(&mut self) -> Result<(), PickleError> {
        match self.input.u8()? {
            2..=4 => Ok(()),
            _ => Err(self.malformed("the pickle's protocol is not 2, 3 or 4")),
        }
    }

    fn mark(&mut self) -> Result<(), PickleError> {
        self.count()?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    fn extend_list(&mut self, many: bool) -> Result<(), PickleError> {
        let items = if many { self.pop_to_mark()? } else { self.pop_last(1)? };
        match self.stack.last_mut() {
            Some(Value::List(list)) => list.extend(items),
            _ => return Err(self.malformed("nothing to append to")),
        }
        Ok(())
    }

    fn extend_dict(&mut self, many: bool) -> Result<(), PickleError> {
        let items = if many { self.pop_to_mark()? } else { self.pop_last(2)? };
        let Some(Value::Dict(dict)) = self.stack.last_mut() else {
            return Err(self.malformed("no dictionary to set items of"));
        };
        let mut items = items.into_iter();
        while let Some(key) = items.next() {
            match items.next() {
                Some(value) => dict.push((key, value)),
                None => return Err(self.malformed("a key has no value")),
            }
        }
        Ok(())
    }

    fn memoise(&mut self, opcode: u8) -> Result<(), PickleError> {
        let key = match opcode {
            opcode::BINPUT => self.input.u8()?.into(),
            opcode::LONG_BINPUT => self.input.u32()? as usize,
            _ => self.memo.len(),
        };
        self.count()?;
        let value = self.stack.last().ok_or_else(|| self.malformed("nothing to remember"))?;
        // Containers are remembered as absent, so that MEMOIZE counts them.
        let kept = match value {
            Value::List(_) | Value::Tuple(_) | Value::Dict(_) | Value::NewArray => Value::None,
            leaf => leaf.clone(),
        };
        self.memo.insert(key, kept);
        Ok(())
    }

    fn remembered(&self, key: usize) -> Result<Value<'a>, PickleError> {
        match self.memo.get(&key) {
            Some(Value::None) => Err(self.malformed("a shared list, tuple or dictionary")),
            Some(value) => Ok(value.clone()),
            None => Err(self.malformed("a value that was never remembered")),
        }
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), PickleError> {
        self.count()?;
        if matches!(value, Value::List(_) | Value::Tuple(_) | Value::Dict(_)) {
            self.n_containers += 1;
            if self.n_containers > MAX_CONTAINERS {
                return Err(self.malformed("more lists, tuples and dictionaries than a batch has"));
            }
        }
        self.stack.push(value);
        Ok(())
    }

    /// Accounts for one more thing to keep.
    fn count(&mut self) -> Result<(), PickleError> {
        self.n_values += 1;
        match self.n_values > MAX_VALUES {
            true => Err(PickleError::TooMany { limit: MAX_VALUES }),
            false => Ok(()),
        }
    }

    fn pop(&mut self) -> Result<Value<'a>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len() > floor {
            true => self.stack.pop().ok_or_else(|| self.malformed("the stack is empty")),
            false => Err(self.malformed("the stack is empty")),
        }
    }

    fn pop_last(&mut self, n: usize) -> Result<Vec<Value<'a>>, PickleError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.len().checked_sub(n) {
            Some(start) if start >= floor => Ok(self.stack.split_off(start)),
            _ => Err(self.malformed("the stack has too few values")),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, PickleError> {
        match self.marks.pop() {
            Some(start) => Ok(self.stack.split_off(start)),
            None => Err(self.malformed("no collection was begun")),
        }
    }

    fn malformed(&self, what: &'static str) -> PickleError {
        PickleError::Malformed { at: self.at, what }
    }
}

fn global<'a>(module: &[u8], name: &[u8]) -> Result<Value<'a>, PickleError> {
    Global::find(module, name).map(Value::Global).ok_or_else(|| {
        // What a hostile file calls itself goes to a terminal: escaped, and not at any length.
        let part = |text: &[u8]| text[..text.len().min(MAX_NAME_LEN)].escape_ascii().to_string();
        PickleError::Global { name: format!("{}.{}", part(module), part(name)) }
    })
}

/// The bytes still to be read.
#[derive(Default)]
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, len: u64) -> Result<&'a [u8], PickleError> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(PickleError::End { at: self.bytes.len() })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let taken = self.take(N as u64)?;
        taken.try_into().map_err(|_| PickleError::End { at: self.at })
    }

    fn u8(&mut self) -> Result<u8, PickleError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, PickleError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, PickleError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Text up to a line feed, which is skipped.
    fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(len.ok_or(PickleError::End { at: self.bytes.len() })? as u64)?;
        self.at += 1;
        Ok(line)
    }
}
