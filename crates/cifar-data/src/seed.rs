//! Randomness with identity: every draw follows from what it is for.

use cifar_kernels::random::{GOLDEN, split_mix64};
use rand::RngCore;

/// Seed for augmenting one sample: a function of what it is, never of thread or batch order.
pub fn sample_seed(run_seed: u64, epoch: u32, sample_idx: u32) -> u64 {
    split_mix64(run_seed ^ split_mix64((u64::from(epoch) << 32) | u64::from(sample_idx)))
}

/// The order in which `epoch` visits `indices`: a permutation that follows from the run's seed
/// and the epoch.
pub fn epoch_order(run_seed: u64, epoch: u32, indices: &[u32]) -> Vec<u32> {
    let mut order = indices.to_vec();
    DrawStream::new(run_seed, Purpose::EpochOrder, u64::from(epoch)).shuffle(&mut order);
    order
}

/// What a stream of draws is for; keeps streams of equal numbers apart.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose {
    EpochOrder = 1,
    ValidationSplit = 2,
    Mix = 3,
}

/// A stream of random numbers: SplitMix64, the same on every machine.
#[derive(Debug, Clone)]
pub(crate) struct DrawStream {
    state: u64,
}

impl DrawStream {
    /// The stream number `index` for `purpose` in a run.
    pub(crate) fn new(run_seed: u64, purpose: Purpose, index: u64) -> Self {
        let stream = split_mix64(split_mix64(purpose as u64) ^ index);
        Self::from_seed(split_mix64(run_seed ^ stream))
    }

    /// The stream of a seed that already has its identity, such as [`sample_seed`].
    pub(crate) fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    fn draw(&mut self) -> u64 {
        let drawn = split_mix64(self.state);
        self.state = self.state.wrapping_add(GOLDEN);
        drawn
    }

    /// A number in `0..n`; off from uniform by less than `n / 2^64`.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.draw()) * n as u128) >> 64) as usize
    }

    /// Fisher–Yates: every order is equally likely.
    pub(crate) fn shuffle(&mut self, values: &mut [u32]) {
        for end in (1..values.len()).rev() {
            values.swap(end, self.below(end + 1));
        }
    }
}

/// For the distributions of `rand_distr`.
impl RngCore for DrawStream {
    fn next_u32(&mut self) -> u32 {
        (self.draw() >> 32) as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.draw()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&self.draw().to_le_bytes()[..part.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first numbers of the reference implementation (Vigna, `splitmix64.c`) from state
    /// 1234567.
    #[test]
    fn numbers_equal_the_reference() {
        let mut stream = DrawStream::from_seed(1_234_567);
        let got = [(); 3].map(|()| stream.draw());
        let want =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(got, want);
    }

    #[test]
    fn draws_below_n_are_uniform() {
        let mut stream = DrawStream::from_seed(7);
        let mut counts = [0u32; 9];
        for _ in 0..90_000 {
            counts[stream.below(9)] += 1;
        }
        // 10,000 expected, standard deviation 94.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 500), "{counts:?}");
    }

    #[test]
    fn epochs_and_seeds_give_different_orders() {
        let indices: Vec<u32> = (0..100).collect();
        let orders = [(0, 0), (0, 1), (1, 0)].map(|(s, e)| epoch_order(s, e, &indices));
        assert_ne!(orders[0], orders[1]);
        assert_ne!(orders[0], orders[2]);
        assert_eq!(orders[0], epoch_order(0, 0, &indices));
    }

    #[test]
    fn every_place_is_reached_from_every_place() {
        // A shuffle that never leaves an element in place (Sattolo) or never moves the last one
        // would fail here.
        let indices: Vec<u32> = (0..3).collect();
        let mut seen = std::collections::BTreeSet::new();
        for epoch in 0..200 {
            seen.insert(epoch_order(0, epoch, &indices));
        }
        assert_eq!(seen.len(), 6);
    }

    proptest! {
        #[test]
        fn the_order_is_a_permutation(
            seed: u64,
            epoch: u32,
            indices in proptest::collection::vec(0u32..1000, 0..200),
        ) {
            let mut order = epoch_order(seed, epoch, &indices);
            let mut sorted = indices.clone();
            order.sort_unstable();
            sorted.sort_unstable();
            prop_assert_eq!(order, sorted);
        }

        #[test]
        fn neighbouring_samples_have_unrelated_seeds(run in 0u64..1000, epoch in 0u32..1000) {
            let seeds = [
                sample_seed(run, epoch, 0),
                sample_seed(run, epoch, 1),
                sample_seed(run, epoch + 1, 0),
                sample_seed(run + 1, epoch, 0),
            ];
            for (i, a) in seeds.iter().enumerate() {
                for b in &seeds[i + 1..] {
                    // 32 bits differ on average, standard deviation 4.
                    prop_assert!((a ^ b).count_ones() > 4, "{seeds:x?}");
                }
            }
        }
    }
}
