//! The frame around each record of an event file.
//!
//! ```text
//! u64  length, little endian like all below
//! u32  masked CRC32C of the length's eight bytes
//!      the data
//! u32  masked CRC32C of the data
//! ```
//!
//! (TensorFlow, `core/lib/io/record_writer.cc`, and `core/lib/hash/crc32c.h` for the mask.)

use std::io::{self, Write};

/// Writes `data` as one record.
pub(super) fn write(out: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let length = (data.len() as u64).to_le_bytes();
    out.write_all(&length)?;
    out.write_all(&masked_crc(&length).to_le_bytes())?;
    out.write_all(data)?;
    out.write_all(&masked_crc(data).to_le_bytes())
}

/// A CRC of data that hold CRCs themselves is weak, so TensorFlow stores them turned and shifted.
pub(super) fn masked_crc(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of RFC 3720 (iSCSI), appendix B.4.
    #[test]
    fn the_checksum_is_castagnolis() {
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c::crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c::crc32c(&ascending), 0x46dd_794e);
    }

    /// What the writer of `tensorboard` 2.21 makes of the event
    /// `{ wall_time: 1.0, file_version: "brain.Event:2" }`.
    #[test]
    fn a_record_has_the_bytes_of_tensorboards_writer() {
        let event = b"\x09\0\0\0\0\0\0\xf0\x3f\x1a\x0dbrain.Event:2";
        let mut out = Vec::new();
        write(&mut out, event).unwrap();
        let length = b"\x18\0\0\0\0\0\0\0";
        let expected = [&length[..], b"\xa3\x7f\x4b\x22", event, b"\x86\xbf\x57\x7a"].concat();
        assert_eq!(out, expected);
    }
}
