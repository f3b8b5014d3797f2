//! A reader of Python's pickles that imports nothing and calls nothing.
//!
//! A pickle is a program for a stack machine, and Python's machine can call anything. This one
//! builds dictionaries, lists, tuples, numbers and strings, and leaves the rest to a
//! [`Vocabulary`]: which functions and classes a file may name, and what calling them would make.
//! Every other name is refused.
//!
//! Hostile files are expected. Strings are borrowed from the file, each instruction makes at most
//! one value of fixed size, and their number is limited, so memory follows the file's size. What a
//! file refers to twice exists once: values lie in a [`Heap`] and hold numbers of each other, so
//! sharing costs nothing, and neither depth nor cycles can exhaust the stack when they are taken
//! apart. Who walks a pickle should still expect both.
//!
//! Python's `Lib/pickletools.py` describes the instructions.

mod error;
mod heap;
mod input;
mod machine;
pub mod opcode;
mod vocabulary;

pub use error::PickleError;
pub use heap::{Heap, Id, Value};
pub use machine::{MAX_VALUES, load};
pub use vocabulary::Vocabulary;

/// What a pickle consists of.
#[derive(Debug)]
pub struct Pickle<'a, Object> {
    /// All that was made, also what the whole no longer mentions.
    pub heap: Heap<'a, Object>,
    /// The whole.
    pub root: Value<'a>,
}
