//! What every operation asks of the tensors it is given, and how it reads them.

use candle_core::{CpuStorage, DType, Layout, Result, Tensor, bail};

/// `(N, C, H, W)` of an f32 tensor that holds at least one value.
pub(crate) fn images(op: &str, name: &str, x: &Tensor) -> Result<[usize; 4]> {
    of_rank(op, name, x)
}

/// The dimensions of an f32 tensor of rank `RANK` that holds at least one value.
pub(crate) fn of_rank<const RANK: usize>(
    op: &str,
    name: &str,
    x: &Tensor,
) -> Result<[usize; RANK]> {
    if x.dtype() != DType::F32 {
        bail!("{op}: {name} is {:?}, expected F32; convert it with to_dtype", x.dtype());
    }
    let Ok(dims) = <[usize; RANK]>::try_from(x.dims()) else {
        bail!("{op}: {name} has shape {:?}, expected {RANK} dimensions", x.dims());
    };
    if x.elem_count() == 0 {
        bail!("{op}: {name} of shape {dims:?} is empty, expected at least one value");
    }
    Ok(dims)
}

/// An f32 vector with one value per channel.
pub(crate) fn per_channel(op: &str, name: &str, x: &Tensor, channels: usize) -> Result<()> {
    let [len] = of_rank(op, name, x)?;
    if len != channels {
        bail!("{op}: {name} holds {len} values, expected one for each of {channels} channels");
    }
    Ok(())
}

/// Output extent of a window of `kernel` moved by `stride` along `len` values with `padding` more
/// on both sides.
pub(crate) fn extent(
    op: &str,
    len: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<usize> {
    if kernel == 0 || stride == 0 {
        bail!("{op}: kernel {kernel} and stride {stride} must be at least 1");
    }
    match (len + 2 * padding).checked_sub(kernel) {
        Some(room) => Ok(room / stride + 1),
        None => {
            bail!("{op}: kernel {kernel} is larger than the input of {len} padded by {padding}")
        }
    }
}

/// The values of a contiguous f32 operand inside a custom operation.
pub(crate) fn values<'a>(
    op: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => Err(candle_core::Error::RequiresContiguous { op }),
    }
}
