//! A row of values as blocks of vectors: as many at a time as hide an instruction's latency.

use super::Simd;
use crate::element::Element;

/// `in_blocks!(simd, len, body::<C>(…))`: `body::<S, _, C, B>(simd, at, …)` for all of `0..len`: in
/// blocks of `B` = 4 vectors, of one, and of one value. `E` is inferred; `C` may be left out.
macro_rules! in_blocks {
    ($s:ident, $len:expr, $body:ident $(::<$c:ty>)? ($($arg:expr),*)) => {{
        let (mut at, len) = (0, $len);
        while at + 4 * S::LANES <= len {
            // SAFETY: the caller's; four vectors are left.
            unsafe { $body::<S, _, $($c,)? 4>($s, at, $($arg),*) };
            at += 4 * S::LANES;
        }
        while at + S::LANES <= len {
            // SAFETY: the caller's; a vector is left.
            unsafe { $body::<S, _, $($c,)? 1>($s, at, $($arg),*) };
            at += S::LANES;
        }
        while at < len {
            // SAFETY: the caller's; a value is left.
            unsafe { $body::<$crate::simd::Lane, _, $($c,)? 1>($crate::simd::Lane, at, $($arg),*) };
            at += 1;
        }
    }};
}
pub(crate) use in_blocks;

/// `B` vectors from `at`.
///
/// # Safety
/// So many values are there.
#[inline(always)]
pub(crate) unsafe fn load<S: Simd, E: Element, const B: usize>(
    s: S,
    x: &[E],
    at: usize,
) -> [S::V; B] {
    let mut v = [s.splat(0.0); B];
    for (b, v) in v.iter_mut().enumerate() {
        // SAFETY: the caller's.
        *v = unsafe { E::load(s, x.as_ptr().add(at + b * S::LANES)) };
    }
    v
}

/// # Safety
/// As for [`load`].
#[inline(always)]
pub(crate) unsafe fn store<S: Simd, E: Element, const B: usize>(
    s: S,
    x: &mut [E],
    at: usize,
    v: [S::V; B],
) {
    for (b, v) in v.into_iter().enumerate() {
        // SAFETY: the caller's.
        unsafe { E::store(s, x.as_mut_ptr().add(at + b * S::LANES), v) };
    }
}
