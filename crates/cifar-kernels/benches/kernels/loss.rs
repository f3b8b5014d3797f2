//! Cross-entropy of ten classes.

use cifar_kernels::loss::cross_entropy;
use criterion::{BenchmarkId, Criterion, Throughput};

use crate::noise;

const N_CLASSES: usize = 10;

pub(crate) fn bench_all(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cross-entropy");
    // The batches of SmallResNet and of AirNet.
    for n_images in [128, 2000] {
        let logits = noise(n_images * N_CLASSES);
        let labels: Vec<u32> = (0..n_images).map(|i| (i % N_CLASSES) as u32).collect();
        let mut dlogits = vec![0.0; logits.len()];
        group.throughput(Throughput::Elements(logits.len() as u64));
        group.bench_function(BenchmarkId::new("smoothed", n_images), |bencher| {
            bencher.iter(|| cross_entropy(&logits, &labels, 0.2, &mut dlogits));
        });
    }
    group.finish();
}
