//! The zip archive around PyTorch's records.
//!
//! Records are slices of the file: what is compressed is refused rather than unpacked, so no
//! record can be larger than the file, and nothing is allocated but the list of names.
//!
//! The format: PKWARE's APPNOTE.TXT, sections 4.3 and 4.5.

use std::collections::HashMap;

use crate::torch_file::error::TorchFileError;

/// Characters of a name that an error shows.
const MAX_NAME_LEN: usize = 60;

const LOCAL_HEADER: &[u8] = b"PK\x03\x04";
const CENTRAL_HEADER: &[u8] = b"PK\x01\x02";
const END: &[u8] = b"PK\x05\x06";
const END_LEN: usize = 22;
const ZIP64_END: &[u8] = b"PK\x06\x06";
const ZIP64_LOCATOR: &[u8] = b"PK\x06\x07";
const ZIP64_LOCATOR_LEN: usize = 20;
const MAX_COMMENT_LEN: usize = 0xffff;

/// The records of one archive, by their names below its root folder.
#[derive(Debug)]
pub struct Archive<'a> {
    /// `None`: compressed or encrypted.
    records: HashMap<&'a str, Option<&'a [u8]>>,
}

impl<'a> Archive<'a> {
    /// Whether `bytes` begin as an archive does.
    pub(crate) fn recognised(bytes: &[u8]) -> bool {
        bytes.starts_with(LOCAL_HEADER)
    }

    /// Finds the records in the file `bytes`.
    ///
    /// # Errors
    /// If it is no whole archive, has names that lead out of it, two of the same, or big-endian
    /// numbers.
    pub fn open(bytes: &'a [u8]) -> Result<Self, TorchFileError> {
        let directory = directory(bytes).ok_or(TorchFileError::Zip("its end is missing"))?;
        let mut records = HashMap::new();
        let mut root = None;
        let mut rest = directory;
        while !rest.is_empty() {
            let entry = Entry::read(&mut rest)
                .ok_or(TorchFileError::Zip("its list of records is damaged"))?;
            let name = entry.checked_name()?;
            let Some((folder, name)) = name.split_once('/') else {
                return Err(TorchFileError::Zip("a record lies outside of its root folder"));
            };
            if *root.get_or_insert(folder) != folder {
                return Err(TorchFileError::Zip("it has more than one root folder"));
            }
            let content = entry
                .content(bytes)
                .ok_or(TorchFileError::Zip("a record does not lie within the file"))?;
            if records.insert(name, entry.is_plain().then_some(content)).is_some() {
                return Err(TorchFileError::Duplicate(shown(name.as_bytes())));
            }
        }
        let archive = Self { records };
        match archive.record("byteorder") {
            Ok(order) if order != b"little" => Err(TorchFileError::ByteOrder(shown(order))),
            _ => Ok(archive),
        }
    }

    /// The bytes of a record, such as `data.pkl`.
    ///
    /// # Errors
    /// If there is none, or it is compressed or encrypted.
    pub fn record(&self, name: &str) -> Result<&'a [u8], TorchFileError> {
        match self.records.get(name) {
            Some(Some(bytes)) => Ok(bytes),
            Some(None) => Err(TorchFileError::Compressed(shown(name.as_bytes()))),
            None => Err(TorchFileError::Missing(shown(name.as_bytes()))),
        }
    }

    /// The names of all records, in no order.
    pub fn names(&self) -> impl Iterator<Item = &'a str> {
        self.records.keys().copied()
    }
}

/// What the archive says of one record.
struct Entry<'a> {
    name: &'a [u8],
    /// Where the header in front of the record begins.
    at: u64,
    /// Bytes in the file.
    len: u64,
    flags: u16,
    method: u16,
}

