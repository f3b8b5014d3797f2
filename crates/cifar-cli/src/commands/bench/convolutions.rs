//! `cifar bench --convolutions`: each convolution of a network by itself.

use std::time::{Duration, Instant};

use cifar_kernels::buffer::Buffer;
use cifar_kernels::conv::{self, Algorithm, Conv2d, Epilogue, Filters, Pass, WeightSums};
use cifar_kernels::element::{Element, bf16};
use cifar_kernels::peak;
use cifar_net::{FeatureShape, Layer, Net};
use cifar_train::{Precision, Recipe};
use serde::Serialize;

use crate::console::Console;
use crate::tables::{Align, Table};

/// Runs of each pass at least, and how long all of them, and the machine's limit, take at least: of short ones the
/// first dozen are slower. The median counts.
const RUNS: usize = 7;
const LEAST_TIME: Duration = Duration::from_millis(100);

/// One way through one convolution.
#[derive(Serialize)]
struct Speed {
    name: String,
    in_channels: usize,
    out_channels: usize,
    /// Rows and columns of the image.
    side: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    groups: usize,
    batch_size: usize,
    precision: &'static str,
    algorithm: &'static str,
    forward: Rate,
    input_gradient: Rate,
    weight_gradient: Rate,
}

#[derive(Serialize)]
struct Rate {
    /// By the arithmetic of the definition.
    gflops_per_second: f64,
    /// The share of what the machine multiplies and adds at most; above 1 where an algorithm needs
    /// less than the definition.
    limit_fraction: f64,
    /// The share of its time that reading and writing as many values takes alone.
    memory_fraction: f64,
}

/// Measures every convolution of `net`, each shape once.
pub(super) fn run(net: &Net, recipe: &Recipe, console: &mut Console) -> anyhow::Result<()> {
    let mut convs: Vec<Conv2d> = Vec::new();
    for step in net.steps()? {
        if let (Layer::Conv2d(conv), FeatureShape::Map { height, width, .. }) =
            (step.layer, step.input)
        {
            let conv = Conv2d {
                in_channels: conv.in_channels,
                out_channels: conv.out_channels,
                height,
                width,
                kernel_height: conv.kernel,
                kernel_width: conv.kernel,
                stride: conv.stride,
                padding: conv.padding,
                groups: conv.groups,
            };
            if !convs.contains(&conv) {
                convs.push(conv);
            }
        }
    }
    let speeds = match recipe.cpu_precision() {
        Precision::F32 => speeds::<f32>(&convs, recipe.batch_size),
        Precision::Bf16 => speeds::<bf16>(&convs, recipe.batch_size),
    };
    let right = Align::Right;
    let mut table = Table::new(&[
        ("convolution", Align::Left),
        ("algorithm", Align::Left),
        ("forward", right),
        ("limit", right),
        ("memory", right),
        ("d input", right),
        ("limit", right),
        ("memory", right),
        ("d weight", right),
        ("limit", right),
        ("memory", right),
    ]);
    for speed in &speeds {
        let rates = [&speed.forward, &speed.input_gradient, &speed.weight_gradient];
        let mut cells = vec![speed.name.clone(), speed.algorithm.to_owned()];
        for rate in rates {
            cells.push(format!("{:.0}", rate.gflops_per_second));
            cells.push(format!("{:.0} %", 100.0 * rate.limit_fraction));
            cells.push(format!("{:.0} %", 100.0 * rate.memory_fraction));
        }
        table.row(cells);
    }
    console.line(table.to_string())?;
    console.line(format!(
        "GFLOP/s in {} by the definition's arithmetic; limit: the share of what this machine multiplies and \
         adds at most; memory: the share of the time that reading and writing as much takes; batch {}, \
         {} threads",
        recipe.cpu_precision(),
        recipe.batch_size,
        rayon::current_num_threads()
    ))?;
    Ok(console.document(&speeds)?)
}

/// Such as `64->128, 32x32, 3x3 /2`: channels, image, window and stride.
fn name(conv: &Conv2d) -> String {
    let Conv2d {
        in_channels,
        out_channels,
        height,
        width,
        kernel_height,
        kernel_width,
        stride,
        groups,
        ..
    } = conv;
    let grouped = if *groups > 1 { format!(", {groups} groups") } else { String::new() };
    format!(
        "{in_channels}->{out_channels}, {height}x{width}, {kernel_height}x{kernel_width} /{stride}{grouped}"
    )
}

