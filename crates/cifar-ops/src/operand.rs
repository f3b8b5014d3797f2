//! What every operation asks of the tensors it is given, and how it reads them.

use candle_core::{CpuStorage, DType, Layout, Result, Storage, StorageRef, Tensor, bail};

/// The dimensions of an f32 tensor of rank `RANK` that holds at least one value.
pub(crate) fn of_rank<const RANK: usize>(
    op: &str,
    name: &str,
    x: &Tensor,
) -> Result<[usize; RANK]> {
    f32_only(op, name, x)?;
    let Ok(dims) = <[usize; RANK]>::try_from(x.dims()) else {
        bail!("{op}: {name} has shape {:?}, expected {RANK} dimensions", x.dims());
    };
    if x.elem_count() == 0 {
        bail!("{op}: {name} of shape {dims:?} is empty, expected at least one value");
    }
    Ok(dims)
}

/// Refuses a tensor that is not f32.
pub(crate) fn f32_only(op: &str, name: &str, x: &Tensor) -> Result<()> {
    if x.dtype() != DType::F32 {
        bail!("{op}: {name} is {:?}, expected F32; convert it with to_dtype", x.dtype());
    }
    Ok(())
}

/// Refuses anything but an f32 vector with one value per channel.
pub(crate) fn per_channel(op: &str, name: &str, x: &Tensor, channels: usize) -> Result<()> {
    let [len] = of_rank(op, name, x)?;
    if len != channels {
        bail!("{op}: {name} holds {len} values, expected one for each of {channels} channels");
    }
    Ok(())
}

/// Refuses a window of `kernel` pixels, moved by `stride`, that does not fit in `len` pixels with
/// `padding` more on both sides.
pub(crate) fn window_fits(
    op: &str,
    len: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Result<()> {
    if kernel == 0 || stride == 0 {
        bail!("{op}: kernel {kernel} and stride {stride} must be at least 1");
    }
    if len + 2 * padding < kernel {
        bail!("{op}: kernel {kernel} is larger than the input of {len} padded by {padding}");
    }
    Ok(())
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

/// A tensor on the CPU, open for reading.
pub(crate) struct Reader<'a> {
    op: &'static str,
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(op: &'static str, x: &'a Tensor) -> Self {
        let (storage, layout) = x.storage_and_layout();
        Self { op, storage, layout }
    }

    /// The values of a contiguous f32 tensor.
    pub(crate) fn values(&self) -> Result<&[f32]> {
        values(self.op, self.storage()?, self.layout)
    }

    /// The storage and where in it the tensor's values start.
    pub(crate) fn storage(&self) -> Result<&CpuStorage> {
        match &*self.storage {
            Storage::Cpu(storage) => Ok(storage),
            _ => bail!("{}: the tensor is not on the CPU", self.op),
        }
    }
}
