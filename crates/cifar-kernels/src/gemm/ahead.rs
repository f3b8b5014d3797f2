//! What is read next, on its way from memory while something else is multiplied.

use crate::simd::Simd;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Values that a later product reads, in two places: their addresses, and how many lines they are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ahead([(usize, usize); 2]);

impl Ahead {
    pub(crate) fn of<T>(parts: [&[T]; 2]) -> Self {
        Self(parts.map(|part| (part.as_ptr().addr(), size_of_val(part).div_ceil(LINE))))
    }

    /// The lines cut up for `n_tiles` tiles of `depth` steps each: as many for each, so that none of them
    /// waits for the memory of others.
    pub(super) fn shares(self, n_tiles: usize, depth: usize) -> Shares {
        let n_lines = self.0.iter().map(|(_, lines)| lines).sum::<usize>();
        let lines = n_lines.div_ceil(n_tiles.max(1));
        Shares { ahead: self, lines, step: (lines * LINE).div_ceil(depth.max(1)) }
    }
}

/// What each tile fetches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shares {
    ahead: Ahead,
    lines: usize,
    /// From the address of a step to that of the next.
    pub(super) step: usize,
}

impl Shares {
    /// The address that a tile begins with, unless nothing is left for it.
    pub(super) fn start(&self, tile: usize) -> Option<usize> {
        let [(first, lines), (second, more)] = self.ahead.0;
        match tile * self.lines {
            at if at < lines => Some(first + at * LINE),
            at if at - lines < more => Some(second + (at - lines) * LINE),
            _ => None,
        }
    }
}

/// Fetches the lines of `len` values from `start` on; where they do not begin at a line, the last is left out.
#[inline(always)]
pub(super) fn fetch_run<S: Simd, T>(simd: S, start: *const T, len: usize) {
    for byte in (0..len * size_of::<T>()).step_by(LINE) {
        simd.fetch(start.addr().wrapping_add(byte));
    }
}
