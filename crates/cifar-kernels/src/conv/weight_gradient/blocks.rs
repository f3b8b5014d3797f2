//! Pixels cut into blocks of channels.

use crate::buffer::{Plain, with_scratch};
use crate::gemm;
use crate::isa::Isa;

/// Pixels of `c` channels cut into blocks of as many channels as a tile has rows, each block with
/// all pixels: what a tile reads lies side by side. Pixels of many channels, a power of two of bytes
/// apart, would share a few sets of the nearest cache. Those of few are read where they are, and so
/// are all where a window is too small to be worth the copy.
#[derive(Debug, Clone)]
pub(super) struct Blocks {
    c: usize,
    /// Channels of a block; `c` where they are not cut.
    len: usize,
    /// From one block to the next.
    stride: usize,
}

impl Blocks {
    /// `taps`: pixels of a window; `most`: factors that are cut at a time.
    pub(super) fn new(isa: Isa, c: usize, taps: usize, most: usize) -> Self {
        let rows = gemm::tile_rows(isa);
        match taps > 1 && c >= 128 && c.is_multiple_of(rows) {
            true => Self { c, len: rows, stride: most / c * rows },
            false => Self { c, len: c, stride: 0 },
        }
    }

    /// Where a value of a window lies from its start, given where it does in pixels that are not cut.
    pub(super) fn offset(&self, at: usize) -> usize {
        let channel = at % self.c;
        self.start(at - channel) + channel / self.len * self.stride + channel % self.len
    }

    /// Where the first block has the pixel that begins at `at` where pixels are not cut.
    pub(super) fn start(&self, at: usize) -> usize {
        at / self.c * self.len
    }

    /// Calls `f` with `pixels` in blocks.
    pub(super) fn with<F: Plain, R>(&self, pixels: &[F], f: impl FnOnce(&[F]) -> R) -> R {
        if self.len == self.c {
            return f(pixels);
        }
        with_scratch(self.c / self.len * self.stride, |cut: &mut [F]| {
            for (at, pixel) in pixels.chunks_exact(self.c).enumerate() {
                for (block, channels) in pixel.chunks_exact(self.len).enumerate() {
                    let to = block * self.stride + at * self.len;
                    cut[to..to + self.len].copy_from_slice(channels);
                }
            }
            f(cut)
        })
    }
}
