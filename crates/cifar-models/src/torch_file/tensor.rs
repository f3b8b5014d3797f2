//! A tensor: a view of a storage.

use std::borrow::Cow;

use cifar_pickle::{Heap, Value};
use safetensors::Dtype;

use crate::stored::StoredTensor;
use crate::torch_file::archive::Archive;
use crate::torch_file::vocabulary::Object;

/// Most dimensions of a tensor.
const MAX_DIMENSIONS: usize = 8;

/// What a storage is said to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Storage<'a> {
    /// Type of its values.
    pub dtype: Dtype,
    /// Its bytes are the record `data/KEY`.
    pub key: &'a str,
    /// How many values it has.
    pub n_values: u64,
}

/// What a tensor is said to be. Whether that can be is looked at only when its values are taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TorchTensor<'a> {
    /// Where its values lie.
    pub storage: Storage<'a>,
    /// The storage's value with which it begins.
    pub offset: i64,
    /// A tuple: its size in each dimension.
    pub shape: Value<'a>,
    /// A tuple: how many values lie between neighbours in each dimension.
    pub strides: Value<'a>,
}

/// What is wrong with a tensor.
#[derive(Debug, thiserror::Error)]
pub(super) enum Misfit {
    #[error("its shape or strides are not those of a tensor of up to {MAX_DIMENSIONS} dimensions")]
    Shape,
    #[error(
        "shape {shape:?} with strides {strides:?} from {offset} leaves its storage of {n_values} values"
    )]
    Beyond { shape: Vec<usize>, strides: Vec<usize>, offset: i64, n_values: u64 },
    #[error("its storage data/{key} has {found} bytes, expected {n_values} values of {bits} bits")]
    Storage { key: String, found: usize, n_values: u64, bits: usize },
    #[error("it repeats values (shape {shape:?}, strides {strides:?}); save it as .contiguous()")]
    Repeats { shape: Vec<usize>, strides: Vec<usize> },
    #[error("{0}")]
    Record(#[from] super::TorchFileError),
}

impl<'a> TorchTensor<'a> {
    /// Its values, row by row: borrowed from the file, or brought into order where they lie in
    /// another one, such as that of `torch.channels_last`. No more bytes than its storage has.
    pub(super) fn stored(
        &self,
        archive: &Archive<'a>,
        heap: &Heap<'a, Object<'a>>,
    ) -> Result<StoredTensor<'a>, Misfit> {
        let Storage { dtype, key, n_values } = self.storage;
        let shape = sizes(heap, self.shape).ok_or(Misfit::Shape)?;
        let strides = sizes(heap, self.strides).ok_or(Misfit::Shape)?;
        if shape.len() != strides.len() {
            return Err(Misfit::Shape);
        }
        let bytes = archive.record(&format!("data/{key}"))?;
        let value_len = dtype.bitsize() / 8;
        let fits = usize::try_from(n_values).ok().and_then(|n| n.checked_mul(value_len));
        let Some(values) = fits.and_then(|len| bytes.get(..len)) else {
            let (key, bits) = (super::archive::shown(key.as_bytes()), dtype.bitsize());
            return Err(Misfit::Storage { key, found: bytes.len(), n_values, bits });
        };
        let Some(View { start, len }) =
            view(&shape, &strides, self.offset, values.len() / value_len)
        else {
            return Err(Misfit::Beyond { shape, strides, offset: self.offset, n_values });
        };
        let values = &values[start * value_len..];
        let data = if is_contiguous(&shape, &strides) {
            Cow::Borrowed(&values[..len * value_len])
        } else if len > values.len() / value_len {
            return Err(Misfit::Repeats { shape, strides });
        } else {
            Cow::Owned(gathered(values, value_len, &shape, &strides, len))
        };
        Ok(StoredTensor { dtype, shape, data })
    }
}

