//! Vectors of 16 values with AVX-512 F.

use std::arch::x86_64::*;
use std::mem::transmute;

use half::bf16;

use super::{Avx2, POW2_OFFSET, Simd};

/// A proof that the machine has AVX-512 F, BW, DQ and VL, and with `BF16` that too.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx512<const BF16: bool>(());

impl<const BF16: bool> Avx512<BF16> {
    /// # Safety
    /// The machine has those instructions.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

/// Each lane's bits, rounded so that the upper half is the bf16; the lower half is left over.
#[inline(always)]
fn rounded(v: __m512) -> __m512i {
    // SAFETY: a value of this vector comes from a proof of the instructions.
    unsafe {
        let bits = _mm512_castps_si512(v);
        let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
        let half = _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff));
        let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(v, v);
        let quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x0040_0000));
        _mm512_mask_mov_epi32(_mm512_add_epi32(bits, half), nan, quiet)
    }
}

/// The values of the lower halves of pairs.
#[inline(always)]
fn lower(pairs: __m512) -> __m512 {
    // SAFETY: as in `rounded`.
    unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(pairs))) }
}

/// The sums of two quarters side by side each: those of `a`, then those of `b`.
#[inline(always)]
fn quarters(a: __m512, b: __m512) -> __m512 {
    // SAFETY: as in `rounded`.
    unsafe {
        let even = _mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
        _mm512_add_ps(even, _mm512_shuffle_f32x4::<0b11_01_11_01>(a, b))
    }
}

impl<const BF16: bool> Simd for Avx512<BF16> {
    type V = __m512;
    const LANES: usize = 16;
    type Eight = Avx2;

    #[inline(always)]
    fn eight(self) -> Avx2 {
        // SAFETY: the instructions that `self` proves come with AVX2 and FMA; detection asks for
        // them too.
        unsafe { Avx2::new() }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: `self` proves that the instruction is there; so below.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller's: 16 readable values.
        unsafe { _mm512_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> Self::V {
        // SAFETY: the caller's: `n` readable values, of at most 16.
        unsafe { _mm512_maskz_loadu_ps(((1_u32 << n) - 1) as u16, from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: the caller's: 16 writable values.
        unsafe { _mm512_storeu_ps(to, v) }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn relu(self, v: Self::V) -> Self::V {
        // SAFETY: see `splat`. `max` gives its second operand where one is NaN.
        unsafe { _mm512_max_ps(_mm512_setzero_ps(), v) }
    }

    #[inline(always)]
    fn gated(self, gate: Self::V, v: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let open = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(gate, _mm512_setzero_ps());
            _mm512_maskz_mov_ps(open, v)
        }
    }

    #[inline(always)]
    fn if_above(self, x: Self::V, y: Self::V, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, y);
            let nan = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(x, x);
            _mm512_mask_blend_ps(above | nan, b, a)
        }
    }

    #[inline(always)]
    fn where_same(self, x: Self::V, y: Self::V, v: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let (x, y) = (_mm512_castps_si512(x), _mm512_castps_si512(y));
            _mm512_maskz_mov_ps(_mm512_cmpeq_epi32_mask(x, y), v)
        }
    }

    #[inline(always)]
    fn fetch(self, address: usize) {
        self.eight().fetch(address);
    }

    #[inline(always)]
    unsafe fn splat_two(self, from: *const f32) -> Self::V {
        // SAFETY: see `splat`; the caller's: 8 readable bytes.
        unsafe { _mm512_castpd_ps(_mm512_set1_pd(from.cast::<f64>().read_unaligned())) }
    }

    #[inline(always)]
    fn sums_of_two(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
            let [first, second] = [even, odd].map(|at| _mm512_permutex2var_ps(a, at, b));
            _mm512_add_ps(first, second)
        }
    }

