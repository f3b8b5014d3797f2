//! The zip file.

use std::collections::HashMap;
use std::io::{Cursor, Read, Write};

use candle_core::{DType, Tensor};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

use crate::ExportError;

/// What PyTorch aligns tensors to, so that a file can be mapped into memory.
const ALIGNMENT: u16 = 64;

/// The header under which PyTorch puts the bytes that align: `FB`.
const PADDING: u16 = 0x4246;

/// A file in the archive.
pub(super) struct Record {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// The archive of `records` below the folder `root`, as every TorchScript archive has one.
/// Nothing in it depends on the time or the machine.
pub(super) fn write(root: &str, records: &[Record]) -> Result<Vec<u8>, ExportError> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .with_alignment_and_header_id(ALIGNMENT, PADDING);
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let failed = |error: zip::result::ZipError| candle_core::Error::wrap(error);
    for Record { name, bytes } in records {
        writer.start_file(format!("{root}/{name}"), options).map_err(failed)?;
        writer.write_all(bytes).map_err(candle_core::Error::from)?;
    }
    Ok(writer.finish().map_err(failed)?.into_inner())
}

/// A tensor's values in row-major order, little-endian.
pub(super) fn tensor_bytes(tensor: &Tensor) -> Result<Vec<u8>, ExportError> {
    let flat = tensor.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::F32 => flat.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect(),
        DType::F16 => {
            flat.to_vec1::<half::f16>()?.into_iter().flat_map(half::f16::to_le_bytes).collect()
        }
        DType::I64 => flat.to_vec1::<i64>()?.into_iter().flat_map(i64::to_le_bytes).collect(),
        dtype => {
            let op = "write to an archive";
            return Err(candle_core::Error::UnsupportedDTypeForOp(dtype, op).into());
        }
    })
}

/// The records of an archive by their names below its root folder.
///
/// Only records as [`write`] leaves them are read: not compressed, so that together they are no larger
/// than the file; all below one folder; none twice.
pub(super) fn read(bytes: &[u8]) -> Result<HashMap<String, Vec<u8>>, String> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| error.to_string())?;
    let mut records = HashMap::new();
    let (mut root, mut left) = (None, bytes.len() as u64);
    for at in 0..archive.len() {
        let mut record = archive.by_index(at).map_err(|error| error.to_string())?;
        let name = record.name().map_err(|error| error.to_string())?.into_owned();
        let refused = |why: &str| Err(format!("record `{}` {why}", name.escape_default()));
        if record.compression() != CompressionMethod::Stored {
            return refused("is compressed, which no file of this program is");
        }
        let Some((folder, inner)) = name.split_once('/') else {
            return refused("is in no folder");
        };
        if record.enclosed_name().is_none()
            || name.split('/').any(|part| matches!(part, "" | "." | ".."))
        {
            return refused("leads out of its archive");
        }
        if *root.get_or_insert_with(|| folder.to_owned()) != folder {
            return refused("is in another folder than the first");
        }
        if record.size() > left {
            return refused("is larger than the file it is in");
        }
        left -= record.size();
        let record_len = record.size();
        let mut content = Vec::with_capacity(record_len as usize);
        // A byte more shows a record that is longer than it says.
        let mut limited = (&mut record).take(record_len + 1);
        limited.read_to_end(&mut content).map_err(|error| format!("record `{name}`: {error}"))?;
        if content.len() as u64 != record_len {
            return refused("is not as long as it says");
        }
        if records.insert(inner.to_owned(), content).is_some() {
            return refused("is there twice");
        }
    }
    Ok(records)
}
