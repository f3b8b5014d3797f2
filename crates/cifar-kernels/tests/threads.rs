//! The bits of a result do not depend on the number of threads.

use cifar_kernels::norm::{self, NormShape, Normalised};
use cifar_kernels::pool::{self, PoolShape};

const N: usize = 7;
const C: usize = 5;
const SIDE: usize = 13;

/// Values of no pattern in about −1..1.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(next).collect()
}

/// Every kernel that reduces or scatters, one after the other.
fn run_all() -> Vec<u32> {
    let x = noise(N * C * SIDE * SIDE, 1);
    let dy = noise(x.len(), 3);
    let shape = NormShape { channels: C, plane_len: SIDE * SIDE };
    let per_channel = || vec![0.0; C];
    let (mut mean, mut variance) = (per_channel(), per_channel());
    norm::statistics(&x, shape, &mut mean, &mut variance);
    let weight = noise(C, 2);
    let (mut dx, mut dweight, mut dbias) = (vec![0.0; x.len()], per_channel(), per_channel());
    let forward = Normalised { mean: &mean, inv_std: &variance, weight: &weight };
    norm::parameter_gradients(&x, &dy, shape, forward, &mut dweight, &mut dbias);
    norm::input_gradient(&x, &dy, shape, forward, (&dweight, &dbias), &mut dx);

    let pool = PoolShape { height: SIDE, width: SIDE, kernel: 3, stride: 2, padding: 1 };
    let mut y = vec![0.0; N * C * pool.out_len()];
    let (mut argmax, mut dpool) = (vec![0; y.len()], vec![0.0; x.len()]);
    pool::max_pool(&x, &pool, &mut y, &mut argmax);
    pool::max_pool_backward(&y, &argmax, &pool, &mut dpool);

    let results = [mean, variance, dx, dweight, dbias, y, dpool];
    results.iter().flatten().map(|v| v.to_bits()).collect()
}

#[test]
fn one_two_three_and_eight_threads_agree_bit_for_bit() {
    let with = |n_threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
        pool.unwrap().install(run_all)
    };
    let alone = with(1);
    for n_threads in [2, 3, 8] {
        assert!(with(n_threads) == alone, "{n_threads} threads");
    }
}
