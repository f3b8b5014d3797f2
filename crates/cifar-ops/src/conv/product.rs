//! Matrix products through candle's.
//!
//! candle shares the tiles of the output among threads and takes every sum along the inner
//! dimension in one order, block by block; no sum is ever split between threads. So the bits do
//! not depend on the number of threads. (The block length follows the sizes of the caches.)

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Layout, Result, Shape, bail};

/// A matrix in a storage, row-major or the transpose of one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    storage: &'a CpuStorage,
    offset: usize,
    dims: [usize; 2],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// `rows × cols` values from `offset` on, row-major.
    pub(super) fn new(storage: &'a CpuStorage, offset: usize, rows: usize, cols: usize) -> Self {
        Self { storage, offset, dims: [rows, cols], strides: [cols, 1] }
    }

    pub(super) fn transposed(self) -> Self {
        let ([rows, cols], [down, right]) = (self.dims, self.strides);
        Self { dims: [cols, rows], strides: [right, down], ..self }
    }

    pub(super) fn rows(&self) -> usize {
        self.dims[0]
    }

    fn layout(&self) -> Layout {
        Layout::new(Shape::from(&self.dims[..]), self.strides.to_vec(), self.offset)
    }
}

/// `a · b`, row-major.
pub(super) fn product(a: Matrix<'_>, b: Matrix<'_>) -> Result<Vec<f32>> {
    let ([m, k], [_, n]) = (a.dims, b.dims);
    values(a.storage.matmul(b.storage, (1, m, n, k), &a.layout(), &b.layout())?)
}

/// `a · x` for each image of a batch: `a`: `(K, C)`; `x`: contiguous, `(N, C, len)` when its last
/// dimensions are flattened. Returns `(N, K, len)`.
pub(super) fn of_images(
    a: Matrix<'_>,
    x: &CpuStorage,
    x_layout: &Layout,
    len: usize,
) -> Result<Vec<f32>> {
    let [rows, cols] = a.dims;
    let n_images = x_layout.shape().elem_count() / (cols * len);
    let [down, right] = a.strides;
    let a_layout = Layout::new((n_images, rows, cols).into(), vec![0, down, right], a.offset);
    let x_layout = Layout::contiguous_with_offset((n_images, cols, len), x_layout.start_offset());
    values(a.storage.matmul(x, (n_images, rows, len, cols), &a_layout, &x_layout)?)
}

fn values(storage: CpuStorage) -> Result<Vec<f32>> {
    match storage {
        CpuStorage::F32(values) => Ok(values),
        _ => bail!("conv2d: the matrix product is not f32"),
    }
}

/// Values that a matrix product reads and that are written over and over.
pub(super) struct Scratch(CpuStorage);

impl Scratch {
    pub(super) fn new(len: usize) -> Self {
        Self(CpuStorage::F32(vec![0.0; len]))
    }

    /// The first `len` values, to write.
    pub(super) fn first(&mut self, len: usize) -> Result<&mut [f32]> {
        match &mut self.0 {
            CpuStorage::F32(values) => Ok(&mut values[..len]),
            _ => bail!("conv2d: the scratch is not f32"),
        }
    }

    /// The first `rows × cols` values as a matrix.
    pub(super) fn matrix(&self, rows: usize, cols: usize) -> Matrix<'_> {
        Matrix::new(&self.0, 0, rows, cols)
    }
}
