//! Numbers that look random and follow from what they are for.

/// 2^64 divided by the golden ratio, odd: the step of SplitMix64.
pub const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One step of SplitMix64 (Steele, Lea and Flood 2014, *Fast splittable pseudorandom number
/// generators*): the number after state `x`. The next state is `x` plus [`GOLDEN`].
#[inline]
pub fn split_mix64(x: u64) -> u64 {
    let mut z = x.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A drawn number as one uniform in `0..1`, from its 53 highest bits.
#[inline]
pub fn unit(draw: u64) -> f64 {
    (draw >> 11) as f64 / (1u64 << 53) as f64
}
