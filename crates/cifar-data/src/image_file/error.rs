//! Why a file does not serve as a picture.

use std::io;
use std::path::PathBuf;

use super::{MAX_FILE_BYTES, MAX_PIXELS, MAX_SIDE};

/// Why a file does not serve as a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// The operating system refused to read.
    #[error("cannot read {path}; check that it exists and that you may read it")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// It is a folder.
    #[error("{path} is a folder; name a picture in it")]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// It is a named pipe, a socket or a device.
    #[error("{path} is no ordinary file; save the picture as one, or send it to standard input")]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// There is nothing in it.
    #[error("{path} is empty (0 bytes); copy or download it again")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// It holds more bytes than are read.
    #[error(
        "{path} has more than {} MiB, the most that is read; save the picture smaller",
        MAX_FILE_BYTES >> 20
    )]
    FileSize {
        /// The file.
        path: PathBuf,
    },
    /// It begins as none of the formats does.
    #[error(
        "{path} is no picture of a known format (it begins with the bytes {start}); \
         save it as PNG, JPEG, WebP, BMP or GIF"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its first bytes in hexadecimal.
        start: String,
    },
    /// It claims to be larger than is decoded.
    #[error(
        "{path} is {width}x{height} pixels; at most {} a side and {} million in all are read: \
         scale it down first",
        MAX_SIDE,
        MAX_PIXELS / 1_000_000
    )]
    Dimensions {
        /// The file.
        path: PathBuf,
        /// Width that its header claims.
        width: u32,
        /// Height that its header claims.
        height: u32,
    },
    /// Its header claims more than its bytes can hold.
    #[error(
        "{path} claims {width}x{height} pixels and has only {len} bytes; \
         copy or download it again, or save it anew"
    )]
    Density {
        /// The file.
        path: PathBuf,
        /// Width that its header claims.
        width: u32,
        /// Height that its header claims.
        height: u32,
        /// Its size in bytes.
        len: usize,
    },
    /// It begins as a picture, and the rest does not follow.
    #[error(
        "{path} is a damaged {format} file: {reason}; copy or download it again, or save it anew"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The format that it begins as.
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },
}