impl<'a> Entry<'a> {
    /// The next entry of the directory `rest`, which then begins behind it.
    fn read(rest: &mut &'a [u8]) -> Option<Self> {
        let header = Fields(rest.strip_prefix(CENTRAL_HEADER)?);
        let (flags, method) = (header.u16(4)?, header.u16(6)?);
        let (packed, len, at) = (header.u32(16)?, header.u32(20)?, header.u32(38)?);
        let [name_len, extra_len, comment_len] =
            [header.u16(24)?, header.u16(26)?, header.u16(28)?].map(usize::from);
        let (name, behind) = header.0.get(42..)?.split_at_checked(name_len)?;
        let (extra, behind) = behind.split_at_checked(extra_len)?;
        *rest = behind.get(comment_len..)?;
        // Numbers that do not fit stand in an extra field, in this order.
        let mut wide = wide_numbers(extra);
        let mut number = |short: u32| match short {
            u32::MAX => wide.next(),
            short => Some(short.into()),
        };
        let (len, packed, at) = (number(len)?, number(packed)?, number(at)?);
        // The two sizes of what is not compressed are one.
        (method != 0 || len == packed).then_some(Self { name, at, len: packed, flags, method })
    }

    /// Whether its bytes are the record's: neither compressed nor encrypted.
    fn is_plain(&self) -> bool {
        self.method == 0 && self.flags & 1 == 0
    }

    fn checked_name(&self) -> Result<&'a str, TorchFileError> {
        let refused = || TorchFileError::Path(shown(self.name));
        let name = str::from_utf8(self.name).map_err(|_| refused())?;
        let odd = |part: &str| matches!(part, "" | "." | "..");
        // A folder's own entry ends with a slash.
        let parts = name.strip_suffix('/').unwrap_or(name);
        match parts.split('/').any(odd) || name.contains(['\\', ':', '\0']) {
            true => Err(refused()),
            false => Ok(name),
        }
    }

    /// Its bytes, behind a header that must be of the same name.
    fn content(&self, file: &'a [u8]) -> Option<&'a [u8]> {
        let from = file.get(usize::try_from(self.at).ok()?..)?;
        let header = Fields(from.strip_prefix(LOCAL_HEADER)?);
        let [name_len, extra_len] = [header.u16(22)?, header.u16(24)?].map(usize::from);
        let (name, behind) = header.0.get(26..)?.split_at_checked(name_len)?;
        let content = behind.get(extra_len..)?.get(..usize::try_from(self.len).ok()?)?;
        (name == self.name).then_some(content)
    }
}

/// The numbers of a directory entry's ZIP64 field.
fn wide_numbers(mut extra: &[u8]) -> impl Iterator<Item = u64> {
    const ZIP64: u16 = 1;
    let mut numbers: &[[u8; 8]] = &[];
    while let (Some(id), Some(len)) = (Fields(extra).u16(0), Fields(extra).u16(2)) {
        let Some((field, rest)) = extra[4..].split_at_checked(len.into()) else { break };
        if id == ZIP64 {
            numbers = field.as_chunks().0;
            break;
        }
        extra = rest;
    }
    numbers.iter().map(|bytes| u64::from_le_bytes(*bytes))
}

/// The list of records, which the end of the file tells the place of.
fn directory(file: &[u8]) -> Option<&[u8]> {
    let earliest = file.len().saturating_sub(END_LEN + MAX_COMMENT_LEN);
    let mut places = (earliest..=file.len().checked_sub(END_LEN)?).rev();
    // The end is the one whose comment reaches to the end of the file.
    let at = places.find(|&at| {
        let comment_len = || Fields(&file[at..]).u16(END_LEN - 2).map(usize::from);
        file[at..].starts_with(END) && comment_len() == Some(file.len() - at - END_LEN)
    })?;
    let end = Fields(&file[at..]);
    let (mut len, mut start) = (end.u32(12)?.into(), end.u32(16)?.into());
    let locator = at.checked_sub(ZIP64_LOCATOR_LEN).and_then(|at| file.get(at..));
    if let Some(locator) = locator.filter(|locator| locator.starts_with(ZIP64_LOCATOR)) {
        let at = usize::try_from(Fields(locator).u64(8)?).ok()?;
        let wide = file.get(at..).filter(|end| end.starts_with(ZIP64_END))?;
        (len, start) = (Fields(wide).u64(40)?, Fields(wide).u64(48)?);
    }
    let end = usize::try_from(start.checked_add(len)?).ok()?;
    file.get(usize::try_from(start).ok()?..end)
}

/// Little-endian numbers at places of a header.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.0.get(at..)?.first_chunk().copied()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}

/// A name of the file's for a person: escaped, and not at any length.
pub(super) fn shown(name: &[u8]) -> String {
    name[..name.len().min(MAX_NAME_LEN)].escape_ascii().to_string()
}
