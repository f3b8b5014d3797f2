//! Vectors of f32, one type per instruction set, and the way into code compiled for it.
//!
//! A kernel is written once, as an `#[inline(always)]` function generic over [`Simd`]; the macro
//! [`per_isa!`] makes a function of it that takes an [`Isa`](crate::isa::Isa) and calls the copy
//! compiled for that set.

#![expect(unsafe_code, reason = "vector instructions; see each SAFETY comment")]

use half::bf16;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod portable;

#[cfg(target_arch = "x86_64")]
pub(crate) use avx2::Avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) use avx512::Avx512;
pub(crate) use blocks::{in_blocks, load, store};
pub(crate) use portable::{Lane, Portable};

/// The operations on one vector. A value of an implementing type is a proof that the machine has
/// the instructions: it is made in [`per_isa!`] alone, after detection.
pub trait Simd: Copy {
    /// [`Simd::LANES`] values of f32.
    type V: Copy;
    const LANES: usize;
    /// Vectors of 8 values on the same machine, or fewer where these have fewer.
    type Eight: Simd;

    fn eight(self) -> Self::Eight;

    fn splat(self, value: f32) -> Self::V;
    /// # Safety
    /// `from` points to [`Simd::LANES`] readable values; no alignment is needed.
    unsafe fn load(self, from: *const f32) -> Self::V;
    /// # Safety
    /// `to` points to [`Simd::LANES`] writable values; no alignment is needed.
    unsafe fn store(self, to: *mut f32, v: Self::V);
    /// The first `n` of [`Simd::LANES`] values, then zeros.
    ///
    /// # Safety
    /// `from` points to `n` readable values, at most [`Simd::LANES`]; no alignment is needed.
    #[inline(always)]
    unsafe fn load_first(self, from: *const f32, n: usize) -> Self::V {
        let mut lanes = [0.0; 16];
        // SAFETY: the caller's; room for the vector of any instruction set.
        unsafe {
            lanes.as_mut_ptr().copy_from_nonoverlapping(from, n);
            self.load(lanes.as_ptr())
        }
    }
    fn add(self, a: Self::V, b: Self::V) -> Self::V;
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    fn div(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a·b + c`, rounded once where the machine can.
    fn mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// `max(v, 0)`; a NaN stays NaN.
    fn relu(self, v: Self::V) -> Self::V;
    /// `v` where `gate` is above 0 or NaN, else 0: the gradient of [`Simd::relu`].
    fn gated(self, gate: Self::V, v: Self::V) -> Self::V;
    /// `a` where `x` is above `y` or NaN, else `b`. The bits of `a` and `b` are left as they are.
    fn if_above(self, x: Self::V, y: Self::V, a: Self::V, b: Self::V) -> Self::V;
    /// `v` where `x` and `y` have the same bits, else 0.
    fn where_same(self, x: Self::V, y: Self::V, v: Self::V) -> Self::V;
    /// Has the cache line at an address, whatever is there, brought to the second-level cache.
    #[inline(always)]
    fn fetch(self, _address: usize) {}
    /// Two values by turns.
    ///
    /// # Safety
    /// `from` points to two readable values; no alignment is needed.
    unsafe fn splat_two(self, from: *const f32) -> Self::V {
        // SAFETY: the caller's; room for the vector of any instruction set.
        unsafe {
            let two = [*from, *from.add(1)];
            self.load(std::array::from_fn::<f32, 16, _>(|i| two[i % 2]).as_ptr())
        }
    }
    /// The sums of two lanes side by side each: those of `a`, then those of `b`.
    fn sums_of_two(self, a: Self::V, b: Self::V) -> Self::V {
        let mut lanes = [0.0; 32];
        // SAFETY: room for two vectors of any instruction set, and for one behind each pair.
        unsafe {
            self.store(lanes.as_mut_ptr(), a);
            self.store(lanes.as_mut_ptr().add(Self::LANES), b);
            let sums: [f32; 16] = std::array::from_fn(|i| lanes[2 * i] + lanes[2 * i + 1]);
            self.load(sums.as_ptr())
        }
    }
    /// In each lane the sum of all lanes of the vector for it; vectors without a lane are not looked at.
    #[inline(always)]
    fn sums_of_lanes(self, vectors: &[Self::V; 16]) -> Self::V {
        let mut sums = [0.0; 16];
        for (lane, sum) in sums.iter_mut().enumerate().take(Self::LANES) {
            let mut lanes = [0.0; 16];
            // SAFETY: room for the vector of any instruction set.
            unsafe { self.store(lanes.as_mut_ptr(), vectors[lane]) };
            *sum = lanes.iter().sum();
        }
        // SAFETY: as above.
        unsafe { self.load(sums.as_ptr()) }
    }
    /// `2^n` for whole `n` in `-126..=127`; anything for others.
    fn pow2(self, n: Self::V) -> Self::V;
    /// As [`Simd::load`], of bf16.
    ///
    /// # Safety
    /// As for [`Simd::load`].
    unsafe fn load_bf16(self, from: *const bf16) -> Self::V;
    /// As [`Simd::store`], of bf16: rounded to the nearest, ties to even; a NaN stays one.
    ///
    /// # Safety
    /// As for [`Simd::store`].
    unsafe fn store_bf16(self, to: *mut bf16, v: Self::V);
    /// Two vectors one behind the other, as by [`Simd::store_bf16`].
    ///
    /// # Safety
    /// `to` points to two vectors of writable values; no alignment is needed.
    #[inline(always)]
    unsafe fn store_two_bf16(self, to: *mut bf16, [a, b]: [Self::V; 2]) {
        // SAFETY: the caller's.
        unsafe {
            self.store_bf16(to, a);
            self.store_bf16(to.add(Self::LANES), b);
        }
    }
    /// Of three times 16 values of two bytes those 32 that `which` names, counted through all of them.
    ///
    /// # Safety
    /// Each of `from` points to 16 readable values, `to` to 32 writable ones; `which` is less than 48.
    #[inline(always)]
    unsafe fn choose(self, from: [*const u16; 3], which: &[u16; 32], to: *mut u16) {
        for (at, which) in which.iter().enumerate() {
            let which = usize::from(*which);
            // SAFETY: the caller's.
            unsafe { *to.add(at) = *from[which / 16].add(which % 16) };
        }
    }
    /// The bits of a [`Pair`](crate::factor::Pair) in each lane: `a` and `b`, rounded as by [`Simd::store_bf16`].
    fn pairs(self, a: Self::V, b: Self::V) -> Self::V;
    /// The bits of the [`Pair`](crate::factor::Pair)s that two vectors of values of `a` make with those of `b`.
    ///
    /// # Safety
    /// `a` and `b` point to two vectors of readable values each; no alignment is needed.
    #[inline(always)]
    unsafe fn pair_up(self, a: *const bf16, b: *const bf16) -> [Self::V; 2] {
        [0, Self::LANES].map(|at| {
            // SAFETY: the caller's.
            unsafe { self.pairs(self.load_bf16(a.add(at)), self.load_bf16(b.add(at))) }
        })
    }
    /// `c` and both products of the [`Pair`](crate::factor::Pair)s whose bits `a` and `b` are. Some machines take
    /// subnormal values for 0 here.
    fn pairs_mul_add(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
}

/// Added to a whole number in `-126..=127`, it puts the exponent field of the number's power of two
/// into the lowest bits of the sum: `2^23`, whose last place is 1, and the field's bias.
const POW2_OFFSET: f32 = 8_388_608.0 + 127.0;

/// `per_isa!(pub(crate) fn NAME(ARGUMENTS) = BODY)`: a function `NAME(isa, ARGUMENTS)` that calls
/// `BODY::<S, M>(simd, ARGUMENTS)`, compiled for each instruction set, with `M` the rows of a tile
/// that suit its registers. `NAME<T: Bound; const N: usize>(…) where […]` has type and constant
/// parameters too, which the body has between `S` and `M`. Where no `T::BF16` is true, what is compiled
/// for AVX-512 serves with BF16 as well.
///
/// `BODY` and everything hot under it must be `#[inline(always)]`, or it is compiled without the
/// instructions. The generated function is `unsafe` exactly as far as `BODY` is: both are.
macro_rules! per_isa {
    (
        $(#[$doc:meta])* $vis:vis unsafe fn $name:ident
        $(<$($type:ident: $bound:path),* $(; $(const $n:ident: usize),*)?>)?
        ($($arg:ident: $of:ty),* $(,)?)
        $(where [$($condition:tt)*])? = $body:ident
    ) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments, reason = "as many as the body has")]
        $vis unsafe fn $name$(<$($type: $bound,)* $($(const $n: usize,)*)?>)?(
            isa: $crate::isa::Isa, $($arg: $of),*
        ) $(where $($condition)*)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
            unsafe fn avx512_bf16$(<$($type: $bound,)* $($(const $n: usize,)*)?>)?($($arg: $of),*)
            $(where $($condition)*)? {
                // SAFETY: the caller's, and the instructions are there.
                unsafe {
                    let simd = $crate::simd::Avx512::<true>::new();
                    $body::<_, $($($type,)* $($($n,)*)?)? 8>(simd, $($arg),*)
                }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            unsafe fn avx512$(<$($type: $bound,)* $($(const $n: usize,)*)?>)?($($arg: $of),*)
            $(where $($condition)*)? {
                // SAFETY: the caller's, and the instructions are there.
                unsafe {
                    let simd = $crate::simd::Avx512::<false>::new();
                    $body::<_, $($($type,)* $($($n,)*)?)? 8>(simd, $($arg),*)
                }
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2$(<$($type: $bound,)* $($(const $n: usize,)*)?>)?($($arg: $of),*)
            $(where $($condition)*)? {
                // SAFETY: the caller's, and the instructions are there.
                unsafe {
                    let simd = $crate::simd::Avx2::new();
                    $body::<_, $($($type,)* $($($n,)*)?)? 6>(simd, $($arg),*)
                }
            }
            match isa {
                // SAFETY: the caller's; an `Isa` above `Portable` comes from detection.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx512Bf16 if false $($(|| $type::BF16)*)? => unsafe {
                    avx512_bf16$(::<$($type,)* $($($n,)*)?>)?($($arg),*)
                },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx512 | $crate::isa::Isa::Avx512Bf16 => unsafe {
                    avx512$(::<$($type,)* $($($n,)*)?>)?($($arg),*)
                },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::isa::Isa::Avx2 => unsafe {
                    avx2$(::<$($type,)* $($($n,)*)?>)?($($arg),*)
                },
                // SAFETY: the caller's.
                _ => unsafe {
                    $body::<_, $($($type,)* $($($n,)*)?)? 6>($crate::simd::Portable, $($arg),*)
                },
            }
        }
    };
}
pub(crate) use per_isa;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;

    per_isa! {
        unsafe fn two_by_two(values: &[f32; 32], turns: &mut [f32; 16], sums: &mut [f32; 16]) = two_by_two_body
    }

    /// The first two by turns, and the sums of all.
    #[inline(always)]
    unsafe fn two_by_two_body<S: Simd, const M: usize>(
        s: S,
        values: &[f32; 32],
        turns: &mut [f32; 16],
        sums: &mut [f32; 16],
    ) {
        for at in (0..16).step_by(S::LANES) {
            // SAFETY: a vector of each result, and two of the values.
            unsafe {
                s.store(turns.as_mut_ptr().add(at), s.splat_two(values.as_ptr()));
                let [a, b] = [0, S::LANES].map(|next| s.load(values.as_ptr().add(2 * at + next)));
                s.store(sums.as_mut_ptr().add(at), s.sums_of_two(a, b));
            }
        }
    }

    per_isa! {
        unsafe fn first_and_sums(n: usize, values: &[f32; 256], first: &mut [f32; 16], sums: &mut [f32; 16])
            = first_and_sums_body
    }

    /// The first `n` values, and the sums of 16 vectors.
    #[inline(always)]
    unsafe fn first_and_sums_body<S: Simd, const M: usize>(
        s: S,
        n: usize,
        values: &[f32; 256],
        first: &mut [f32; 16],
        sums: &mut [f32; 16],
    ) {
        // SAFETY: `n` values, vectors of each result, and 16 of the values.
        unsafe {
            s.store(first.as_mut_ptr(), s.load_first(values.as_ptr(), n.min(S::LANES)));
            let vectors = std::array::from_fn(|at| s.load(values.as_ptr().add(at * S::LANES)));
            s.store(sums.as_mut_ptr(), s.sums_of_lanes(&vectors));
        }
    }

    #[test]
    fn lanes_are_left_out_and_summed() {
        let values: [f32; 256] = std::array::from_fn(|i| (i * i % 101) as f32);
        for isa in Isa::available() {
            let lanes = if isa >= Isa::Avx512 { 16 } else { 8 };
            for n in 0..=16 {
                let [mut first, mut sums] = [[0.0; 16]; 2];
                // SAFETY: nothing is asked of the caller.
                unsafe { first_and_sums(isa, n, &values, &mut first, &mut sums) };
                for i in 0..lanes {
                    let of_lane: f32 = values[i * lanes..][..lanes].iter().sum();
                    assert_eq!(sums[i], of_lane, "{isa} {i}");
                    assert_eq!(first[i], if i < n { values[i] } else { 0.0 }, "{isa} {n} {i}");
                }
            }
        }
    }

    per_isa! {
        unsafe fn choose_32(from: &[u16; 48], which: &[u16; 32], to: &mut [u16; 32]) = choose_32_body
    }

    #[inline(always)]
    unsafe fn choose_32_body<S: Simd, const M: usize>(
        s: S,
        from: &[u16; 48],
        which: &[u16; 32],
        to: &mut [u16; 32],
    ) {
        let rows = std::array::from_fn(|row| from[16 * row..].as_ptr());
        // SAFETY: 16 values from each start; 32 of the others.
        unsafe { s.choose(rows, which, to.as_mut_ptr()) };
    }

    #[test]
    fn values_are_chosen_by_number() {
        let from: [u16; 48] = std::array::from_fn(|at| 1000 + at as u16);
        let which: [u16; 32] = std::array::from_fn(|at| (at * 37 % 48) as u16);
        for isa in Isa::available() {
            let mut to = [0; 32];
            // SAFETY: the numbers are less than 48.
            unsafe { choose_32(isa, &from, &which, &mut to) };
            assert_eq!(to, which.map(|at| 1000 + at), "{isa}");
        }
    }

    per_isa! {
        unsafe fn pair_32(a: &[bf16; 32], b: &[bf16; 32], to: &mut [f32; 32]) = pair_32_body
    }

    #[inline(always)]
    unsafe fn pair_32_body<S: Simd, const M: usize>(
        s: S,
        a: &[bf16; 32],
        b: &[bf16; 32],
        to: &mut [f32; 32],
    ) {
        for at in (0..32).step_by(2 * S::LANES) {
            // SAFETY: two vectors of each.
            unsafe {
                let pairs = s.pair_up(a.as_ptr().add(at), b.as_ptr().add(at));
                for (vector, pairs) in pairs.into_iter().enumerate() {
                    s.store(to.as_mut_ptr().add(at + vector * S::LANES), pairs);
                }
            }
        }
    }

    #[test]
    fn rows_are_paired_up() {
        let [a, b] = [1, 100]
            .map(|first| std::array::from_fn::<_, 32, _>(|at| bf16::from_f32((first + at) as f32)));
        for isa in Isa::available() {
            let mut to = [0.0; 32];
            // SAFETY: nothing is asked of the caller.
            unsafe { pair_32(isa, &a, &b, &mut to) };
            for at in 0..32 {
                let want = u32::from(b[at].to_bits()) << 16 | u32::from(a[at].to_bits());
                assert_eq!(to[at].to_bits(), want, "{isa} {at}");
            }
        }
    }

    per_isa! {
        unsafe fn store_two(values: &[f32; 32], to: &mut [bf16; 32]) = store_two_body
    }

    #[inline(always)]
    unsafe fn store_two_body<S: Simd, const M: usize>(
        s: S,
        values: &[f32; 32],
        to: &mut [bf16; 32],
    ) {
        for at in (0..32).step_by(2 * S::LANES) {
            // SAFETY: two vectors of both.
            unsafe {
                let both = [at, at + S::LANES].map(|at| s.load(values.as_ptr().add(at)));
                s.store_two_bf16(to.as_mut_ptr().add(at), both);
            }
        }
    }

    #[test]
    fn two_vectors_are_stored_one_behind_the_other() {
        let values: [f32; 32] = std::array::from_fn(|at| 1.0 / (3 + at) as f32);
        for isa in Isa::available() {
            let mut to = [bf16::ZERO; 32];
            // SAFETY: nothing is asked of the caller.
            unsafe { store_two(isa, &values, &mut to) };
            assert_eq!(to, values.map(bf16::from_f32), "{isa}");
        }
    }

    #[test]
    fn lanes_side_by_side() {
        let values: [f32; 32] = std::array::from_fn(|i| (i * i) as f32);
        for isa in Isa::available() {
            let [mut turns, mut sums] = [[0.0; 16]; 2];
            // SAFETY: nothing is asked of the caller.
            unsafe { two_by_two(isa, &values, &mut turns, &mut sums) };
            for i in 0..16 {
                assert_eq!(turns[i], values[i % 2], "{isa} {i}");
                assert_eq!(sums[i], values[2 * i] + values[2 * i + 1], "{isa} {i}");
            }
        }
    }
}
