//! The zip file.

use std::io::{Cursor, Write};

use candle_core::{DType, Tensor};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

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
        DType::F16 => flat.to_vec1::<half::f16>()?.into_iter().flat_map(half::f16::to_le_bytes).collect(),
        DType::I64 => flat.to_vec1::<i64>()?.into_iter().flat_map(i64::to_le_bytes).collect(),
        dtype => {
            let op = "write to an archive";
            return Err(candle_core::Error::UnsupportedDTypeForOp(dtype, op).into());
        }
    })
}
