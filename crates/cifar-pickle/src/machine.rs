//! The stack machine.

use std::collections::HashMap;
use std::slice::EscapeAscii;

use crate::Pickle;
use crate::error::PickleError;
use crate::heap::{Heap, Value};
use crate::input::Input;
use crate::opcode;
use crate::vocabulary::Vocabulary;

/// Most values of one pickle, so that some 100 MB suffice for any. Each takes at least one byte of
/// the file. A batch of 10,000 pictures has about 20,000, a checkpoint some 30 a tensor.
pub const MAX_VALUES: usize = 1_000_000;

/// Bytes of a refused module or name that an error shows.
const MAX_NAME_LEN: usize = 60;

/// Reads the one pickle with which `bytes` begin.
///
/// # Errors
/// If it is cut off, malformed or too large, or names what is not in the vocabulary.
pub fn load<'a, V: Vocabulary<'a>>(
    bytes: &'a [u8],
    vocabulary: &V,
) -> Result<Pickle<'a, V::Object>, PickleError> {
    let input = Input { bytes, at: 0 };
    let machine = Machine {
        vocabulary,
        input,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        heap: Heap::new(),
        n_values: 0,
        at: 0,
    };
    machine.run()
}

struct Machine<'a, 'v, V: Vocabulary<'a>> {
    vocabulary: &'v V,
    input: Input<'a>,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at which collections begin.
    marks: Vec<usize>,
    /// Values that a later instruction may ask for again.
    memo: HashMap<usize, Value<'a>>,
    heap: Heap<'a, V::Object>,
    n_values: usize,
    /// Where the current instruction stands.
    at: usize,
}

impl<'a, V: Vocabulary<'a>> Machine<'a, '_, V> {
    fn run(mut self) -> Result<Pickle<'a, V::Object>, PickleError> {
        loop {
            self.at = self.input.at;
            match self.input.u8()? {
                opcode::STOP => {
                    let root = self.pop()?;
                    return Ok(Pickle { heap: self.heap, root });
                }
                opcode => self.step(opcode)?,
            }
        }
    }

    /// One instruction: sorts them by what they work on.
    fn step(&mut self, opcode: u8) -> Result<(), PickleError> {
        match opcode {
            opcode::NEWOBJ | opcode::BINPERSID if !V::OPCODES.contains(&opcode) => {
                Err(self.refused(opcode))
            }
            opcode::PROTO => self.protocol(),
            opcode::FRAME => self.input.u64().map(drop),
            opcode::MARK => self.mark(),
            opcode::BUILD => self.build(),
            opcode::APPEND | opcode::APPENDS => self.extend_list(opcode == opcode::APPENDS),
            opcode::SETITEM | opcode::SETITEMS => self.extend_dict(opcode == opcode::SETITEMS),
            opcode::BINPUT | opcode::LONG_BINPUT | opcode::MEMOIZE => self.memoise(opcode),
            _ => {
                self.count()?;
                let value = self.value(opcode)?;
                self.stack.push(value);
                Ok(())
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
            opcode::LONG1 => self.long()?,
            opcode::BINFLOAT => Value::Float(f64::from_be_bytes(self.input.array()?)),
            opcode::EMPTY_LIST => self.heap.new_list(),
            opcode::EMPTY_DICT => self.heap.new_dict(),
            opcode::EMPTY_TUPLE => self.heap.new_tuple(Vec::new()),
            opcode::TUPLE | opcode::TUPLE1 | opcode::TUPLE2 | opcode::TUPLE3 => {
                let items = match opcode {
                    opcode::TUPLE => self.pop_to_mark()?,
                    _ => self.pop_last(usize::from(opcode - opcode::TUPLE1) + 1)?,
                };
                self.heap.new_tuple(items)
            }
            opcode::GLOBAL => {
                let (module, name) = (self.input.line()?, self.input.line()?);
                self.global(module, name)?
            }
            opcode::STACK_GLOBAL => match (self.pop()?, self.pop()?) {
                (Value::Bytes(name), Value::Bytes(module)) => self.global(module, name)?,
                _ => return Err(self.malformed("a global has no name")),
            },
            opcode::REDUCE | opcode::NEWOBJ => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let made = self.vocabulary.call(&mut self.heap, callee, arguments);
                made.map_err(|what| self.malformed(what))?
            }
            opcode::BINPERSID => {
                let id = self.pop()?;
                let found = self.vocabulary.persistent(&mut self.heap, id);
                found.map_err(|what| self.malformed(what))?
            }
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
            _ => return Err(self.refused(opcode)),
        };
        self.input.take(len)
    }

    /// A whole number in as few bytes as it needs, in two's complement.
    fn long(&mut self) -> Result<Value<'a>, PickleError> {
        let len = self.input.u8()?;
        let bytes = self.input.take(len.into())?;
        let negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
        let mut whole = if negative { [0xff; 8] } else { [0; 8] };
        match whole.get_mut(..bytes.len()) {
            Some(low) => low.copy_from_slice(bytes),
            None => return Err(self.malformed("a whole number of more than 64 bits")),
        }
        Ok(Value::Int(i64::from_le_bytes(whole)))
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

    fn global(&mut self, module: &'a [u8], name: &'a [u8]) -> Result<Value<'a>, PickleError> {
        match self.vocabulary.global(module, name) {
            Some(known) => Ok(self.heap.new_object(known)),
            None => {
                let name = format!("{}.{}", shown(module), shown(name));
                Err(PickleError::Global { name })
            }
        }
    }

    /// Changes the object and leaves it where it is.
    fn build(&mut self) -> Result<(), PickleError> {
        let (state, object) = (self.pop()?, self.pop()?);
        self.stack.push(object);
        let built = self.vocabulary.build(&mut self.heap, object, state);
        built.map_err(|what| self.malformed(what))
    }

    fn extend_list(&mut self, many: bool) -> Result<(), PickleError> {
        let items = if many { self.pop_to_mark()? } else { self.pop_last(1)? };
        let list = self.stack.last().and_then(|list| self.heap.list_mut(*list));
        match list {
            Some(list) => list.extend(items),
            None => return Err(self.malformed("nothing to append to")),
        }
        Ok(())
    }

    fn extend_dict(&mut self, many: bool) -> Result<(), PickleError> {
        let items = if many { self.pop_to_mark()? } else { self.pop_last(2)? };
        let (pairs, []) = items.as_chunks() else {
            return Err(self.malformed("a key has no value"));
        };
        let dict = self.stack.last().and_then(|dict| self.heap.dict_mut(*dict));
        match dict {
            Some(dict) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            None => return Err(self.malformed("no dictionary to set items of")),
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
        self.memo.insert(key, *value);
        Ok(())
    }

    fn remembered(&self, key: usize) -> Result<Value<'a>, PickleError> {
        let value = self.memo.get(&key);
        value.copied().ok_or_else(|| self.malformed("a value that was never remembered"))
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
        let value = if self.stack.len() > floor { self.stack.pop() } else { None };
        value.ok_or_else(|| self.malformed("the stack is empty"))
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

    fn refused(&self, opcode: u8) -> PickleError {
        PickleError::Opcode { opcode, at: self.at }
    }
}

/// What a hostile file calls itself goes to a terminal: escaped, and not at any length.
fn shown(text: &[u8]) -> EscapeAscii<'_> {
    text[..text.len().min(MAX_NAME_LEN)].escape_ascii()
}

#[cfg(test)]
mod tests;
