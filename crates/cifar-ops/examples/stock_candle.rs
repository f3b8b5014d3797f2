//! SmallResNet in candle alone: what a training step costs without this workspace.
//!
//!     cargo run -p cifar-ops --example stock_candle -- 32 3
//!
//! The two numbers are the batch size and the steps on the clock. The network, the loss and AdamW
//! are candle's, the pictures are noise. Prints one JSON line for `cargo xtask bench`.

#![expect(clippy::print_stdout, reason = "a program that prints what it measures")]

use std::time::Instant;

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{
    AdamW, BatchNorm, Conv2d, Conv2dConfig, Linear, ModuleT, Optimizer, VarBuilder, VarMap,
    batch_norm, conv2d_no_bias, linear,
};

/// A convolution without bias and the batch norm behind it.
struct ConvNorm {
    conv: Conv2d,
    norm: BatchNorm,
}

impl ConvNorm {
    fn new(
        channels: (usize, usize),
        kernel: usize,
        stride: usize,
        vb: &VarBuilder<'_>,
    ) -> Result<Self> {
        let config = Conv2dConfig { padding: kernel / 2, stride, ..Conv2dConfig::default() };
        Ok(Self {
            conv: conv2d_no_bias(channels.0, channels.1, kernel, config, vb.pp("conv"))?,
            norm: batch_norm(channels.1, 1e-5, vb.pp("norm"))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.apply_t(&self.conv, true)?.apply_t(&self.norm, true)
    }
}

struct Block {
    body: [ConvNorm; 2],
    shortcut: Option<ConvNorm>,
}

impl Block {
    fn new(from: usize, to: usize, stride: usize, vb: &VarBuilder<'_>) -> Result<Self> {
        let body = [
            ConvNorm::new((from, to), 3, stride, &vb.pp("body.0"))?,
            ConvNorm::new((to, to), 3, 1, &vb.pp("body.1"))?,
        ];
        let projects = from != to || stride != 1;
        let shortcut = projects
            .then(|| ConvNorm::new((from, to), 1, stride, &vb.pp("shortcut")))
            .transpose()?;
        Ok(Self { body, shortcut })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.body[1].forward(&self.body[0].forward(x)?.relu()?)?;
        match &self.shortcut {
            Some(shortcut) => (y + shortcut.forward(x)?)?.relu(),
            None => (y + x)?.relu(),
        }
    }
}

struct SmallResNet {
    stem: ConvNorm,
    blocks: Vec<Block>,
    fc: Linear,
}

impl SmallResNet {
    fn new(vb: &VarBuilder<'_>) -> Result<Self> {
        let shapes =
            [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)];
        let blocks = shapes.into_iter().enumerate().map(|(at, (from, to, stride))| {
            Block::new(from, to, stride, &vb.pp(format!("block.{at}")))
        });
        Ok(Self {
            stem: ConvNorm::new((3, 64), 3, 1, &vb.pp("stem"))?,
            blocks: blocks.collect::<Result<_>>()?,
            fc: linear(256, 10, vb.pp("fc"))?,
        })
    }

    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let stem = self.stem.forward(images)?.relu()?;
        let maps = self.blocks.iter().try_fold(stem, |x, block| block.forward(&x))?;
        self.fc.forward_t(&maps.flatten_from(2)?.mean(2)?, true)
    }
}

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1).map(|word| word.parse::<usize>());
    let mut number = |default| numbers.next().and_then(|n| n.ok()).unwrap_or(default);
    let (batch, steps) = (number(32), number(3));
    let weights = VarMap::new();
    let net = SmallResNet::new(&VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu))?;
    let mut optimizer = AdamW::new_lr(weights.all_vars(), 1e-3)?;
    let images = Tensor::randn(0f32, 1.0, (batch, 3, 32, 32), &Device::Cpu)?;
    let labels = Tensor::from_iter((0..batch as u32).map(|i| i % 10), &Device::Cpu)?;
    let mut times = Vec::new();
    for _ in 0..=steps {
        let begun = Instant::now();
        let loss = candle_nn::loss::cross_entropy(&net.forward(&images)?, &labels)?;
        optimizer.backward_step(&loss)?;
        loss.to_scalar::<f32>()?;
        times.push(begun.elapsed().as_secs_f64());
    }
    // The first one warms up.
    times.remove(0);
    times.sort_by(f64::total_cmp);
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib: u64 =
        peak.and_then(|text| text.trim().strip_suffix(" kB")?.trim().parse().ok()).unwrap_or(0);
    println!(
        "{{\"images_per_second\": {:.2}, \"peak_rss_bytes\": {}}}",
        batch as f64 / times[times.len() / 2],
        kib * 1024
    );
    Ok(())
}