    #[inline(always)]
    fn sums_of_lanes(self, vectors: &[Self::V; 16]) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            // Quarters of a vector: lanes of four vectors side by side, summed once in each of the four.
            let mut fours = [_mm512_setzero_ps(); 4];
            for four in 0..4 {
                let mut twos = [_mm512_setzero_pd(); 2];
                for two in 0..2 {
                    let [a, b] = [vectors[4 * four + 2 * two], vectors[4 * four + 2 * two + 1]];
                    let sums = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                    twos[two] = _mm512_castps_pd(sums);
                }
                let low = _mm512_castpd_ps(_mm512_unpacklo_pd(twos[0], twos[1]));
                let high = _mm512_castpd_ps(_mm512_unpackhi_pd(twos[0], twos[1]));
                fours[four] = _mm512_add_ps(low, high);
            }
            // Then the quarters.
            let [a, b, c, d] = fours;
            quarters(quarters(a, b), quarters(c, d))
        }
    }

    #[inline(always)]
    fn pow2(self, n: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let sum = _mm512_castps_si512(_mm512_add_ps(n, _mm512_set1_ps(POW2_OFFSET)));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(sum))
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: the caller's: 16 readable values of two bytes.
        unsafe {
            let halves = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, v: Self::V) {
        // SAFETY: the caller's: 16 writable values of two bytes; `BF16` proves its instruction.
        unsafe {
            let halves = if BF16 {
                transmute::<__m256bh, __m256i>(_mm512_cvtneps_pbh(v))
            } else {
                _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded(v)))
            };
            _mm256_storeu_si256(to.cast(), halves);
        }
    }

    #[inline(always)]
    unsafe fn store_two_bf16(self, to: *mut bf16, [a, b]: [Self::V; 2]) {
        // SAFETY: the caller's: 32 writable values of two bytes; `BF16` proves its instruction.
        unsafe {
            if BF16 {
                let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(b, a));
                return _mm512_storeu_si512(to.cast(), both);
            }
            self.store_bf16(to, a);
            self.store_bf16(to.add(16), b);
        }
    }

    #[inline(always)]
    unsafe fn choose(self, [a, b, c]: [*const u16; 3], which: &[u16; 32], to: *mut u16) {
        // SAFETY: see `splat`; the caller's: 32 bytes each, and 64 of `which` and `to`.
        unsafe {
            let [a, b, c] = [a, b, c].map(|from| _mm256_loadu_si256(from.cast()));
            let first = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b);
            let second = _mm512_castsi256_si512(c);
            let which = _mm512_loadu_si512(which.as_ptr().cast());
            _mm512_storeu_si512(to.cast(), _mm512_permutex2var_epi16(first, which, second));
        }
    }

    #[inline(always)]
    fn pairs(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`; `BF16` proves its instruction.
        unsafe {
            if BF16 {
                // `a` in the lower half, `b` in the upper; then one of each by turns.
                let both = transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(b, a));
                let turns = _mm512_set_epi16(
                    31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                    5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0,
                );
                return _mm512_castsi512_ps(_mm512_permutexvar_epi16(turns, both));
            }
            let upper = _mm512_set1_epi32(0xffff_0000_u32 as i32);
            let (a, b) = (_mm512_srli_epi32::<16>(rounded(a)), rounded(b));
            _mm512_castsi512_ps(_mm512_or_si512(a, _mm512_and_si512(b, upper)))
        }
    }

    #[inline(always)]
    unsafe fn pair_up(self, a: *const bf16, b: *const bf16) -> [Self::V; 2] {
        // SAFETY: see `splat`; the caller's: 32 values of two bytes each.
        unsafe {
            let [a, b] = [a, b].map(|from| _mm512_loadu_si512(from.cast()));
            // One of each by turns, from the first and from the second half.
            let first = _mm512_set_epi16(
                47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40, 8, 39, 7, 38, 6, 37, 5,
                36, 4, 35, 3, 34, 2, 33, 1, 32, 0,
            );
            let second = _mm512_add_epi16(first, _mm512_set1_epi16(16));
            [first, second].map(|at| _mm512_castsi512_ps(_mm512_permutex2var_epi16(a, at, b)))
        }
    }

    #[inline(always)]
    fn pairs_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: see `splat`; `BF16` proves its instruction.
        unsafe {
            if BF16 {
                let (a, b) = (transmute::<__m512, __m512bh>(a), transmute::<__m512, __m512bh>(b));
                return _mm512_dpbf16_ps(c, a, b);
            }
            let upper = _mm512_castsi512_ps(_mm512_set1_epi32(0xffff_0000_u32 as i32));
            let c = _mm512_fmadd_ps(_mm512_and_ps(a, upper), _mm512_and_ps(b, upper), c);
            _mm512_fmadd_ps(lower(a), lower(b), c)
        }
    }
}
