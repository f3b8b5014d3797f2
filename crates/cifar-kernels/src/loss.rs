//! Softmax cross-entropy with smoothed labels.

/// Mean loss of a batch, and its gradient.
///
/// `logits`: `(N, K)`; `labels`: `(N)` in `0..K`; `smoothing`, in `[0, 1]`: the weight ε of the
/// uniform distribution in the target `(1 − ε)·onehot + ε/K` (Szegedy et al. 2016,
/// arXiv:1512.00567, section 7). Returns the mean over the batch of `−Σ target·log softmax` and
/// writes its derivative by each logit to `dlogits`, `(N, K)`. Both are computed in f64.
///
/// # Panics
/// If the lengths do not fit, the batch is empty, or a label is not below `K`.
pub fn cross_entropy(logits: &[f32], labels: &[u32], smoothing: f64, dlogits: &mut [f32]) -> f64 {
    assert_eq!(logits.len(), dlogits.len(), "cross_entropy: lengths differ");
    let n = labels.len();
    assert!(n > 0 && logits.len().is_multiple_of(n), "cross_entropy: not one row per label");
    let k = logits.len() / n;
    let mut sum = 0.0;
    let rows = logits.chunks_exact(k).zip(dlogits.chunks_exact_mut(k));
    for ((logits, dlogits), &label) in rows.zip(labels) {
        let label = label as usize;
        assert!(label < k, "cross_entropy: label {label} of {k} classes");
        // The largest logit is taken off first, so that no exponential overflows.
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let above = |z: f32| f64::from(z) - f64::from(max);
        let total: f64 = logits.iter().map(|&z| above(z).exp()).sum();
        let log_total = total.ln();
        let mut mean_log_p = 0.0;
        for (class, (&z, dz)) in logits.iter().zip(dlogits).enumerate() {
            let p = above(z).exp() / total;
            let target = smoothing / k as f64 + if class == label { 1.0 - smoothing } else { 0.0 };
            *dz = ((p - target) / n as f64) as f32;
            mean_log_p += (above(z) - log_total) / k as f64;
        }
        sum -= (1.0 - smoothing) * (above(logits[label]) - log_total);
        if smoothing > 0.0 {
            // Left out at 0, where a class of probability 0 would make it 0 · ∞.
            sum -= smoothing * mean_log_p;
        }
    }
    sum / n as f64
}

#[cfg(test)]
mod tests;
