//! A look at the bytes of a model before anything is allocated for them.
//!
//! In protobuf two bytes can stand for a message of a hundred in memory, and unknown fields are
//! skipped. Here every field must be one that [`proto`](super::proto) has, and their number is
//! bounded, so that decoding needs little more memory than the file itself.

use prost::bytes::Buf;
use prost::encoding::{WireType, decode_key, decode_varint};

use super::damaged;
use crate::ExportError;

/// Fields of a model; the largest one written here for a net of 200 layers has some 10,000.
const MAX_FIELDS: usize = 100_000;
/// Bytes of a name or a value of metadata.
const MAX_TEXT: usize = 1 << 16;

/// The fields of a message by number.
type Fields = &'static [(u32, Field)];

#[derive(Clone, Copy)]
enum Field {
    Number,
    Float,
    Text,
    /// As long as the file allows.
    Bytes,
    Message(Fields),
}

use Field::{Bytes, Float, Message, Number, Text};

const MODEL: Fields = &[
    (1, Number),
    (2, Text),
    (6, Text),
    (7, Message(GRAPH)),
    (8, Message(&[(1, Text), (2, Number)])),
    (14, Message(&[(1, Text), (2, Text)])),
];
const GRAPH: Fields = &[
    (1, Message(NODE)),
    (2, Text),
    (5, Message(&[(1, Number), (2, Number), (8, Text), (9, Bytes)])),
    (10, Text),
    (11, Message(VALUE_INFO)),
    (12, Message(VALUE_INFO)),
];
const NODE: Fields = &[
    (1, Text),
    (2, Text),
    (3, Text),
    (4, Text),
    (5, Message(&[(1, Text), (2, Float), (3, Number), (8, Number), (20, Number)])),
];
const VALUE_INFO: Fields = &[(1, Text), (2, Message(&[(1, Message(TENSOR_TYPE))])), (3, Text)];
const TENSOR_TYPE: Fields =
    &[(1, Number), (2, Message(&[(1, Message(&[(1, Number), (2, Text)]))]))];

/// Checks the fields of a model's bytes.
pub(super) fn scan(model: &[u8]) -> Result<(), ExportError> {
    Scan { len: model.len(), n_fields: 0 }.message(model, MODEL)
}

struct Scan {
    /// Of the file.
    len: usize,
    n_fields: usize,
}

impl Scan {
    /// The recursion ends with the tables above.
    fn message(&mut self, mut bytes: &[u8], fields: Fields) -> Result<(), ExportError> {
        while bytes.has_remaining() {
            self.n_fields += 1;
            if self.n_fields > MAX_FIELDS {
                return Err(damaged(format!("more than {MAX_FIELDS} fields")));
            }
            let no_varint = |_| damaged("a number that does not end");
            let (number, wire) = decode_key(&mut bytes).map_err(no_varint)?;
            let known = fields.iter().find(|(known, _)| *known == number);
            let Some(&(_, field)) = known else {
                return Err(damaged(format!("unknown field {number} in a message")));
            };
            match (field, wire) {
                (Number, WireType::Varint) => {
                    decode_varint(&mut bytes).map_err(no_varint)?;
                }
                (Float, WireType::ThirtyTwoBit) => {
                    self.take(&mut bytes, size_of::<f32>() as u64)?;
                }
                (Text | Bytes | Message(_), WireType::LengthDelimited) => {
                    let len = decode_varint(&mut bytes).map_err(no_varint)?;
                    let value = self.take(&mut bytes, len)?;
                    match field {
                        Message(fields) => self.message(value, fields)?,
                        Text if value.len() > MAX_TEXT => {
                            return Err(damaged(format!("a text of {len} bytes")));
                        }
                        _ => {}
                    }
                }
                _ => return Err(damaged(format!("field {number} is of another kind"))),
            }
        }
        Ok(())
    }

    fn take<'a>(&self, bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8], ExportError> {
        let taken = usize::try_from(len).ok().and_then(|len| bytes.split_at_checked(len));
        let (value, rest) = taken.ok_or_else(|| {
            damaged(format!("{len} bytes announced where {} of {} are left", bytes.len(), self.len))
        })?;
        *bytes = rest;
        Ok(value)
    }
}
