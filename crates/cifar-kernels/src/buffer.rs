//! Memory for kernels: aligned to cache lines, and kept by the thread that used it.

#![expect(unsafe_code, reason = "seeing cache lines as values; see the SAFETY comments")]

use std::cell::RefCell;
use std::fmt;

/// Values in one cache line.
const LINE: usize = 16;

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Values of f32 that start at a cache line.
#[derive(Clone, Default)]
pub struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

impl Buffer {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        let mut buffer = Self::default();
        buffer.resize(len);
        buffer
    }

    /// Makes it `len` values long. What it held stays in place; what is new is 0 or an old value.
    pub fn resize(&mut self, len: usize) {
        let n_lines = len.div_ceil(LINE);
        if n_lines > self.lines.len() {
            self.lines.resize(n_lines, Line([0.0; LINE]));
        }
        self.len = len;
    }

    /// The values.
    pub fn as_slice(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` values of f32 in a row, as `Line` is an array of
        // them with no gap (64 bytes long, aligned to 64).
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }

    /// The values.
    pub fn as_mut_slice(&mut self) -> &mut [f32] {
        // SAFETY: as in `as_slice`; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish_non_exhaustive()
    }
}

thread_local! {
    static IDLE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` values of scratch memory, whose contents are whatever the last user left.
///
/// A thread keeps its scratch, so a loop that repeats itself allocates nothing after its first
/// round. Calls may nest.
pub(crate) fn with_scratch<T>(len: usize, f: impl FnOnce(&mut [f32]) -> T) -> T {
    let idle = IDLE.with_borrow_mut(|idle| {
        // The smallest that is large enough, else the largest, which then grows.
        let fits = idle.iter().position(|buffer| buffer.lines.len() * LINE >= len);
        fits.map(|at| idle.remove(at)).or_else(|| idle.pop())
    });
    let mut buffer = idle.unwrap_or_default();
    buffer.resize(len);
    let result = f(buffer.as_mut_slice());
    IDLE.with_borrow_mut(|idle| {
        let at = idle.partition_point(|other| other.lines.len() < buffer.lines.len());
        idle.insert(at, buffer);
    });
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_aligned_and_grows_in_place() {
        let mut buffer = Buffer::zeros(17);
        assert_eq!(buffer.as_slice().as_ptr().align_offset(64), 0);
        assert_eq!(buffer.as_slice(), [0.0; 17]);
        buffer.as_mut_slice()[16] = 3.0;
        buffer.resize(40);
        assert_eq!((buffer.as_slice().len(), buffer.as_slice()[16]), (40, 3.0));
        assert!(Buffer::zeros(0).as_slice().is_empty());
    }

    #[test]
    fn scratch_is_kept_and_may_nest() {
        let first = with_scratch(1000, |outer| {
            let outer_at = outer.as_ptr();
            let inner_at = with_scratch(10, |inner| inner.as_ptr());
            assert_ne!(outer_at, inner_at);
            outer_at
        });
        assert_eq!(with_scratch(900, |again| again.as_ptr()), first);
    }
}
