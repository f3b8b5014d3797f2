//! The transforms along one axis, of F(4, 3) and of F(2, 3) (Lavin and Gray 2015), and both ways.

use crate::simd::Simd;

/// What is done along one axis, `FROM` vectors to `TO`. A type and not a closure: a closure is
/// not inlined for certain, and then compiled without the instructions.
pub(in crate::conv::winograd) trait Along<const FROM: usize, const TO: usize> {
    fn axis<S: Simd>(s: S, from: [S::V; FROM]) -> [S::V; TO];
}

/// `Bᵀ d`: pixels to frequencies.
pub(in crate::conv::winograd) struct Pixels;

impl Along<6, 6> for Pixels {
    #[inline(always)]
    fn axis<S: Simd>(s: S, d: [S::V; 6]) -> [S::V; 6] {
        let [d0, d1, d2, d3, d4, d5] = d;
        let (two, four, five) = (s.splat(2.0), s.splat(4.0), s.splat(-5.0));
        let minus_four = s.splat(-4.0);
        let even = s.mul_add(minus_four, d2, d4);
        let odd = s.mul_add(minus_four, d1, d3);
        let (outer, inner) = (s.sub(d4, d2), s.mul(two, s.sub(d3, d1)));
        [
            s.mul_add(four, d0, s.mul_add(five, d2, d4)),
            s.add(even, odd),
            s.sub(even, odd),
            s.add(outer, inner),
            s.sub(outer, inner),
            s.mul_add(four, d1, s.mul_add(five, d3, d5)),
        ]
    }
}

impl Along<4, 4> for Pixels {
    #[inline(always)]
    fn axis<S: Simd>(s: S, [d0, d1, d2, d3]: [S::V; 4]) -> [S::V; 4] {
        [s.sub(d0, d2), s.add(d1, d2), s.sub(d2, d1), s.sub(d1, d3)]
    }
}

/// `Aᵀ m`: frequencies to results.
pub(in crate::conv::winograd) struct Frequencies;

impl Along<6, 4> for Frequencies {
    #[inline(always)]
    fn axis<S: Simd>(s: S, m: [S::V; 6]) -> [S::V; 4] {
        let [m0, m1, m2, m3, m4, m5] = m;
        let (sum, difference) = (s.add(m1, m2), s.sub(m1, m2));
        let (sum2, difference2) = (s.add(m3, m4), s.sub(m3, m4));
        [
            s.add(s.add(m0, sum), sum2),
            s.mul_add(s.splat(2.0), difference2, difference),
            s.mul_add(s.splat(4.0), sum2, sum),
            s.add(s.mul_add(s.splat(8.0), difference2, difference), m5),
        ]
    }
}

impl Along<4, 2> for Frequencies {
    #[inline(always)]
    fn axis<S: Simd>(s: S, [m0, m1, m2, m3]: [S::V; 4]) -> [S::V; 2] {
        [s.add(s.add(m0, m1), m2), s.sub(s.sub(m1, m2), m3)]
    }
}

/// `A y`: the gradient of results to that of frequencies, the transpose of [`Frequencies`].
pub(in crate::conv::winograd) struct ResultGradients;

impl Along<4, 6> for ResultGradients {
    #[inline(always)]
    fn axis<S: Simd>(s: S, y: [S::V; 4]) -> [S::V; 6] {
        let [y0, y1, y2, y3] = y;
        let (even, odd) = (s.add(y0, y2), s.add(y1, y3));
        let four = s.splat(4.0);
        let even2 = s.mul_add(four, y2, y0);
        let odd2 = s.mul(s.splat(2.0), s.mul_add(four, y3, y1));
        [y0, s.add(even, odd), s.sub(even, odd), s.add(even2, odd2), s.sub(even2, odd2), y3]
    }
}

impl Along<2, 4> for ResultGradients {
    #[inline(always)]
    fn axis<S: Simd>(s: S, [y0, y1]: [S::V; 2]) -> [S::V; 4] {
        [y0, s.add(y0, y1), s.sub(y0, y1), s.sub(s.splat(0.0), y1)]
    }
}

/// `G g`: taps to frequencies.
pub(in crate::conv::winograd) struct Taps;

impl Along<3, 6> for Taps {
    #[inline(always)]
    fn axis<S: Simd>(s: S, [g0, g1, g2]: [S::V; 3]) -> [S::V; 6] {
        let (ends, outer) = (s.add(g0, g2), s.mul_add(s.splat(4.0), g2, g0));
        let (sixth, small) = (s.splat(-1.0 / 6.0), s.splat(1.0 / 24.0));
        let double = s.add(g1, g1);
        [
            s.mul(s.splat(0.25), g0),
            s.mul(sixth, s.add(ends, g1)),
            s.mul(sixth, s.sub(ends, g1)),
            s.mul(small, s.add(outer, double)),
            s.mul(small, s.sub(outer, double)),
            g2,
        ]
    }
}

impl Along<3, 4> for Taps {
    #[inline(always)]
    fn axis<S: Simd>(s: S, [g0, g1, g2]: [S::V; 3]) -> [S::V; 4] {
        let (half, ends) = (s.splat(0.5), s.add(g0, g2));
        [g0, s.mul(half, s.add(ends, g1)), s.mul(half, s.sub(ends, g1)), g2]
    }
}

/// `Gᵀ m`: the gradient of frequencies to that of taps, the transpose of [`Taps`].
pub(in crate::conv::winograd) struct FrequencyGradients;

impl Along<6, 3> for FrequencyGradients {
    #[inline(always)]
    fn axis<S: Simd>(s: S, [m0, m1, m2, m3, m4, m5]: [S::V; 6]) -> [S::V; 3] {
        let (sixth, small) = (s.splat(-1.0 / 6.0), s.splat(1.0 / 24.0));
        let sum = s.mul(sixth, s.add(m1, m2));
        let sum2 = s.mul(small, s.add(m3, m4));
        let difference2 = s.mul(s.splat(1.0 / 12.0), s.sub(m3, m4));
        [
            s.mul_add(s.splat(0.25), m0, s.add(sum, sum2)),
            s.mul_add(sixth, s.sub(m1, m2), difference2),
            s.add(s.mul_add(s.splat(4.0), sum2, sum), m5),
        ]
    }
}

impl Along<4, 3> for FrequencyGradients {
    #[inline(always)]
    fn axis<S: Simd>(s: S, [m0, m1, m2, m3]: [S::V; 4]) -> [S::V; 3] {
        let half = s.splat(0.5);
        let sum = s.mul(half, s.add(m1, m2));
        [s.add(m0, sum), s.mul(half, s.sub(m1, m2)), s.add(sum, m3)]
    }
}

/// `T` along the columns of a square of vectors, then along its rows.
#[inline(always)]
pub(super) fn both_ways<S: Simd, T: Along<FROM, TO>, const FROM: usize, const TO: usize>(
    s: S,
    square: [[S::V; FROM]; FROM],
) -> [[S::V; TO]; TO] {
    let zero = s.splat(0.0);
    let mut half = [[zero; FROM]; TO];
    for j in 0..FROM {
        let mut column = [zero; FROM];
        for i in 0..FROM {
            column[i] = square[i][j];
        }
        let column = T::axis(s, column);
        for i in 0..TO {
            half[i][j] = column[i];
        }
    }
    let mut whole = [[zero; TO]; TO];
    for i in 0..TO {
        whole[i] = T::axis(s, half[i]);
    }
    whole
}
