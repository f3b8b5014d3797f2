//! Values that the tests of several kernels work on, and the instruction sets they run with.

use crate::element::Element;
use crate::isa::Isa;

/// Runs `f` with each set of instructions that the machine has.
pub(crate) fn on_every_isa(f: impl Fn(Isa)) {
    Isa::available().for_each(|isa| isa.force(|| f(isa)));
}

/// The same values for the same seed, in `-1..1`.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// The values as they are stored.
pub(crate) fn narrow<E: Element>(values: &[f32]) -> Vec<E> {
    values.iter().map(|&value| E::from_f32(value)).collect()
}

/// What stored values stand for.
pub(crate) fn widen<E: Element>(values: &[E]) -> Vec<f32> {
    values.iter().map(|value| value.to_f32()).collect()
}
