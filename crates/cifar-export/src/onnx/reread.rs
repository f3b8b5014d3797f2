//! An ONNX file run by rten.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use prost::Message;
use rten::{
    Model as Runtime, ModelOptions, RunOptions, ThreadPool, Value, ValueOrView, op_registry,
};
use rten_tensor::Tensor as RtenTensor;
use rten_tensor::prelude::*;

use super::proto::Model;
use super::structure::{Interface, check};
use super::{damaged, scan};
use crate::{ExportError, Reread};

/// Values that the results for the images run at once have together: 256 MB of f32.
const VALUES_AT_ONCE: usize = 1 << 26;

/// A model of [`write`](super::write) as something that can be run.
///
/// # Errors
/// [`ExportError::Damaged`] for any other bytes.
pub(crate) fn reread(bytes: &[u8]) -> Result<Box<dyn Reread>, ExportError> {
    scan::scan(bytes)?;
    let model = Model::decode(bytes).map_err(|error| damaged(error.to_string()))?;
    let interface = check(&model)?;
    let operators = op_registry!(
        Add,
        AveragePool,
        BatchNormalization,
        Cast,
        Conv,
        Div,
        Erf,
        Flatten,
        Gemm,
        GlobalAveragePool,
        LeakyRelu,
        MaxPool,
        Mul,
        Relu,
        Sigmoid,
        Transpose
    );
    // The checked messages rather than the bytes, which another decoder could understand otherwise.
    let runtime = ModelOptions::with_ops(operators).load(model.encode_to_vec());
    let runtime = runtime.map_err(|error| damaged(error.to_string()))?;
    let threads = Arc::new(ThreadPool::with_num_threads(rayon::current_num_threads()));
    Ok(Box::new(OnnxModel { runtime, interface, threads }))
}

struct OnnxModel {
    runtime: Runtime,
    interface: Interface,
    threads: Arc<ThreadPool>,
}

impl OnnxModel {
    /// The logits of a few images, row by row.
    fn run(&self, images: &Tensor) -> Result<Vec<f32>, ExportError> {
        let (dims, flat) = (images.dims(), images.flatten_all()?);
        let images: ValueOrView = if self.interface.takes_bytes {
            Value::from(RtenTensor::from_data(dims, flat.to_vec1::<u8>()?)).into()
        } else {
            Value::from(RtenTensor::from_data(dims, flat.to_vec1::<f32>()?)).into()
        };
        let options = RunOptions::default().with_thread_pool(Some(self.threads.clone()));
        let failed = |error: &dyn std::fmt::Display| damaged(format!("rten: {error}"));
        let logits = self.runtime.run_one(images, Some(options)).map_err(|error| failed(&error))?;
        let logits: RtenTensor<f32> = logits.try_into().map_err(|error| failed(&error))?;
        Ok(logits.to_vec())
    }
}

impl Reread for OnnxModel {
    fn logits(&self, images: &Tensor) -> Result<Tensor, ExportError> {
        let Interface { input, takes_bytes, n_classes, .. } = &self.interface;
        let dtype = if *takes_bytes { DType::U8 } else { DType::F32 };
        let n_images = images.dims().first().copied().unwrap_or(0);
        if images.dims().get(1..) != Some(input) || images.dtype() != dtype {
            let got = images.shape();
            return Err(candle_core::Error::msg(format!(
                "the file takes images of {input:?} as {dtype:?}, and got {got:?} of {:?}",
                images.dtype()
            ))
            .into());
        }
        let at_once = images_at_once(&self.interface);
        let mut logits = Vec::with_capacity(n_images * n_classes);
        for start in (0..n_images).step_by(at_once) {
            let len = at_once.min(n_images - start);
            logits.extend(self.run(&images.narrow(0, start, len)?)?);
        }
        Ok(Tensor::from_vec(logits, (n_images, *n_classes), &Device::Cpu)?)
    }
}

pub(super) fn images_at_once(interface: &Interface) -> usize {
    (VALUES_AT_ONCE / interface.n_values.max(1)).max(1)
}
