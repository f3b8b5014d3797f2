//! What a file may name.

use crate::heap::{Heap, Value};

/// The functions and classes that a kind of file may name, and what calling them would make.
///
/// Errors are a few words on what is wrong; the machine adds the place.
pub trait Vocabulary<'a> {
    /// A function, a class, or what they make.
    type Object;

    /// Instructions this vocabulary needs besides the plain ones: [`opcode::NEWOBJ`],
    /// [`opcode::BINPERSID`].
    ///
    /// [`opcode::NEWOBJ`]: crate::opcode::NEWOBJ
    /// [`opcode::BINPERSID`]: crate::opcode::BINPERSID
    const OPCODES: &'static [u8];

    /// The function or class of this name; `None` refuses the file.
    fn global(&self, module: &'a [u8], name: &'a [u8]) -> Option<Self::Object>;

    /// What Python would get from calling `function` with the tuple `arguments`.
    ///
    /// # Errors
    /// If this vocabulary has no such call.
    fn call(
        &self,
        heap: &mut Heap<'a, Self::Object>,
        function: Value<'a>,
        arguments: Value<'a>,
    ) -> Result<Value<'a>, &'static str>;

    /// Does to `object` what Python would do to give it the state `state`.
    ///
    /// # Errors
    /// If it is no such object, or no such state.
    fn build(
        &self,
        heap: &mut Heap<'a, Self::Object>,
        object: Value<'a>,
        state: Value<'a>,
    ) -> Result<(), &'static str>;

    /// What the program that reads the file would give for a persistent id. Asked only where
    /// [`Vocabulary::OPCODES`] has [`opcode::BINPERSID`](crate::opcode::BINPERSID).
    ///
    /// # Errors
    /// If there is nothing of that id.
    fn persistent(
        &self,
        _heap: &mut Heap<'a, Self::Object>,
        _id: Value<'a>,
    ) -> Result<Value<'a>, &'static str> {
        Err("a persistent id")
    }
}
