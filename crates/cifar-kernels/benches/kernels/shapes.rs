//! What the networks ask of the kernels.

use cifar_kernels::conv::Conv2d;

/// The convolutions of SmallResNet, each once.
pub(crate) const SMALL_RESNET: [Conv2d; 8] = [
    square(3, 64, 32, 3, 1, 1),
    square(64, 64, 32, 3, 1, 1),
    square(64, 128, 32, 3, 2, 1),
    square(128, 128, 16, 3, 1, 1),
    square(64, 128, 32, 1, 2, 0),
    square(128, 256, 16, 3, 2, 1),
    square(256, 256, 8, 3, 1, 1),
    square(128, 256, 16, 1, 2, 0),
];

/// The convolutions of AirNet (the network of airbench94, arXiv:2404.00498), each once.
pub(crate) const AIRNET: [Conv2d; 6] = [
    square(3, 24, 32, 2, 1, 0),
    square(24, 64, 31, 3, 1, 1),
    square(64, 64, 15, 3, 1, 1),
    square(64, 256, 15, 3, 1, 1),
    square(256, 256, 7, 3, 1, 1),
    square(256, 256, 3, 3, 1, 1),
];

/// Channels, and rows and columns, of what is normalised: SmallResNet's three, AirNet's three.
pub(crate) const NORMALISED: [(usize, usize); 6] =
    [(64, 32), (128, 16), (256, 8), (64, 15), (256, 7), (256, 3)];

/// Channels, rows and columns, and the window, of what AirNet pools.
pub(crate) const POOLED: [(usize, usize, usize); 4] =
    [(64, 31, 2), (256, 15, 2), (256, 7, 2), (256, 3, 3)];

/// Weights of SmallResNet and of AirNet.
pub(crate) const N_WEIGHTS: [usize; 2] = [2_777_674, 1_972_792];

const fn square(
    in_channels: usize,
    out_channels: usize,
    side: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
) -> Conv2d {
    Conv2d {
        in_channels,
        out_channels,
        height: side,
        width: side,
        kernel_height: kernel,
        kernel_width: kernel,
        stride,
        padding,
        groups: 1,
    }
}

/// AirNet94's convolutions behind the first, as the matrices that Muon sees.
pub(crate) const OF_AIRNET_CONVOLUTIONS: [(usize, usize); 4] =
    [(64, 24 * 9), (64, 64 * 9), (256, 64 * 9), (256, 256 * 9)];
