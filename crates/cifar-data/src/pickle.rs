//! A reader for the few pickles that CIFAR-10's Python version consists of, and for nothing else.
//!
//! A pickle is a program for a stack machine, and Python's machine can call anything. This one
//! knows the opcodes that dictionaries of numbers, strings, lists and one numpy array need, and
//! recognises four names: numpy's `_reconstruct`, `ndarray` and `dtype`, and `_codecs.encode`,
//! with which Python 3 writes `bytes` in protocol 2. It calls nothing, for what those four would
//! do is known; everything else is refused by name.
//!
//! Strings and pictures are borrowed from the file and the number of values is limited, so a
//! malicious file can claim no more memory than a true one.
//!
//! Python's `Lib/pickletools.py` describes the opcodes.

mod machine;
mod value;

pub(crate) use machine::load;
pub(crate) use value::Value;

/// Why a pickle is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PickleError {
    /// The bytes end before the pickle does.
    #[error("the pickle is cut off at byte {at}")]
    End {
        /// Where more bytes were needed.
        at: usize,
    },
    /// An opcode that no batch needs.
    #[error("refused opcode 0x{opcode:02x} at byte {at}")]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Where it stands.
        at: usize,
    },
    /// A function or class that no batch needs. Nothing is ever imported or called.
    #[error("refused global {name}")]
    Global {
        /// Module and name, escaped, cut off if they are long.
        name: String,
    },
    /// An opcode found something else than what it works on.
    #[error("malformed at byte {at}: {what}")]
    Malformed {
        /// Where the opcode stands.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// More values than a batch has.
    #[error("refused a pickle of more than {limit} values")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// A well-formed pickle of something else than a batch.
    #[error("{0}")]
    Content(String),
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod writer;
