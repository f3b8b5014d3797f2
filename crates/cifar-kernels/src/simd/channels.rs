//! Loops over the channels of a pixel, a few vectors of them at a time.

#![expect(unsafe_code, reason = "whole vectors through pointers; see the SAFETY comments")]

use super::Simd;
use crate::element::Element;

/// `body::<S, B>(simd, channel, …)` for all channels: in blocks of four vectors, of one, and of
/// one value.
macro_rules! by_channels {
    ($s:ident, $channels:expr, $body:ident($($arg:expr),*)) => {{
        let (mut channel, channels) = (0, $channels);
        while channel + 4 * S::LANES <= channels {
            // SAFETY: the caller's; four vectors of channels are left.
            unsafe { $body::<S, _, 4>($s, channel, $($arg),*) };
            channel += 4 * S::LANES;
        }
        while channel + S::LANES <= channels {
            // SAFETY: the caller's; a vector of channels is left.
            unsafe { $body::<S, _, 1>($s, channel, $($arg),*) };
            channel += S::LANES;
        }
        while channel < channels {
            // SAFETY: the caller's; a channel is left.
            unsafe { $body::<$crate::simd::Lane, _, 1>($crate::simd::Lane, channel, $($arg),*) };
            channel += 1;
        }
    }};
}
pub(crate) use by_channels;

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
