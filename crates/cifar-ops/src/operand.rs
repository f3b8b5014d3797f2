//! What every operation asks of the tensors it is given, and how it reads them.

use std::borrow::Cow;

use candle_core::{
    CpuStorage, DType, Layout, Result, Storage, StorageRef, Tensor, WithDType, bail,
};
use cifar_kernels::element::{Element, bf16, convert};

/// What the tensors of an operation may hold.
pub(crate) trait Value: Element + WithDType {}

impl Value for f32 {}
impl Value for bf16 {}

/// The dimensions of an f32 or bf16 tensor of rank `RANK` that holds at least one value.
pub(crate) fn of_rank<const RANK: usize>(
    op: &str,
    name: &str,
    x: &Tensor,
) -> Result<[usize; RANK]> {
    float_only(op, name, x)?;
    let Ok(dims) = <[usize; RANK]>::try_from(x.dims()) else {
        bail!("{op}: {name} has shape {:?}, expected {RANK} dimensions", x.dims());
    };
    if x.elem_count() == 0 {
        bail!("{op}: {name} of shape {dims:?} is empty, expected at least one value");
    }
    Ok(dims)
}

/// Refuses a tensor that is neither f32 nor, on a CPU, bf16.
pub(crate) fn float_only(op: &str, name: &str, x: &Tensor) -> Result<()> {
    let expected = if x.device().is_cpu() { "F32 or BF16" } else { "F32" };
    match x.dtype() {
        DType::F32 => Ok(()),
        DType::BF16 if x.device().is_cpu() => Ok(()),
        other => bail!("{op}: {name} is {other:?}, expected {expected}; convert it with to_dtype"),
    }
}

/// Refuses anything but a vector with one value per channel.
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

/// The values of a contiguous operand inside a custom operation.
pub(crate) fn stored_values<'a, E: Value>(
    op: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [E]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<E>()?[start..end]),
        None => Err(candle_core::Error::RequiresContiguous { op }),
    }
}

/// [`stored_values`] in f32: those of bf16 are copied.
pub(crate) fn values<'a>(
    op: &'static str,
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<Cow<'a, [f32]>> {
    match storage {
        CpuStorage::BF16(_) => {
            let stored = stored_values::<bf16>(op, storage, layout)?;
            let mut values = vec![0.0; stored.len()];
            convert(stored, &mut values);
            Ok(Cow::Owned(values))
        }
        _ => stored_values(op, storage, layout).map(Cow::Borrowed),
    }
}

/// The result of an operation on `like`, stored as that is.
pub(crate) fn storage(values: Vec<f32>, like: &CpuStorage) -> CpuStorage {
    match like {
        CpuStorage::BF16(_) => CpuStorage::BF16(rounded(&values)),
        _ => CpuStorage::F32(values),
    }
}

/// The gradient of `of`, stored as that is.
pub(crate) fn gradient(values: Vec<f32>, of: &Tensor) -> Result<Tensor> {
    match of.dtype() {
        DType::BF16 => Tensor::from_vec(rounded(&values), of.shape(), of.device()),
        _ => Tensor::from_vec(values, of.shape(), of.device()),
    }
}

fn rounded(values: &[f32]) -> Vec<bf16> {
    let mut rounded = vec![bf16::ZERO; values.len()];
    convert(values, &mut rounded);
    rounded
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

    /// The values of a contiguous tensor in f32; those of bf16 are copied.
    pub(crate) fn values(&self) -> Result<Cow<'_, [f32]>> {
        values(self.op, self.storage()?, self.layout)
    }

    /// The values of a contiguous tensor.
    pub(crate) fn stored_values<E: Value>(&self) -> Result<&[E]> {
        stored_values(self.op, self.storage()?, self.layout)
    }

    /// The storage and where in it the tensor's values start.
    pub(crate) fn storage(&self) -> Result<&CpuStorage> {
        match &*self.storage {
            Storage::Cpu(storage) => Ok(storage),
            _ => bail!("{}: the tensor is not on the CPU", self.op),
        }
    }
}
