//! Convolutions with weights packed beforehand.

use cifar_kernels::buffer::Buffer;
use cifar_kernels::conv::{
    Algorithm, Conv2d, Epilogue, Filters, Pass, WeightSums, forward, input_gradient,
    weight_gradient,
};
use cifar_kernels::element::{Element, bf16};
use criterion::{BenchmarkId, Criterion, Throughput};

use crate::shapes::{AIRNET, SMALL_RESNET};
use crate::{N_IMAGES, noise};

pub(crate) fn bench_all(criterion: &mut Criterion) {
    for (network, convs) in [("small-resnet", &SMALL_RESNET[..]), ("airnet", &AIRNET[..])] {
        for conv in convs {
            bench_precisions(criterion, network, conv, Algorithm::Direct);
            if conv.winograd_applies() {
                bench_precisions(criterion, network, conv, Algorithm::Winograd);
            }
        }
    }
}

fn bench_precisions(criterion: &mut Criterion, network: &str, conv: &Conv2d, algorithm: Algorithm) {
    bench::<f32>(criterion, network, conv, algorithm);
    bench::<bf16>(criterion, network, conv, algorithm);
}

/// Images and results begin at a cache line, as those of a network do.
struct Operands<E: Element> {
    x: Buffer,
    y: Buffer,
    dweight: Vec<f32>,
    /// For the forward pass, and for the input's gradient.
    filters: [Filters<E>; 2],
}

impl<E: Element> Operands<E> {
    fn new(conv: &Conv2d, algorithm: Algorithm) -> Self {
        let weight = noise(conv.weight_len());
        let filters = [Pass::Forward, Pass::InputGradient].map(|pass| {
            let mut filters = Filters::new(*conv, pass, algorithm);
            filters.pack(&weight);
            filters
        });
        let [x, y] = [conv.in_len(), conv.out_len()].map(|len| {
            let mut buffer = Buffer::zeros::<E>(N_IMAGES * len);
            buffer.as_mut_slice().copy_from_slice(&noise::<E>(N_IMAGES * len));
            buffer
        });
        Self { x, y, dweight: weight, filters }
    }
}

fn bench<E: Element>(
    criterion: &mut Criterion,
    network: &str,
    conv: &Conv2d,
    algorithm: Algorithm,
) {
    let Conv2d { in_channels, out_channels, height, kernel_height, stride, .. } = conv;
    let shape = format!(
        "{network} {in_channels}-{out_channels} side {height} window {kernel_height} stride {stride}"
    );
    let id = |pass: &str| {
        let algorithm = format!("{algorithm:?}").to_lowercase();
        BenchmarkId::new(format!("{pass} {} {algorithm}", E::NAME), &shape)
    };
    // Made by the first that runs, so that what is filtered out costs nothing.
    let mut operands = None;
    let mut made = || Operands::<E>::new(conv, algorithm);
    let mut group = criterion.benchmark_group("convolution");
    group.throughput(Throughput::Elements(2 * N_IMAGES as u64 * conv.multiply_adds()));
    group.bench_function(id("forward"), |bencher| {
        let Operands { x, y, filters, .. } = operands.get_or_insert_with(&mut made);
        let (x, y): (&[E], _) = (x.as_slice(), y.as_mut_slice());
        bencher.iter(|| forward(&filters[0], x, Epilogue::default(), y));
    });
    group.bench_function(id("input gradient"), |bencher| {
        let Operands { x, y, filters, .. } = operands.get_or_insert_with(&mut made);
        let (x, y): (_, &[E]) = (x.as_mut_slice(), y.as_slice());
        bencher.iter(|| input_gradient(&filters[1], y, false, x));
    });
    group.bench_function(id("weight gradient"), |bencher| {
        let Operands { x, y, dweight, .. } = operands.get_or_insert_with(&mut made);
        let (x, y): (&[E], &[E]) = (x.as_slice(), y.as_slice());
        let sums = WeightSums::new(*conv, algorithm);
        bencher.iter(|| weight_gradient(&sums, x, y, dweight));
    });
    group.finish();
}
