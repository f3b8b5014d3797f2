/// The upper bits of an f32 that choose its bucket: sign, exponent, and three bits of the mantissa,
/// so that eight buckets share each power of two and each is 6 to 12 % wide.
const SHIFT: u32 = 20;
/// Buckets of one sign.
const N_MAGNITUDES: u32 = 1 << (31 - SHIFT);
/// Below `2^-40`, about 1e-12, magnitudes share one bucket around zero, as in TensorFlow's own
/// histograms.
const SMALLEST: u32 = (127 - 40) << (23 - SHIFT);

/// How many values lie where, for values from the smallest to the largest that an f32 holds: the
/// buckets widen with the distance from zero.
///
/// TensorFlow's buckets grow by a tenth each, which takes a search for every value; these are read
/// off its bits, so that looking at millions of weights takes milliseconds. A reader is told the
/// limits either way.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Histogram {
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) n_values: u64,
    pub(super) sum: f64,
    pub(super) sum_squares: f64,
    /// Upper limit and count of buckets in rising order. What lies between two buckets that hold
    /// something is one empty bucket.
    pub(super) buckets: Vec<(f64, u64)>,
}

impl Histogram {
    /// Counts `values`. Those that are not finite are left out; `None` where no other is there.
    pub(super) fn of(values: &[f32]) -> Option<Self> {
        let mut counts = vec![0; 2 * N_MAGNITUDES as usize];
        let (mut min, mut max) = (f32::INFINITY, f32::NEG_INFINITY);
        let (mut n_values, mut sum, mut sum_squares) = (0, 0.0, 0.0);
        for &value in values.iter().filter(|value| value.is_finite()) {
            counts[(value.to_bits() >> SHIFT) as usize] += 1;
            (min, max) = (min.min(value), max.max(value));
            n_values += 1;
            sum += f64::from(value);
            sum_squares += f64::from(value) * f64::from(value);
        }
        let (min, max) = (f64::from(min), f64::from(max));
        let buckets = buckets(&counts);
        (n_values > 0).then_some(Self { min, max, n_values, sum, sum_squares, buckets })
    }
}

/// The counts in order of the values, without the empty buckets but one before each gap's end.
fn buckets(counts: &[u64]) -> Vec<(f64, u64)> {
    let (positive, negative) = counts.split_at(N_MAGNITUDES as usize);
    let near_zero = |counts: &[u64]| counts[..SMALLEST as usize].iter().sum::<u64>();
    let magnitudes = SMALLEST..N_MAGNITUDES;
    let below = magnitudes.clone().rev().map(|m| (-edge(m + 1), -edge(m), negative[m as usize]));
    let zero = (-edge(SMALLEST), edge(SMALLEST), near_zero(positive) + near_zero(negative));
    let above = magnitudes.map(|m| (edge(m), edge(m + 1), positive[m as usize]));
    let mut buckets: Vec<(f64, u64)> = Vec::new();
    for (lower, upper, count) in below.chain([zero]).chain(above).filter(|bucket| bucket.2 > 0) {
        if buckets.last().is_none_or(|last| last.0 < lower) {
            buckets.push((lower, 0));
        }
        buckets.push((upper, count));
    }
    buckets
}

/// The least magnitude of bucket `m` of its sign.
fn edge(m: u32) -> f64 {
    f64::from(f32::from_bits(m << SHIFT).min(f32::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_value_is_counted_between_the_limits_of_its_bucket(
            values in prop::collection::vec(
                prop_oneof![any::<f32>(), -1f32..1.0, Just(0.0), Just(f32::MAX), Just(f32::MIN)],
                1..60,
            ),
        ) {
            let finite: Vec<f64> =
                values.iter().filter(|v| v.is_finite()).map(|&v| f64::from(v)).collect();
            let Some(histogram) = Histogram::of(&values) else {
                prop_assert!(finite.is_empty());
                return Ok(());
            };
            let buckets = &histogram.buckets;
            prop_assert_eq!(histogram.n_values as usize, finite.len());
            prop_assert!(finite.iter().all(|&v| (histogram.min..=histogram.max).contains(&v)));
            prop_assert!(finite.contains(&histogram.min) && finite.contains(&histogram.max));
            prop_assert!(buckets.windows(2).all(|pair| pair[0].0 < pair[1].0), "{buckets:?}");
            // The first bucket is empty: its limit is where the second begins.
            prop_assert_eq!(buckets[0].1, 0);
            for pair in buckets.windows(2) {
                let ((lower, _), (upper, count)) = (pair[0], pair[1]);
                let n_inside = finite.iter().filter(|&&v| lower < v && v < upper).count() as u64;
                let on_edge = finite.iter().filter(|&&v| v == lower || v == upper).count() as u64;
                prop_assert!(
                    (n_inside..=n_inside + on_edge).contains(&count),
                    "{count} of {n_inside} and {on_edge} on edges, {lower} to {upper}"
                );
            }
            let n_placed: u64 = buckets.iter().map(|bucket| bucket.1).sum();
            prop_assert_eq!(n_placed, histogram.n_values);
        }
    }

    #[test]
    fn sums_and_limits_of_a_few_values() {
        let histogram = Histogram::of(&[1.0, 1.0, -2.0, 0.0, f32::NAN]).unwrap();
        assert_eq!((histogram.min, histogram.max, histogram.n_values), (-2.0, 1.0, 4));
        assert_eq!((histogram.sum, histogram.sum_squares), (0.0, 6.0));
        let tiny = 2f64.powi(-40);
        assert_eq!(
            histogram.buckets,
            [(-2.25, 0), (-2.0, 1), (-tiny, 0), (tiny, 1), (1.0, 0), (1.125, 2)]
        );
    }

    #[test]
    fn buckets_are_at_most_an_eighth_wide() {
        let magnitudes = SMALLEST..N_MAGNITUDES / 2;
        assert!(magnitudes.clone().all(|m| edge(m + 1) / edge(m) <= 1.125));
        assert_eq!(edge(SMALLEST), 2f64.powi(-40));
    }
}
