//! How hard each training image is to learn.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

const SUM: &str = "loss_sum";
const COUNT: &str = "count";

/// For each training image the mean of its loss over the epochs.
///
/// The loss is the cross-entropy of the image's label, in nats and without label smoothing, of the
/// augmented image in training mode, just before the step that learns from it. A network learns
/// what many images agree on before it learns single ones by heart, so an image whose label
/// contradicts the others keeps a high loss over many epochs, whatever it is in the end. Images have
/// been ranked by their course of training before, by the margin of their logits (Pleiss et al.
/// 2020, arXiv:2001.10528) and by how often they were forgotten (Toneva et al. 2019,
/// arXiv:1812.05159); the mean loss is the plainest of these.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExampleLosses {
    /// Of each image of the data set, in its order; 0 for those that were never trained on.
    sums: Vec<f32>,
    counts: Vec<u32>,
}

/// A training image and its mean loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HardExample {
    /// Index into the training set.
    pub index: u32,
    /// In nats.
    pub mean_loss: f64,
    /// Epochs in which it was trained on.
    pub n_epochs: u32,
}

impl ExampleLosses {
    /// Adds a batch: the loss of each of the images `indices`.
    pub(crate) fn add(&mut self, indices: &[u32], losses: &[f32]) {
        let n_known = indices.iter().max().map_or(0, |&most| most as usize + 1);
        if n_known > self.sums.len() {
            self.sums.resize(n_known, 0.0);
            self.counts.resize(n_known, 0);
        }
        for (&index, loss) in indices.iter().zip(losses) {
            self.sums[index as usize] += loss;
            self.counts[index as usize] += 1;
        }
    }

    /// Whether no image was trained on.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// The `n` images with the highest mean loss, the highest first.
    pub fn hardest(&self, n: usize) -> Vec<HardExample> {
        let trained = (0..).zip(self.sums.iter().zip(&self.counts)).filter(|(_, (_, c))| **c > 0);
        let mut examples: Vec<HardExample> = trained
            .map(|(index, (&sum, &n_epochs))| {
                let mean_loss = f64::from(sum) / f64::from(n_epochs);
                HardExample { index, mean_loss, n_epochs }
            })
            .collect();
        examples.sort_by(|a, b| b.mean_loss.total_cmp(&a.mean_loss)); // stable
        examples.truncate(n);
        examples
    }

    pub(crate) fn tensors(&self) -> candle_core::Result<BTreeMap<String, Tensor>> {
        let sums = Tensor::from_slice(&self.sums, self.sums.len(), &Device::Cpu)?;
        let counts = Tensor::from_slice(&self.counts, self.counts.len(), &Device::Cpu)?;
        Ok(BTreeMap::from([(SUM.to_owned(), sums), (COUNT.to_owned(), counts)]))
    }

    /// What [`tensors`](Self::tensors) gave, or what is wrong with it.
    pub(crate) fn from_tensors(tensors: &BTreeMap<String, Tensor>) -> Result<Self, String> {
        let named = |name: &str| tensors.get(name).ok_or_else(|| format!("no `{name}` in it"));
        let sums = named(SUM)?.to_vec1::<f32>().map_err(|e| format!("`{SUM}`: {e}"))?;
        let counts = named(COUNT)?.to_vec1::<u32>().map_err(|e| format!("`{COUNT}`: {e}"))?;
        if sums.len() != counts.len() {
            return Err(format!("{} sums of losses, {} counts", sums.len(), counts.len()));
        }
        Ok(Self { sums, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_mean_comes_first_and_images_never_seen_do_not_come() {
        let mut losses = ExampleLosses::default();
        assert!(losses.is_empty() && losses.hardest(3).is_empty());
        losses.add(&[4, 1], &[0.5, 2.0]);
        losses.add(&[1, 0], &[1.0, 1.75]);
        let example = |index, mean_loss, n_epochs| HardExample { index, mean_loss, n_epochs };
        let all = [example(0, 1.75, 1), example(1, 1.5, 2), example(4, 0.5, 1)];
        assert_eq!(losses.hardest(9), all);
        assert_eq!(losses.hardest(1), all[..1]);
    }

    #[test]
    fn tensors_give_it_back_and_damage_is_said() {
        let mut losses = ExampleLosses::default();
        losses.add(&[2, 0], &[0.1, 0.3]);
        let mut tensors = losses.tensors().unwrap();
        assert_eq!(ExampleLosses::from_tensors(&tensors).unwrap(), losses);
        tensors.insert(COUNT.to_owned(), Tensor::from_slice(&[1u32], 1, &Device::Cpu).unwrap());
        let reason = ExampleLosses::from_tensors(&tensors).unwrap_err();
        assert_eq!(reason, "3 sums of losses, 1 counts");
        tensors.remove(SUM);
        assert_eq!(ExampleLosses::from_tensors(&tensors).unwrap_err(), "no `loss_sum` in it");
    }
}
