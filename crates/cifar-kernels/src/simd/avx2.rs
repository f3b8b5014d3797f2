//! Vectors of 8 values with AVX2 and FMA.

use std::arch::x86_64::*;

use half::bf16;

use super::{POW2_OFFSET, Simd};

/// A proof that the machine has AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Avx2(());

impl Avx2 {
    /// # Safety
    /// The machine has AVX2 and FMA.
    #[inline(always)]
    pub(crate) unsafe fn new() -> Self {
        Self(())
    }
}

/// Each lane's bits, rounded so that the upper half is the bf16; the lower half is left over.
#[inline(always)]
fn rounded(v: __m256) -> __m256i {
    // SAFETY: a value of this vector comes from a proof of the instructions.
    unsafe {
        let bits = _mm256_castps_si256(v);
        let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
        let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
        let nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(v, v));
        let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x0040_0000));
        _mm256_blendv_epi8(_mm256_add_epi32(bits, half), quiet, nan)
    }
}

/// The values of the lower halves of pairs.
#[inline(always)]
fn lower(pairs: __m256) -> __m256 {
    // SAFETY: as in `rounded`.
    unsafe { _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(pairs))) }
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    type Eight = Self;

    #[inline(always)]
    fn eight(self) -> Self {
        self
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::V {
        // SAFETY: `self` proves that the instruction is there; so below.
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Self::V {
        // SAFETY: the caller's: 8 readable values.
        unsafe { _mm256_loadu_ps(from) }
    }

    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> Self::V {
        // SAFETY: the caller's: `n` readable values, of at most 8.
        unsafe {
            let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
            _mm256_maskload_ps(from, _mm256_cmpgt_epi32(_mm256_set1_epi32(n as i32), lanes))
        }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Self::V) {
        // SAFETY: the caller's: 8 writable values.
        unsafe { _mm256_storeu_ps(to, v) }
    }

    #[inline(always)]
    fn add(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm256_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm256_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm256_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm256_div_ps(a, b) }
    }

    #[inline(always)]
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn relu(self, v: Self::V) -> Self::V {
        // SAFETY: see `splat`. `max` gives its second operand where one is NaN.
        unsafe { _mm256_max_ps(_mm256_setzero_ps(), v) }
    }

    #[inline(always)]
    fn gated(self, gate: Self::V, v: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe { _mm256_and_ps(_mm256_cmp_ps::<_CMP_NLE_UQ>(gate, _mm256_setzero_ps()), v) }
    }

    #[inline(always)]
    fn if_above(self, x: Self::V, y: Self::V, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let above = _mm256_cmp_ps::<_CMP_GT_OQ>(x, y);
            let nan = _mm256_cmp_ps::<_CMP_UNORD_Q>(x, x);
            _mm256_blendv_ps(b, a, _mm256_or_ps(above, nan))
        }
    }

    #[inline(always)]
    fn where_same(self, x: Self::V, y: Self::V, v: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let same = _mm256_cmpeq_epi32(_mm256_castps_si256(x), _mm256_castps_si256(y));
            _mm256_and_ps(_mm256_castsi256_ps(same), v)
        }
    }

    #[inline(always)]
    fn fetch(self, address: usize) {
        // SAFETY: see `splat`; no address is wrong.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::without_provenance(address)) }
    }

    #[inline(always)]
    fn sums_of_lanes(self, vectors: &[Self::V; 16]) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            // Lanes of four vectors side by side, summed once in each half; then the halves.
            let [a, b, c, d, e, f, g, h, ..] = *vectors;
            let first = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d));
            let second = _mm256_hadd_ps(_mm256_hadd_ps(e, f), _mm256_hadd_ps(g, h));
            let low = _mm256_permute2f128_ps::<0x20>(first, second);
            _mm256_add_ps(low, _mm256_permute2f128_ps::<0x31>(first, second))
        }
    }

    #[inline(always)]
    fn pow2(self, n: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let sum = _mm256_castps_si256(_mm256_add_ps(n, _mm256_set1_ps(POW2_OFFSET)));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(sum))
        }
    }

    #[inline(always)]
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V {
        // SAFETY: the caller's: 8 readable values of two bytes.
        unsafe {
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
        }
    }

    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut bf16, v: Self::V) {
        // SAFETY: the caller's: 8 writable values of two bytes.
        unsafe {
            let halves = _mm256_srli_epi32::<16>(rounded(v));
            let packed = _mm256_packus_epi32(halves, halves);
            let packed = _mm256_permute4x64_epi64::<0b1000>(packed);
            _mm_storeu_si128(to.cast(), _mm256_castsi256_si128(packed));
        }
    }

    #[inline(always)]
    fn pairs(self, a: Self::V, b: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let a = _mm256_srli_epi32::<16>(rounded(a));
            _mm256_castsi256_ps(_mm256_blend_epi16::<0b1010_1010>(a, rounded(b)))
        }
    }

    #[inline(always)]
    fn pairs_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V {
        // SAFETY: see `splat`.
        unsafe {
            let upper = _mm256_castsi256_ps(_mm256_set1_epi32(0xffff_0000_u32 as i32));
            let c = _mm256_fmadd_ps(_mm256_and_ps(a, upper), _mm256_and_ps(b, upper), c);
            _mm256_fmadd_ps(lower(a), lower(b), c)
        }
    }
}
