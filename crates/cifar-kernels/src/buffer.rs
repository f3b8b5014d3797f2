//! Memory for kernels: aligned to cache lines, and kept by the thread that used it.

#![expect(unsafe_code, reason = "seeing cache lines as values; see the SAFETY comments")]

use std::cell::RefCell;
use std::fmt;

use half::bf16;

use crate::element::Element;
use crate::factor::Pair;

/// A type that any bits are a value of.
///
/// # Safety
/// Any bits are a value, there is no padding, the size is 1, 2 or 4 bytes and the alignment no
/// more than the size.
pub unsafe trait Plain: Copy + Send + Sync + 'static {}

// SAFETY: a number of four bytes, all of whose bits count.
unsafe impl Plain for f32 {}
// SAFETY: a transparent u16.
unsafe impl Plain for bf16 {}
// SAFETY: a transparent u32.
unsafe impl Plain for Pair {}

#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

/// Memory that starts at a cache line, seen as values of f32, or of bf16.
#[derive(Clone, Default)]
pub struct Buffer {
    lines: Vec<Line>,
    n_bytes: usize,
}

impl Buffer {
    /// `len` zeros of `T`.
    pub fn zeros<T: Plain>(len: usize) -> Self {
        let mut buffer = Self::default();
        buffer.resize::<T>(len);
        buffer
    }

    /// Makes it `len` values of `T` long. What it held stays in place; what is new is 0 or old.
    pub fn resize<T: Plain>(&mut self, len: usize) {
        self.n_bytes = len * size_of::<T>();
        let n_lines = self.n_bytes.div_ceil(size_of::<Line>());
        if n_lines > self.lines.len() {
            self.lines.resize(n_lines, Line([0; 64]));
        }
    }

    /// Its length.
    pub fn n_bytes(&self) -> usize {
        self.n_bytes
    }

    /// The values.
    pub fn as_slice<T: Plain>(&self) -> &[T] {
        let len = self.n_bytes / size_of::<T>();
        // SAFETY: `lines` are at least `n_bytes` bytes in a row, aligned to more than a `T`, and
        // any bits are a `T`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), len) }
    }

    /// The values.
    pub fn as_mut_slice<T: Plain>(&mut self) -> &mut [T] {
        let len = self.n_bytes / size_of::<T>();
        // SAFETY: as in `as_slice`, and any `T` is bytes; the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), len) }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("n_bytes", &self.n_bytes).finish_non_exhaustive()
    }
}

/// Values side by side as the factors that they make up; what does not make up a whole one is left
/// out.
///
/// # Panics
/// If the values do not start where a factor may.
pub(crate) fn factors<E: Element>(values: &[E]) -> &[E::Factor] {
    // SAFETY: a factor is as many values, of which any bits are one.
    let (before, factors, _) = unsafe { values.align_to::<E::Factor>() };
    assert!(before.is_empty(), "factors: half of one");
    factors
}

thread_local! {
    static IDLE: RefCell<Vec<Buffer>> = const { RefCell::new(Vec::new()) };
}

/// Runs `f` with `len` values of scratch memory, whose contents are whatever the last user left.
///
/// A thread keeps its scratch, so a loop that repeats itself allocates nothing after its first
/// round. Calls may nest.
pub(crate) fn with_scratch<T: Plain, R>(len: usize, f: impl FnOnce(&mut [T]) -> R) -> R {
    let n_lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
    let idle = IDLE.with_borrow_mut(|idle| {
        // The smallest that is large enough, else the largest, which then grows.
        let fits = idle.iter().position(|buffer| buffer.lines.len() >= n_lines);
        fits.map(|at| idle.remove(at)).or_else(|| idle.pop())
    });
    let mut buffer = idle.unwrap_or_default();
    buffer.resize::<T>(len);
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
        let mut buffer = Buffer::zeros::<f32>(17);
        assert_eq!(buffer.as_slice::<f32>().as_ptr().align_offset(64), 0);
        assert_eq!(buffer.as_slice::<f32>(), [0.0; 17]);
        buffer.as_mut_slice::<f32>()[16] = 3.0;
        buffer.resize::<f32>(40);
        assert_eq!((buffer.as_slice::<f32>().len(), buffer.as_slice::<f32>()[16]), (40, 3.0));
        buffer.resize::<bf16>(40);
        assert_eq!((buffer.as_slice::<bf16>().len(), buffer.n_bytes()), (40, 80));
        assert!(Buffer::zeros::<f32>(0).as_slice::<f32>().is_empty());
    }

    #[test]
    fn scratch_is_kept_and_may_nest() {
        let first = with_scratch(1000, |outer: &mut [f32]| {
            let outer_at = outer.as_ptr();
            let inner_at = with_scratch(10, |inner: &mut [f32]| inner.as_ptr());
            assert_ne!(outer_at, inner_at);
            outer_at
        });
        assert_eq!(with_scratch(900, |again: &mut [f32]| again.as_ptr()), first);
    }
}
