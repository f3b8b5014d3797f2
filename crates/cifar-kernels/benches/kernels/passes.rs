//! The passes between convolutions: batch normalisation with ReLU, and pooling.

use cifar_kernels::activation::Activation;
use cifar_kernels::channels_last::batch_norm::{self, Affine};
use cifar_kernels::channels_last::pool::{max_pool, max_pool_backward};
use cifar_kernels::element::{Element, bf16};
use cifar_kernels::pool::PoolShape;
use criterion::{BenchmarkId, Criterion, Throughput};

use crate::shapes::{NORMALISED, POOLED};
use crate::{N_IMAGES, noise};

pub(crate) fn bench_all(criterion: &mut Criterion) {
    for (channels, side) in NORMALISED {
        bench_batch_norm::<f32>(criterion, channels, side);
        bench_batch_norm::<bf16>(criterion, channels, side);
    }
    for (channels, side, window) in POOLED {
        bench_max_pool::<f32>(criterion, channels, side, window);
        bench_max_pool::<bf16>(criterion, channels, side, window);
    }
}

fn bench_batch_norm<E: Element>(criterion: &mut Criterion, channels: usize, side: usize) {
    let len = N_IMAGES * side * side * channels;
    let (x, mut y) = (noise::<E>(len), noise::<E>(len));
    let (mut mean, mut variance) = (vec![0.0; channels], vec![1.0; channels]);
    let scale = vec![1.0; channels];
    let (mut dweight, mut dbias) = (vec![0.0; channels], vec![0.0; channels]);
    let id = |pass: &str| {
        let shape = format!("{channels} channels side {side}");
        BenchmarkId::new(format!("{pass} {}", E::NAME), shape)
    };
    let mut group = criterion.benchmark_group("batch norm");
    group.throughput(Throughput::Elements(len as u64));
    group.bench_function(id("statistics"), |bencher| {
        bencher.iter(|| batch_norm::statistics(&x, &mut mean, &mut variance));
    });
    let relu = Some(Activation::Relu);
    let affine = Affine { mean: &mean, scale: &scale, bias: &scale };
    group.bench_function(id("apply"), |bencher| {
        bencher.iter(|| batch_norm::apply(&x, affine, None, relu, &mut y));
    });
    group.bench_function(id("parameter gradients"), |bencher| {
        bencher.iter(|| {
            let sums = (&mut dweight, &mut dbias);
            batch_norm::parameter_gradients(&x, &y, affine, &scale, relu, sums.0, sums.1);
        });
    });
    group.bench_function(id("input gradient"), |bencher| {
        bencher.iter(|| {
            batch_norm::input_gradient(&x, None, affine, &scale, relu, &dweight, &dbias, &mut y);
        });
    });
    group.finish();
}

fn bench_max_pool<E: Element>(
    criterion: &mut Criterion,
    channels: usize,
    side: usize,
    window: usize,
) {
    let shape = PoolShape { height: side, width: side, kernel: window, stride: window, padding: 0 };
    let len = N_IMAGES * side * side * channels;
    let (x, mut dx) = (noise::<E>(len), noise::<E>(len));
    let mut y = noise::<E>(N_IMAGES * shape.out_len() * channels);
    let mut argmax = vec![0; y.len()];
    let id = |pass: &str| {
        let shape = format!("{channels} channels side {side} window {window}");
        BenchmarkId::new(format!("{pass} {}", E::NAME), shape)
    };
    let mut group = criterion.benchmark_group("max pool");
    group.throughput(Throughput::Elements(len as u64));
    group.bench_function(id("forward"), |bencher| {
        bencher.iter(|| max_pool(&x, &shape, channels, false, &mut y, &mut argmax));
    });
    group.bench_function(id("backward"), |bencher| {
        bencher.iter(|| max_pool_backward(&y, &argmax, &shape, channels, &mut dx));
    });
    group.finish();
}
