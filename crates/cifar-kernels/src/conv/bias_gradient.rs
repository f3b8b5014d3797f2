//! The bias's gradient.

#![expect(unsafe_code, reason = "code compiled for an instruction set; see the SAFETY comments")]

use rayon::prelude::*;

use crate::element::Element;
use crate::isa::Isa;
use crate::simd::{Simd, in_blocks, load, per_isa, store};

/// Rows that one task sums.
const TASK_ROWS: usize = 2048;

/// Rows that are summed in f32; sums of more lose digits, and are f64.
const F32_ROWS: usize = 64;

/// The bias's gradient: `dy`, rows of `K` values, to their sums, `dbias`, `(K)`, overwritten. Within
/// 4e-6 of the sum of the absolute values.
///
/// # Panics
/// If `dy` is not whole rows.
#[inline(never)]
pub fn bias_gradient<E: Element>(dy: &[E], dbias: &mut [f32]) {
    let k = dbias.len();
    assert!(k > 0 && dy.len().is_multiple_of(k), "bias gradient: not whole rows");
    let isa = Isa::current();
    let of_task = |rows: &[E]| {
        let (mut sums, mut part) = (vec![0.0; k], vec![0.0; k]);
        for rows in rows.chunks(k * F32_ROWS) {
            // SAFETY: whole rows of as many values as `part` has.
            unsafe { sum_rows(isa, rows, &mut part) };
            sums.iter_mut().zip(&part).for_each(|(sum, &part)| *sum += f64::from(part));
        }
        sums
    };
    let sums: Vec<Vec<f64>> = dy.par_chunks(k * TASK_ROWS).map(of_task).collect();
    for (at, dbias) in dbias.iter_mut().enumerate() {
        *dbias = sums.iter().map(|sums| sums[at]).sum::<f64>() as f32;
    }
}

per_isa! {
    unsafe fn sum_rows<E: Element>(rows: &[E], sums: &mut [f32]) = sum_rows_body
}

/// # Safety
/// `rows`: whole rows of as many values as `sums` has.
#[inline(always)]
unsafe fn sum_rows_body<S: Simd, E: Element, const M: usize>(s: S, rows: &[E], sums: &mut [f32]) {
    in_blocks!(s, sums.len(), sum_rows_of(rows, sums));
}

/// # Safety
/// As for [`sum_rows_body`]; `B` vectors of channels from `channel`.
#[inline(always)]
unsafe fn sum_rows_of<S: Simd, E: Element, const B: usize>(
    s: S,
    channel: usize,
    rows: &[E],
    sums: &mut [f32],
) {
    let mut total = [s.splat(0.0); B];
    for row in (0..rows.len()).step_by(sums.len()) {
        // SAFETY: the channels of a row.
        let v = unsafe { load::<S, _, B>(s, rows, row + channel) };
        for b in 0..B {
            total[b] = s.add(total[b], v[b]);
        }
    }
    // SAFETY: the channels.
    unsafe { store::<S, _, B>(s, sums, channel, total) };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::element::bf16;

    proptest! {
        #[test]
        fn it_is_the_sum_of_the_rows(k in 1usize..70, n_rows in 0usize..300) {
            let dy: Vec<f32> = (0..k * n_rows).map(|i| (i * 37 % 101) as f32 / 32.0 - 1.5).collect();
            let narrow: Vec<bf16> = dy.iter().map(|&v| bf16::from_f32(v)).collect();
            let column = |k_at: usize| (0..n_rows).map(move |row| row * k + k_at);
            for isa in Isa::available() {
                let (mut got, mut got_narrow) = (vec![9.0; k], vec![9.0; k]);
                isa.force(|| {
                    bias_gradient(&dy, &mut got);
                    bias_gradient(&narrow, &mut got_narrow);
                });
                for at in 0..k {
                    // Every value is a whole number of 32nds, and so is every sum: exact in f32.
                    let want: f32 = column(at).map(|i| dy[i]).sum();
                    prop_assert_eq!(got[at], want, "{}", isa);
                    let want: f32 = column(at).map(|i| narrow[i].to_f32()).sum();
                    prop_assert_eq!(got_narrow[at], want, "{}", isa);
                }
            }
        }
    }
}
