//! The most this machine multiplies and adds, and how fast it reads and writes: what the kernels' speed is a
//! share of.

#![expect(unsafe_code, reason = "code compiled for an instruction set; see the SAFETY comments")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use rayon::prelude::*;

use crate::element::Element;
use crate::factor::Factor;
use crate::isa::Isa;
use crate::simd::{Simd, per_isa};

/// Rounds of multiply-adds between two looks at the clock.
const ROUNDS: usize = 100_000;

/// Operations (a multiplication and an addition are two) per second that all threads of the
/// caller's rayon pool do together on values of `E` in registers, for about `duration`.
#[inline(never)]
pub fn operations_per_second<E: Element>(duration: Duration) -> f64 {
    let isa = Isa::current();
    let speed = |_: usize| {
        let (start, mut n_operations) = (Instant::now(), 0);
        while start.elapsed() < duration {
            // SAFETY: nothing is asked of the caller.
            unsafe { multiply_adds::<E>(isa, &mut n_operations) };
        }
        n_operations as f64 / start.elapsed().as_secs_f64()
    };
    // One task per thread, each long enough that every thread takes one.
    (0..rayon::current_num_threads()).into_par_iter().with_max_len(1).map(speed).sum()
}

/// Vectors that are read into sums of their own.
const SUMS: usize = 8;

/// Parts that each thread has of what it reads and writes.
const PARTS: usize = 16;

/// Reads `read` and writes `written`, part by part, by all threads of the caller's rayon pool, and computes next to
/// nothing: about what memory takes of a pass which reads and writes as much, and nothing twice. What is left over
/// at the end of a part, less than a few vectors, is left as it is.
#[inline(never)]
pub fn stream<E: Element>(read: [&[E]; 2], written: &mut [E]) {
    let isa = Isa::current();
    let n = PARTS * rayon::current_num_threads();
    let part_len = |len: usize| len.div_ceil(n).max(1);
    let mut read = read.map(|read| read.chunks(part_len(read.len())));
    let mut written = written.chunks_mut(part_len(written.len()));
    let part = |_| {
        (
            read.each_mut().map(|parts| parts.next().unwrap_or_default()),
            written.next().unwrap_or_default(),
        )
    };
    let parts: Vec<_> = (0..n).map(part).collect();
    parts.into_par_iter().with_max_len(1).for_each(|(read, written)| {
        // SAFETY: nothing is asked of the caller.
        unsafe { stream_part(isa, read, written) };
    });
}

per_isa! {
    unsafe fn stream_part<E: Element>(read: [&[E]; 2], written: &mut [E]) = stream_part_body
}

/// # Safety
/// None is needed.
#[inline(always)]
unsafe fn stream_part_body<S: Simd, E: Element, const M: usize>(
    s: S,
    read: [&[E]; 2],
    written: &mut [E],
) {
    // Several, so that no addition waits for the one before.
    let mut sums = [s.splat(0.0); SUMS];
    for read in read {
        for vectors in read.chunks_exact(SUMS * S::LANES) {
            for (at, sum) in sums.iter_mut().enumerate() {
                // SAFETY: a vector of values.
                *sum = s.add(*sum, unsafe { E::load(s, vectors.as_ptr().add(at * S::LANES)) });
            }
        }
    }
    let mut total = sums[0];
    for sum in &sums[1..] {
        total = s.add(total, *sum);
    }
    for vector in written.chunks_exact_mut(S::LANES) {
        // SAFETY: a vector of values.
        unsafe { E::store(s, vector.as_mut_ptr(), total) };
    }
    let mut lanes = [0.0; 16];
    // SAFETY: room for the vector of any instruction set.
    unsafe { s.store(lanes.as_mut_ptr(), total) };
    black_box(lanes);
}

per_isa! {
    unsafe fn multiply_adds<E: Element>(n_operations: &mut u64) = multiply_adds_body
}

/// As many sums side by side as the kernels' tile has.
#[inline(always)]
unsafe fn multiply_adds_body<S: Simd, E: Element, const M: usize>(s: S, n_operations: &mut u64) {
    let (a, b) = (s.splat(black_box(1.0)), s.splat(black_box(1e-9)));
    let mut sums = [[s.splat(0.0); 2]; M];
    for _ in 0..ROUNDS {
        for row in &mut sums {
            for sum in row {
                *sum = E::Factor::mul_add(s, a, b, *sum);
            }
        }
    }
    for row in &sums {
        for &sum in row {
            let mut lanes = [0.0; 16];
            // SAFETY: room for the vector of any instruction set.
            unsafe { s.store(lanes.as_mut_ptr(), sum) };
            black_box(lanes);
        }
    }
    let per_round = 2 * M * S::LANES * 2 * E::Factor::VALUES;
    *n_operations += (ROUNDS * per_round) as u64;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::bf16;

    #[test]
    fn every_instruction_set_is_measured() {
        for isa in Isa::available() {
            isa.force(|| {
                let duration = Duration::from_millis(2);
                assert!(operations_per_second::<f32>(duration) > 1e6);
                assert!(operations_per_second::<bf16>(duration) > 1e6);
            });
        }
    }

    /// A part writes its sums: as many as the vectors that it has read.
    fn read_and_written<E: Element>() {
        for isa in Isa::available() {
            isa.force(|| {
                let n = PARTS * rayon::current_num_threads();
                let [a, b] = [128, 256].map(|len| vec![E::from_f32(1.0); len * n]);
                let mut written = vec![E::default(); 32 * n];
                stream([&a, &b], &mut written);
                let vectors = E::from_f32(384.0 / if isa >= Isa::Avx512 { 16.0 } else { 8.0 });
                assert!(written.iter().all(|&value| value == vectors), "{isa} {}", E::NAME);
            });
        }
    }

    #[test]
    fn everything_is_read_and_written() {
        read_and_written::<f32>();
        read_and_written::<bf16>();
        stream::<f32>([&[], &[]], &mut []);
    }
}
