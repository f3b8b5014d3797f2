//! The update of all weights of a network.

use cifar_kernels::optimizer::{AdamWStep, MuonStep, SgdStep, adamw, muon, sgd, sum_of_squares};
use criterion::{BenchmarkId, Criterion, Throughput};

use crate::noise;
use crate::shapes::{N_WEIGHTS, OF_AIRNET_CONVOLUTIONS};

const SGD: SgdStep = SgdStep {
    gradient_scale: 1.0,
    learning_rate: 1e-6,
    momentum: 0.85,
    nesterov: true,
    weight_decay: 1e-4,
};

const ADAMW: AdamWStep = AdamWStep {
    gradient_scale: 1.0,
    beta1: 0.9,
    beta2: 0.999,
    step_size: 1e-6,
    second_correction: 1.0,
    eps: 1e-8,
    decay: 1.0 - 1e-10,
};

const MUON: MuonStep = MuonStep {
    gradient_scale: 1.0,
    learning_rate: 1e-6,
    momentum: 0.6,
    nesterov: true,
    newton_schulz_steps: 3,
    normalize_weights: true,
};

pub(crate) fn bench_all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("optimiser");
    for n in N_WEIGHTS {
        let (gradients, mut weights) = (noise(n), noise(n));
        let (mut first, mut second) = (vec![0.0; n], vec![0.0; n]);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("sum of squares", n), |bencher| {
            bencher.iter(|| sum_of_squares(&gradients));
        });
        group.bench_function(BenchmarkId::new("sgd", n), |bencher| {
            bencher.iter(|| sgd(&mut weights, &gradients, Some(&mut first), &SGD));
        });
        group.bench_function(BenchmarkId::new("adamw", n), |bencher| {
            bencher.iter(|| adamw(&mut weights, &gradients, &mut first, &mut second, &ADAMW));
        });
    }
    for (rows, columns) in OF_AIRNET_CONVOLUTIONS {
        let n = rows * columns;
        let (gradients, mut weights, mut buffer) = (noise(n), noise(n), vec![0.0; n]);
        group.throughput(Throughput::Elements(n as u64));
        group.bench_function(BenchmarkId::new("muon", format!("{rows}x{columns}")), |bencher| {
            bencher.iter(|| muon(&mut weights, &gradients, &mut buffer, (rows, columns), &MUON));
        });
    }
    group.finish();
}
