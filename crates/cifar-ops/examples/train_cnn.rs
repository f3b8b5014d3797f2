//! A plain candle program that trains a small CNN twice: with candle's own convolution and
//! pooling, and with those of this crate.
//!
//!     cargo run --release -p cifar-ops --example train_cnn
//!
//! The task is to tell apart four kinds of stripes in noisy 32×32 pictures. Both runs begin with
//! the same weights and see the same pictures; the program prints both losses, and how many times
//! faster the second is.

#![expect(clippy::print_stdout, reason = "a program that prints what it finds")]

use std::time::{Duration, Instant};

use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Optimizer, SGD};
use cifar_ops::{Conv2dParams, conv2d, cross_entropy, max_pool2d, relu};

const BATCH: usize = 32;
const STEPS: usize = 30;
const CHANNELS: usize = 32;

/// Which operations the network is made of.
#[derive(Clone, Copy)]
enum Ops {
    Candle,
    Ours,
}

struct Cnn {
    conv1: Var,
    conv2: Var,
    fc: Var,
}

impl Cnn {
    fn new() -> Result<Self> {
        let weights = |dims: &[usize], seed: f32| {
            let n: usize = dims.iter().product();
            let fan_in = (n / dims[0]) as f64;
            let wave = (Tensor::arange(0f32, n as f32, &Device::Cpu)? * 1.7)? + f64::from(seed);
            Var::from_tensor(&(wave?.sin()? / fan_in.sqrt())?.reshape(dims)?)
        };
        Ok(Self {
            conv1: weights(&[CHANNELS, 3, 3, 3], 0.1)?,
            conv2: weights(&[2 * CHANNELS, CHANNELS, 3, 3], 0.2)?,
            fc: weights(&[4, 2 * CHANNELS * 8 * 8], 0.3)?,
        })
    }

    fn forward(&self, images: &Tensor, ops: Ops) -> Result<Tensor> {
        let block = |x: &Tensor, weight: &Tensor| match ops {
            Ops::Candle => x.conv2d(weight, 1, 1, 1, 1)?.relu()?.max_pool2d(2),
            Ops::Ours => {
                let params = Conv2dParams { padding: 1, ..Conv2dParams::default() };
                max_pool2d(&relu(&conv2d(x, weight, None, params)?)?, 2, 2, 0)
            }
        };
        let x = block(&block(images, &self.conv1)?, &self.conv2)?;
        x.flatten_from(1)?.matmul(&self.fc.t()?)
    }
}

/// Pictures of horizontal, vertical and two diagonal stripes, and which they are.
fn batch(step: usize) -> Result<(Tensor, Tensor)> {
    let mut pixels = Vec::with_capacity(BATCH * 3 * 32 * 32);
    let label = |i: usize| (i + step) % 4;
    for i in 0..BATCH {
        for at in 0..3 * 32 * 32 {
            let (y, x) = ((at / 32 % 32) as f32, (at % 32) as f32);
            let along = [y, x, x + y, x - y][label(i)];
            let noise = (((at * 7919 + i * 104_729 + step * 1_299_709) % 1009) as f32) / 1009.0;
            pixels.push((along * 0.8).sin() + 2.0 * noise - 1.0);
        }
    }
    let labels: Vec<u32> = (0..BATCH).map(|i| label(i) as u32).collect();
    let images = Tensor::from_vec(pixels, (BATCH, 3, 32, 32), &Device::Cpu)?;
    Ok((images, Tensor::from_vec(labels, BATCH, &Device::Cpu)?))
}

/// The loss of the last step, and the time of all.
fn train(ops: Ops) -> Result<(f32, Duration)> {
    let cnn = Cnn::new()?;
    let mut sgd = SGD::new(vec![cnn.conv1.clone(), cnn.conv2.clone(), cnn.fc.clone()], 0.02)?;
    let (mut last, mut time) = (f32::NAN, Duration::ZERO);
    for step in 0..STEPS {
        let (images, labels) = batch(step)?;
        let start = Instant::now();
        let loss = cross_entropy(&cnn.forward(&images, ops)?, &labels, 0.0)?;
        sgd.backward_step(&loss)?;
        time += start.elapsed();
        last = loss.to_dtype(DType::F32)?.to_scalar()?;
    }
    Ok((last, time))
}

fn main() -> Result<()> {
    let (loss, candle) = train(Ops::Candle)?;
    println!("candle:     loss {loss:.4} after {STEPS} steps, {candle:.2?}");
    let (loss, ours) = train(Ops::Ours)?;
    println!("cifar-ops:  loss {loss:.4} after {STEPS} steps, {ours:.2?}");
    println!("{:.1} times as fast", candle.as_secs_f64() / ours.as_secs_f64());
    Ok(())
}
