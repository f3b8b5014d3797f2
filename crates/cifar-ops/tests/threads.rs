//! A convolution and its gradients have the same bits for any number of threads, read
//! from the environment, hence the child processes.

#![expect(clippy::unwrap_used, reason = "a test reports an error by panicking")]

use std::process::Command;

use candle_core::{DType, Device, Tensor, Var};
use cifar_ops::{Conv2dParams, conv2d};

const MARK: &str = "bits: ";

fn wave(dims: &[usize]) -> Tensor {
    let len = dims.iter().product::<usize>() as f32;
    (Tensor::arange(0f32, len, &Device::Cpu).unwrap() * 1.7)
        .unwrap()
        .sin()
        .unwrap()
        .reshape(dims)
        .unwrap()
}

/// FNV-1a of the bits of some convolutions and their gradients.
fn fingerprint() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let shapes = [(64, 16, 1), (40, 17, 2), (3, 32, 1)];
    let with = |dtype| shapes.map(|(channels, side, stride)| (dtype, channels, side, stride));
    for (dtype, channels, side, stride) in [DType::F32, DType::BF16].map(with).concat() {
        let variable =
            |dims: &[usize]| Var::from_tensor(&wave(dims).to_dtype(dtype).unwrap()).unwrap();
        let x = variable(&[6, channels, side, side]);
        let weight = variable(&[72, channels, 3, 3]);
        let y = conv2d(
            &x,
            &weight,
            None,
            Conv2dParams { stride, padding: 1, ..Conv2dParams::default() },
        )
        .unwrap();
        let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        for tensor in [&y, gradients.get(&x).unwrap(), gradients.get(&weight).unwrap()] {
            let values = tensor.flatten_all().unwrap().to_dtype(DType::F32).unwrap();
            for value in values.to_vec1::<f32>().unwrap() {
                hash = (hash ^ u64::from(value.to_bits())).wrapping_mul(0x100_0000_01b3);
            }
        }
    }
    hash
}

#[test]
#[ignore = "what the test below runs in a process of its own"]
fn child() {
    println!("{MARK}{}", fingerprint());
}

#[test]
fn one_two_and_five_threads_agree_bit_for_bit() {
    let with = |n_threads: &str| {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env("RAYON_NUM_THREADS", n_threads)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (_, bits) = text.split_once(MARK).unwrap();
        bits.lines().next().unwrap().to_owned()
    };
    let alone = with("1");
    for n_threads in ["2", "5"] {
        assert_eq!(with(n_threads), alone, "{n_threads} threads");
    }
}
