//! Speed of the convolutions of a small ResNet, pass by pass and algorithm by algorithm.
//!
//!     cargo run --release -p cifar-kernels --example conv_speed
//!
//! Each figure is the median of several runs, in GFLOP/s of the direct method's arithmetic and as
//! a share of what the machine can do, above which Winograd's algorithm may lie.

#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::time::{Duration, Instant};

use cifar_kernels::conv::{self, Algorithm, Conv2d, Epilogue, Filters, Pass};
use cifar_kernels::element::{Element, bf16};
use cifar_kernels::isa::Isa;
use cifar_kernels::peak;

/// Images of a batch.
const BATCH: usize = 128;

fn main() {
    println!("{}, {} threads, batch {BATCH}", Isa::current(), rayon::current_num_threads());
    let limits = [peak::operations_per_second::<f32>, peak::operations_per_second::<bf16>]
        .map(|measure| measure(Duration::from_secs(1)) / 1e9);
    println!("the machine's limit: {:.0} GFLOP/s in f32, {:.0} in bf16", limits[0], limits[1]);
    println!(
        "{:<20}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "", "", "f32", "", "", "bf16", "", ""
    );
    println!(
        "{:<20}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}",
        "layer", "algorithm", "forward", "d input", "d weight", "forward", "d input", "d weight"
    );
    for (name, conv) in [
        ("3->64, 32x32", layer(3, 64, 32, 3, 1)),
        ("64->64, 32x32", layer(64, 64, 32, 3, 1)),
        ("64->128, 32x32 /2", layer(64, 128, 32, 3, 2)),
        ("64->128, 1x1 /2", layer(64, 128, 32, 1, 2)),
        ("128->128, 16x16", layer(128, 128, 16, 3, 1)),
        ("128->256, 16x16 /2", layer(128, 256, 16, 3, 2)),
        ("128->256, 1x1 /2", layer(128, 256, 16, 1, 2)),
        ("256->256, 8x8", layer(256, 256, 8, 3, 1)),
        ("3->16, 32x32", layer(3, 16, 32, 3, 1)),
        ("16->32, 16x16", layer(16, 32, 16, 3, 1)),
    ] {
        for algorithm in [Algorithm::Direct, Algorithm::Winograd] {
            if algorithm == Algorithm::Direct || conv.algorithm() == algorithm {
                print!("{name:<20}{:>10}", format!("{algorithm:?}"));
                let speeds = [speeds::<f32>(conv, algorithm), speeds::<bf16>(conv, algorithm)];
                for (speeds, limit) in speeds.iter().zip(limits) {
                    for speed in speeds {
                        print!("{speed:>5.0} {:>3.0}%", 100.0 * speed / limit);
                    }
                }
                println!();
            }
        }
    }
}

fn layer(c: usize, k: usize, side: usize, kernel: usize, stride: usize) -> Conv2d {
    Conv2d {
        in_channels: c,
        out_channels: k,
        height: side,
        width: side,
        kernel_height: kernel,
        kernel_width: kernel,
        stride,
        padding: kernel / 2,
    }
}

fn speeds<E: Element>(conv: Conv2d, algorithm: Algorithm) -> [f64; 3] {
    let x = vec![E::from_f32(0.5); BATCH * conv.in_len()];
    let dy = vec![E::from_f32(0.25); BATCH * conv.out_len()];
    let weight = vec![0.125; conv.weight_len()];
    let (mut y, mut dx, mut dweight) = (dy.clone(), x.clone(), weight.clone());
    let mut there = Filters::new(conv, Pass::Forward, algorithm);
    let mut back = Filters::new(conv, Pass::InputGradient, algorithm);
    let flop = 2.0 * BATCH as f64 * conv.multiply_adds() as f64;
    [
        median(|| {
            there.pack(&weight);
            conv::forward(&there, &x, Epilogue::default(), &mut y);
        }),
        median(|| {
            back.pack(&weight);
            conv::input_gradient(&back, &dy, false, &mut dx);
        }),
        median(|| conv::weight_gradient(&conv, algorithm, &x, &dy, &mut dweight)),
    ]
    .map(|time| flop / time.as_secs_f64() / 1e9)
}

fn median(mut f: impl FnMut()) -> Duration {
    f();
    let mut times: Vec<Duration> = (0..7)
        .map(|_| {
            let start = Instant::now();
            f();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
