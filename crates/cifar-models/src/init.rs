//! First weights that are the same on every machine.

use candle_core::{DType, Device, Result, Tensor};
use cifar_kernels::random::{GOLDEN, split_mix64, unit};
use cifar_net::{Init, ParameterSpec};

/// The first value of a tensor: PyTorch's default distribution, drawn by our own generator.
///
/// The numbers are a function of `seed` and the tensor's name alone, so adding a layer or
/// changing the order leaves those of the others as they were. (candle's generator cannot be
/// seeded on the CPU.)
pub(crate) fn first_value(spec: &ParameterSpec, seed: u64, device: &Device) -> Result<Tensor> {
    let n_values = spec.n_values();
    let values: Vec<f32> = match spec.init {
        Init::Zeros => vec![0.0; n_values],
        Init::Ones => vec![1.0; n_values],
        Init::Uniform { bound } => uniform(spec, seed, bound),
        Init::Dirac { bound } => {
            let mut values = uniform(spec, seed, bound);
            dirac(&mut values, &spec.shape);
            values
        }
        Init::UnitStd { bound } => {
            let mut values = uniform(spec, seed, bound);
            divide_by_std(&mut values);
            values
        }
    };
    let tensor = Tensor::from_vec(values, spec.shape.as_slice(), &Device::Cpu)?;
    match spec.dtype {
        DType::F32 => tensor.to_device(device),
        other => tensor.to_dtype(other)?.to_device(device),
    }
}

fn uniform(spec: &ParameterSpec, seed: u64, bound: f64) -> Vec<f32> {
    let mut draws = Draws::new(seed, &spec.name);
    (0..spec.n_values()).map(|_| ((2.0 * draws.unit() - 1.0) * bound) as f32).collect()
}

/// Makes the first filters of a weight `(K, C, ..)`, one for each `c < C`, pass channel `c` on
/// unchanged: 1 in the middle of the window (right and below it where the side is even), else 0.
fn dirac(weight: &mut [f32], shape: &[usize]) {
    let (n_in, window) = (shape[1], &shape[2..]);
    let window_len: usize = window.iter().product();
    // `s / 2` on every axis, as `torch.nn.init.dirac_` has it.
    let middle = window.iter().fold(0, |at, side| at * side + side / 2);
    for (c, filter) in weight.chunks_exact_mut(n_in * window_len).take(n_in).enumerate() {
        filter.fill(0.0);
        filter[c * window_len + middle] = 1.0;
    }
}

/// Gives the sample standard deviation (`n - 1`, as PyTorch's `Tensor.std`) 1.
fn divide_by_std(values: &mut [f32]) {
    let n = values.len() as f64;
    let mean = values.iter().copied().map(f64::from).sum::<f64>() / n;
    let squares: f64 = values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum();
    let std = (squares / (n - 1.0)).sqrt();
    values.iter_mut().for_each(|v| *v = (f64::from(*v) / std) as f32);
}

/// A stream of SplitMix64.
struct Draws(u64);

impl Draws {
    /// A stream of its own for each seed and name: FNV-1a of the name, mixed with the seed.
    fn new(seed: u64, name: &str) -> Self {
        let fnv =
            |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let name_hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv);
        let mut start = Self(seed);
        Self(start.next() ^ name_hash)
    }

    fn next(&mut self) -> u64 {
        let drawn = split_mix64(self.0);
        self.0 = self.0.wrapping_add(GOLDEN);
        drawn
    }

    /// Uniform in `0..1`.
    fn unit(&mut self) -> f64 {
        unit(self.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(name: &str, seed: u64) -> Vec<f32> {
        let net = crate::build("small-resnet", 10).unwrap();
        let spec = net.parameters().into_iter().find(|s| s.name == name).unwrap();
        first_value(&spec, seed, &Device::Cpu).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn split_mix_gives_the_published_sequence() {
        // First outputs for state 1234567, as in the generator's reference implementation.
        let mut draws = Draws(1_234_567);
        let want =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!([draws.next(), draws.next(), draws.next()], want);
    }

    #[test]
    fn weights_fill_pytorchs_range_evenly() {
        let weights = values("layer3.1.conv.0.weight", 0);
        let bound = 1.0 / (256.0f32 * 9.0).sqrt();
        assert!(weights.iter().all(|w| w.abs() <= bound));
        let n = weights.len() as f32;
        let mean = weights.iter().sum::<f32>() / n;
        let variance = weights.iter().map(|w| w * w).sum::<f32>() / n;
        assert!(mean.abs() < 0.01 * bound, "{mean}");
        assert!((variance / (bound * bound / 3.0) - 1.0).abs() < 0.01, "{variance}");
    }

    /// From a Python program of the same definition: FNV-1a of the name, SplitMix64,
    /// `struct.pack("<f", (2 * (z >> 11) / 2**53 - 1) / fan_in**0.5)`.
    #[test]
    fn bits_are_the_same_on_every_machine() {
        let net = crate::build("simplenet", 10).unwrap();
        let bits = |spec: &ParameterSpec| -> Vec<u32> {
            let first = first_value(spec, 42, &Device::Cpu).unwrap().flatten_all().unwrap();
            first.to_vec1::<f32>().unwrap().into_iter().map(f32::to_bits).collect()
        };
        let specs = net.parameters();
        assert_eq!(bits(&specs[0])[..4], [0xbd48_0c00, 0xbddb_5262, 0x3dcf_552d, 0xbe27_e210]);
        let sum: u64 = specs.iter().flat_map(bits).map(u64::from).sum();
        assert_eq!(sum, 0x307e_025c_05ea);
    }

    #[test]
    fn norms_begin_as_the_identity() {
        assert_eq!(values("stem.1.weight", 0), [1.0; 64]);
        assert_eq!(values("stem.1.bias", 0), [0.0; 64]);
        assert_eq!(values("stem.1.running_mean", 0), [0.0; 64]);
        assert_eq!(values("stem.1.running_var", 0), [1.0; 64]);
    }

    #[test]
    fn the_first_filters_of_a_dirac_weight_pass_their_channel_on() {
        let mut weight = vec![7.0; 3 * 2 * 2 * 3];
        dirac(&mut weight, &[3, 2, 2, 3]);
        let identity = |c: usize| {
            let mut filter = [0.0; 12];
            filter[c * 6 + 4] = 1.0; // row 1, column 1 of 2x3
            filter
        };
        assert_eq!(weight[..12], identity(0));
        assert_eq!(weight[12..24], identity(1));
        assert_eq!(weight[24..], [7.0; 12]);
    }

    #[test]
    fn divided_values_have_a_standard_deviation_of_one() {
        let mut values = [1.0, 2.0, 3.0, 6.0]; // mean 3, sum of squares 14
        divide_by_std(&mut values);
        let std = (14.0f32 / 3.0).sqrt();
        assert_eq!(values, [1.0 / std, 2.0 / std, 3.0 / std, 6.0 / std]);
    }

    #[test]
    fn seed_and_name_decide() {
        assert_eq!(values("fc.weight", 3), values("fc.weight", 3));
        assert_ne!(values("fc.weight", 3), values("fc.weight", 4));
        assert_ne!(values("layer1.0.conv.0.weight", 3), values("layer1.1.conv.0.weight", 3));
    }
}
