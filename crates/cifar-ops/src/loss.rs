//! Loss functions.

use std::sync::OnceLock;

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, bail};
use cifar_kernels::loss;

use crate::{operand, portable};

const OP: &str = "cross_entropy";

/// Cross-entropy of softmax with smoothed labels, averaged over the batch (Szegedy et al. 2016,
/// arXiv:1512.00567, section 7; PyTorch's `CrossEntropyLoss`).
///
/// `logits`: `(N, K)`; `labels`: `(N)` u32 in `0..K`; `label_smoothing` in `[0, 1]`: the weight
/// of the uniform distribution in the target. Returns a scalar of the logits' dtype.
///
/// # Errors
/// Another dtype, rank or length, an empty batch, a label of `K` or more, or a smoothing outside
/// `[0, 1]`.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    let [n, k] = operand::of_rank(OP, "the logits", logits)?;
    if labels.dtype() != DType::U32 {
        bail!("{OP}: the labels are {:?}, expected U32", labels.dtype());
    }
    if labels.dims() != [n] {
        bail!("{OP}: labels of shape {:?} for {n} rows of logits", labels.dims());
    }
    if !(0.0..=1.0).contains(&label_smoothing) {
        bail!("{OP}: a label smoothing of {label_smoothing}, expected 0 to 1");
    }
    let classes = labels.to_vec1::<u32>()?;
    if let Some((row, label)) = classes.iter().enumerate().find(|&(_, &l)| l as usize >= k) {
        bail!("{OP}: label {label} in row {row}, expected less than {k} classes");
    }
    if !logits.device().is_cpu() {
        return portable::cross_entropy(logits, labels, label_smoothing);
    }
    let smoothing = label_smoothing;
    logits.contiguous()?.apply_op1(CrossEntropy { classes, smoothing, gradient: OnceLock::new() })
}

struct CrossEntropy {
    classes: Vec<u32>,
    smoothing: f64,
    /// Of the mean loss by each logit, `(N, K)`; the forward pass has all it takes to find it.
    gradient: OnceLock<Vec<f32>>,
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let logits = operand::values(OP, storage, layout)?;
        let mut gradient = vec![0.0; logits.len()];
        let loss = loss::cross_entropy(&logits, &self.classes, self.smoothing, &mut gradient);
        // The operation is applied once; were it applied again, to equal logits or not, the first
        // gradient would stay.
        self.gradient.get_or_init(|| gradient);
        Ok((operand::storage(vec![loss as f32], storage), Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _loss: &Tensor, dloss: &Tensor) -> Result<Option<Tensor>> {
        let Some(gradient) = self.gradient.get() else {
            bail!("{OP}: a backward pass without a forward pass");
        };
        let factor = dloss.to_dtype(DType::F32)?.to_scalar::<f32>()?;
        let dlogits = gradient.iter().map(|&gradient| gradient * factor).collect::<Vec<_>>();
        operand::gradient(dlogits, logits).map(Some)
    }
}
