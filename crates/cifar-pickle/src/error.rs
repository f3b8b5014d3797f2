//! Why a pickle is refused.

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
    /// An opcode that no known file needs.
    #[error("refused opcode 0x{opcode:02x} at byte {at}")]
    Opcode {
        /// The opcode.
        opcode: u8,
        /// Where it stands.
        at: usize,
    },
    /// A function or class that is not in the vocabulary. Nothing is ever imported or called.
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
    /// More values than any known file has.
    #[error("refused a pickle of more than {limit} values")]
    TooMany {
        /// How many there may be.
        limit: usize,
    },
    /// A well-formed pickle of something else than what was wanted.
    #[error("{0}")]
    Content(String),
}
