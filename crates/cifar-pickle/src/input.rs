//! The bytes still to be read.

use crate::error::PickleError;

pub(crate) struct Input<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, len: u64) -> Result<&'a [u8], PickleError> {
        let end = usize::try_from(len).ok().and_then(|len| self.at.checked_add(len));
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(PickleError::End { at: self.bytes.len() })?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], PickleError> {
        let taken = self.take(N as u64)?;
        taken.try_into().map_err(|_| PickleError::End { at: self.at })
    }

    pub(crate) fn u8(&mut self) -> Result<u8, PickleError> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, PickleError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, PickleError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Text up to a line feed, which is skipped.
    pub(crate) fn line(&mut self) -> Result<&'a [u8], PickleError> {
        let rest = &self.bytes[self.at..];
        let len = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(len.ok_or(PickleError::End { at: self.bytes.len() })? as u64)?;
        self.at += 1;
        Ok(line)
    }
}
