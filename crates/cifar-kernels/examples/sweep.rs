use cifar_kernels::conv::{self, Algorithm, Conv2d, Epilogue, Filters, Pass};
use cifar_kernels::element::{Element, bf16};
use std::time::Instant;
fn layer(c: usize, k: usize, side: usize) -> Conv2d {
    Conv2d {
        in_channels: c,
        out_channels: k,
        height: side,
        width: side,
        kernel_height: 3,
        kernel_width: 3,
        stride: 1,
        padding: 1,
        groups: 1,
    }
}
fn run<E: Element>(name: &str) {
    for (c, k, side) in [
        (24, 64, 31),
        (32, 64, 31),
        (32, 32, 32),
        (64, 24, 31),
        (24, 64, 31),
        (40, 64, 31),
        (32, 64, 16),
    ] {
        let conv = layer(c, k, side);
        let batch: usize = 256;
        let x: Vec<E> =
            (0..batch * conv.in_len()).map(|i| E::from_f32((i % 17) as f32 / 16.0 - 0.5)).collect();
        let mut y: Vec<E> = (0..batch * conv.out_len())
            .map(|i| E::from_f32((i % 13) as f32 / 12.0 - 0.5))
            .collect();
        let dy = y.clone();
        let w: Vec<f32> = (0..conv.weight_len()).map(|i| (i % 11) as f32 / 10.0 - 0.5).collect();
        let mut dw = w.clone();
        let mut t = [[f64::MAX; 2]; 2];
        for _ in 0..12 {
            for (i, a) in [Algorithm::Direct, Algorithm::Winograd].into_iter().enumerate() {
                let mut there = Filters::<E>::new(conv, Pass::Forward, a);
                there.pack(&w);
                let s = Instant::now();
                conv::forward(&there, &x, Epilogue::default(), &mut y);
                t[0][i] = t[0][i].min(s.elapsed().as_secs_f64());
                let s = Instant::now();
                conv::weight_gradient(&conv, a, &x, &dy, &mut dw);
                t[1][i] = t[1][i].min(s.elapsed().as_secs_f64());
            }
        }
        println!(
            "{name} {c:>3}->{k:<3} {side:>2} n {batch:>4}  gain of winograd: fwd {:.2}  wgrad {:.2}",
            t[0][0] / t[0][1],
            t[1][0] / t[1][1]
        );
    }
}
fn main() {
    run::<bf16>("bf16");
}
