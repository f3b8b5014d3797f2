//! One picture after the other, from bytes to normalised values.

use cifar_kernels::augment::{Border, CropFlip, ImageSize, crop_flip_normalise, cutout, normalise};
use cifar_kernels::element::{Element, bf16};
use criterion::{BenchmarkId, Criterion, Throughput};

use crate::N_IMAGES;

const SIZE: ImageSize = ImageSize { channels: 3, height: 32, width: 32 };
const MEAN: [f32; 3] = [0.4914, 0.4822, 0.4465];
const STD: [f32; 3] = [0.2470, 0.2435, 0.2616];

pub(crate) fn bench_all(criterion: &mut Criterion) {
    bench::<f32>(criterion);
    bench::<bf16>(criterion);
}

fn bench<E: Element>(criterion: &mut Criterion) {
    let pictures: Vec<u8> = (0..N_IMAGES * SIZE.len()).map(|i| (i * 31 % 251) as u8).collect();
    let mut images = vec![E::default(); pictures.len()];
    let mut group = criterion.benchmark_group("augmentation");
    group.throughput(Throughput::Elements(pictures.len() as u64));
    group.bench_function(BenchmarkId::new("normalise", E::NAME), |bencher| {
        bencher.iter(|| normalise(&pictures, SIZE.plane_len(), &MEAN, &STD, &mut images));
    });
    for (name, border) in [("zeros", Border::Zero), ("reflect", Border::Reflect)] {
        let id = BenchmarkId::new(format!("crop, flip, normalise, {name}"), E::NAME);
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let pairs =
                    pictures.chunks_exact(SIZE.len()).zip(images.chunks_exact_mut(SIZE.len()));
                for (at, (from, to)) in pairs.enumerate() {
                    // Every move of up to four pixels, mirrored or not, in turn.
                    let by = |at: usize| (at % 9) as i32 - 4;
                    let flip = at % 2 == 1;
                    let window = CropFlip { dy: by(at / 9), dx: by(at), flip, border };
                    crop_flip_normalise(from, SIZE, window, &MEAN, &STD, to);
                }
            });
        });
    }
    group.bench_function(BenchmarkId::new("cutout", E::NAME), |bencher| {
        bencher.iter(|| {
            for (at, image) in images.chunks_exact_mut(SIZE.len()).enumerate() {
                cutout(image, SIZE, (at % 32) as i32, (at / 4) as i32, 12);
            }
        });
    });
    group.finish();
}
