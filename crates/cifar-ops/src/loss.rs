//! Loss functions.

use candle_core::{DType, Result, Tensor, bail};

use crate::{operand, portable};

/// Cross-entropy of softmax with smoothed labels, averaged over the batch (Szegedy et al. 2016,
/// arXiv:1512.00567, section 7; PyTorch's `CrossEntropyLoss`).
///
/// `logits`: `(N, K)` f32; `labels`: `(N)` u32 in `0..K`; `label_smoothing` in `[0, 1]`: the weight
/// of the uniform distribution in the target. Returns a scalar.
///
/// # Errors
/// Another dtype, rank or length, an empty batch, a label of `K` or more, or a smoothing outside
/// `[0, 1]`.
pub fn cross_entropy(logits: &Tensor, labels: &Tensor, label_smoothing: f64) -> Result<Tensor> {
    const OP: &str = "cross_entropy";
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
    portable::cross_entropy(logits, labels, label_smoothing)
}
