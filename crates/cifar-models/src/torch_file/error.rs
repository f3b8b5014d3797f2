//! Why a file of PyTorch's is refused.

use cifar_pickle::PickleError;

/// Why a file of PyTorch's is refused, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TorchFileError {
    /// No zip archive, or half of one.
    #[error("it is no whole zip archive ({0}); copy or save it again")]
    Zip(&'static str),
    /// What `torch.save` wrote before PyTorch 1.6: pickles alone.
    #[error(
        "it is in PyTorch's format of before 1.6; rewrite it in Python with \
         torch.save(torch.load(FILE, weights_only=True), NEW_FILE)"
    )]
    Legacy,
    /// A record whose name leads out of the archive.
    #[error("refused a record called {0}, which leads out of the archive")]
    Path(String),
    /// Two records of one name.
    #[error("it has two records called {0}")]
    Duplicate(String),
    /// A record that must be there.
    #[error("it has no record {0}; save it again with torch.save")]
    Missing(String),
    /// A record that would have to be unpacked.
    #[error("its record {0} is compressed or encrypted, as PyTorch never writes it; save it again")]
    Compressed(String),
    /// Numbers of a big-endian machine.
    #[error("its numbers are {0}-endian, expected little; save it again on another machine")]
    ByteOrder(String),
    /// The pickle is malformed, or names what holds no tensors.
    #[error("{record}: {reason}; save the weights alone: torch.save(model.state_dict(), FILE)")]
    Pickle {
        /// The record.
        record: String,
        /// What is wrong with it.
        reason: PickleError,
    },
    /// There are no weights where they could be.
    #[error("{0}; save the weights alone: torch.save(model.state_dict(), FILE)")]
    NoStateDict(String),
    /// A tensor does not lie within its storage.
    #[error("tensor {name}: {reason}")]
    Tensor {
        /// Its name in the `state_dict`.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
}