fn speeds<E: Element>(convs: &[Conv2d], batch_size: usize) -> Vec<Speed> {
    let mut speeds = Vec::new();
    for conv in convs {
        for (algorithm, algorithm_name) in
            [(Algorithm::Direct, "direct"), (Algorithm::Winograd, "winograd")]
        {
            if algorithm == Algorithm::Winograd && !conv.winograd_applies() {
                continue;
            }
            // Beside each, as the machine's neighbours come and go.
            let limit = peak::operations_per_second::<E>(LEAST_TIME);
            let operations = 2.0 * batch_size as f64 * conv.multiply_adds() as f64;
            let [forward, input_gradient, weight_gradient] =
                times::<E>(*conv, algorithm, batch_size).map(|[time, memory]| {
                    let speed = operations / time.as_secs_f64();
                    Rate {
                        gflops_per_second: speed / 1e9,
                        limit_fraction: speed / limit,
                        memory_fraction: memory.as_secs_f64() / time.as_secs_f64(),
                    }
                });
            speeds.push(Speed {
                name: name(conv),
                in_channels: conv.in_channels,
                out_channels: conv.out_channels,
                side: conv.height,
                kernel: conv.kernel_height,
                stride: conv.stride,
                padding: conv.padding,
                groups: conv.groups,
                batch_size,
                precision: E::NAME,
                algorithm: algorithm_name,
                forward,
                input_gradient,
                weight_gradient,
            });
        }
    }
    speeds
}

/// Times of the three passes, the packing of the weights included, and of reading and writing what each does.
fn times<E: Element>(conv: Conv2d, algorithm: Algorithm, batch_size: usize) -> [[Duration; 2]; 3] {
    let [mut x, mut dx] = [(); 2].map(|()| filled::<E>(0.5, batch_size * conv.in_len()));
    let [mut y, mut dy] = [(); 2].map(|()| filled::<E>(0.25, batch_size * conv.out_len()));
    let (x, dx): (&[E], &mut [E]) = (x.as_mut_slice(), dx.as_mut_slice());
    let (y, dy): (&mut [E], &[E]) = (y.as_mut_slice(), dy.as_mut_slice());
    let weight = vec![0.125; conv.weight_len()];
    let mut dweight = weight.clone();
    let mut there = Filters::<E>::new(conv, Pass::Forward, algorithm);
    let mut back = Filters::<E>::new(conv, Pass::InputGradient, algorithm);
    let sums = WeightSums::<E>::new(conv, algorithm);
    let passes = [
        median(|| {
            there.pack(&weight);
            conv::forward(&there, x, Epilogue::default(), y);
        }),
        median(|| {
            back.pack(&weight);
            conv::input_gradient(&back, dy, false, dx);
        }),
        median(|| conv::weight_gradient(&sums, x, dy, &mut dweight)),
    ];
    // As many of the images' values as windows meet that leave pixels out, though these are not side by side.
    let met = |kernel: usize, len: usize| len * kernel.min(conv.stride) / conv.stride;
    let seen = &x[..met(conv.kernel_height, met(conv.kernel_width, x.len()))];
    let memory = [
        median(|| peak::stream([seen, &[]], y)),
        median(|| peak::stream([dy, &[]], dx)),
        median(|| peak::stream([seen, dy], &mut [])),
    ];
    std::array::from_fn(|pass| [passes[pass], memory[pass]])
}

/// Values that begin at a cache line, as those of a network do, and PyTorch's.
fn filled<E: Element>(value: f32, len: usize) -> Buffer {
    let mut buffer = Buffer::zeros::<E>(len);
    buffer.as_mut_slice().fill(E::from_f32(value));
    buffer
}

fn median(mut f: impl FnMut()) -> Duration {
    f();
    let mut times = Vec::new();
    let all = Instant::now();
    while times.len() < RUNS || all.elapsed() < LEAST_TIME {
        let start = Instant::now();
        f();
        times.push(start.elapsed());
    }
    times.sort_unstable();
    times[times.len() / 2]
}