fn sizes<'a>(heap: &Heap<'a, Object<'a>>, tuple: Value<'a>) -> Option<Vec<usize>> {
    let sizes = heap.tuple(tuple).filter(|sizes| sizes.len() <= MAX_DIMENSIONS)?;
    let size = |value: &Value<'_>| match value {
        Value::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    };
    sizes.iter().map(size).collect()
}

/// Where a tensor begins in its storage, and how many values it has.
struct View {
    start: usize,
    len: usize,
}

/// `None`: it leaves its storage of `n_values`.
fn view(shape: &[usize], strides: &[usize], offset: i64, n_values: usize) -> Option<View> {
    let start = usize::try_from(offset).ok().filter(|start| *start <= n_values)?;
    let len = shape.iter().try_fold(1usize, |len, size| len.checked_mul(*size));
    if shape.contains(&0) {
        return Some(View { start, len: 0 });
    }
    let last = shape.iter().zip(strides).try_fold(start, |last, (size, stride)| {
        last.checked_add((size - 1).checked_mul(*stride)?)
    })?;
    (last < n_values).then_some(View { start, len: len? })
}

/// Whether the values lie row by row. Strides of a single neighbour mean nothing.
fn is_contiguous(shape: &[usize], strides: &[usize]) -> bool {
    let mut expected = 1;
    shape.contains(&0)
        || shape.iter().zip(strides).rev().all(|(&size, &stride)| {
            let fits = size == 1 || stride == expected;
            expected *= size;
            fits
        })
}

fn gathered(
    values: &[u8],
    value_len: usize,
    shape: &[usize],
    strides: &[usize],
    len: usize,
) -> Vec<u8> {
    let mut data = Vec::with_capacity(len * value_len);
    for row_major in 0..len {
        let (mut rest, mut at) = (row_major, 0);
        for (size, stride) in shape.iter().zip(strides).rev() {
            at += rest % size * stride;
            rest /= size;
        }
        data.extend_from_slice(&values[at * value_len..][..value_len]);
    }
    data
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn values_in_any_order_are_brought_into_rows() {
        let (rows, planes) = ([2, 3, 4], [12, 4, 1]);
        let storage = Tensor::arange(0u8, 24, &Device::Cpu).unwrap().reshape(&rows).unwrap();
        let bytes = storage.flatten_all().unwrap().to_vec1::<u8>().unwrap();
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let (shape, strides) = (order.map(|axis| rows[axis]), order.map(|axis| planes[axis]));
            let want = storage.permute(order).unwrap().flatten_all().unwrap();
            let got = gathered(&bytes, 1, &shape, &strides, 24);
            assert_eq!(got, want.to_vec1::<u8>().unwrap(), "{order:?}");
            assert_eq!(is_contiguous(&shape, &strides), order == [0, 1, 2]);
        }
    }

    #[test]
    fn values_of_several_bytes_stay_together() {
        assert_eq!(gathered(b"aAbBcCdD", 2, &[2, 2], &[1, 2], 4), b"aAcCbBdD");
    }

    #[test]
    fn a_view_lies_within_its_storage() {
        let len = |shape: &[usize], strides: &[usize], offset| {
            view(shape, strides, offset, 12).map(|view| (view.start, view.len))
        };
        assert_eq!(len(&[3, 4], &[4, 1], 0), Some((0, 12)));
        assert_eq!(len(&[], &[], 11), Some((11, 1)));
        assert_eq!(len(&[0, 4], &[usize::MAX, 1], 12), Some((12, 0)));
        // PyTorch's strides of a single neighbour are free.
        assert_eq!(len(&[1, 4], &[usize::MAX, 1], 8), Some((8, 4)));
        for (shape, strides, offset) in [
            (vec![3, 4], vec![4, 1], 1),
            (vec![2], vec![usize::MAX], 1),
            (vec![usize::MAX, 2], vec![0, 0], 0),
            (vec![1], vec![1], 12),
            (vec![1], vec![1], -1),
            (vec![0], vec![1], 13),
        ] {
            assert_eq!(len(&shape, &strides, offset), None, "{shape:?} {strides:?} {offset}");
        }
    }
}
