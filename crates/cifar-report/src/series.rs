//! Rows of points, smoothed and thinned for drawing.

use crate::drawing::{Point, Stroke};
use crate::legend::{Entry, Sample};

/// Radius of the dot at a point.
pub(crate) const DOT_RADIUS: f64 = 4.0;

/// Points that belong together.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) stroke: Stroke,
    /// Whether every point has a dot; a single point has one in any case.
    pub(crate) dots: bool,
    pub(crate) points: Vec<Point>,
}

impl Series {
    pub(crate) fn entry(&self) -> Entry {
        let sample = Sample::Line { stroke: self.stroke, dot: self.dots };
        Entry { sample, text: self.name.clone() }
    }
}

/// Number of points whose mean [`smooth`] takes for a series of `n` points: odd, about a fiftieth
/// of them.
pub(crate) fn smoothing_window(n: usize) -> usize {
    n / 100 * 2 + 1
}

/// The mean over a window around each point, shorter at both ends. Not a number counts as absent.
pub(crate) fn smooth(points: &[Point], window: usize) -> Vec<Point> {
    let finite: Vec<Point> = points.iter().copied().filter(|point| point.1.is_finite()).collect();
    let mut sums = vec![0.0];
    sums.extend(finite.iter().scan(0.0, |sum, point| {
        *sum += point.1;
        Some(*sum)
    }));
    let mean = |(index, point): (usize, &Point)| {
        let reach = window / 2;
        let (from, to) = (index.saturating_sub(reach), (index + reach + 1).min(finite.len()));
        (point.0, (sums[to] - sums[from]) / (to - from) as f64)
    };
    finite.iter().enumerate().map(mean).collect()
}

/// At most two points a column of pixels, its highest and its lowest, in their order: the picture
/// is the same, a file of shapes much smaller. `points` are in pixels, from left to right; the
/// places in them of those to keep are returned.
pub(crate) fn thin(points: &[Point]) -> Vec<usize> {
    let mut kept = Vec::new();
    let places: Vec<usize> = (0..points.len()).collect();
    for column in places.chunk_by(|&a, &b| points[a].0.floor() == points[b].0.floor()) {
        let by_height = |a: &&usize, b: &&usize| points[**a].1.total_cmp(&points[**b].1);
        let (low, high) = (column.iter().min_by(by_height), column.iter().max_by(by_height));
        let mut ends: Vec<usize> = low.into_iter().chain(high).copied().collect();
        ends.sort_unstable();
        ends.dedup();
        kept.extend(ends);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_keeps_lines_straight_and_skips_what_is_no_number() {
        let mut line: Vec<Point> = (0..50).map(|i| (f64::from(i), 2.0 * f64::from(i))).collect();
        assert_eq!(smooth(&line, 5)[2..48], line[2..48]);
        assert_eq!(smooth(&line, 5)[0], (0.0, 2.0), "of the first three");
        line.push((50.0, f64::NAN));
        assert_eq!(smooth(&line, 5).len(), 50);
        assert_eq!(smooth(&[(0.0, 0.0), (1.0, 3.0), (2.0, 0.0)], 3)[1], (1.0, 1.0));
        assert_eq!(smooth(&[], 3), []);
        assert_eq!([1, 99, 100, 4221].map(smoothing_window), [1, 1, 3, 85]);
    }

    #[test]
    fn thinning_keeps_the_extremes_of_every_column() {
        let points: Vec<Point> =
            (0..1000).map(|i| (f64::from(i) / 100.0, f64::from(i * 37 % 101))).collect();
        let thinned: Vec<Point> = thin(&points).iter().map(|&kept| points[kept]).collect();
        assert_eq!(thinned.len(), 20);
        assert!(thinned.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(thinned.iter().map(|p| p.1).fold(0.0, f64::max), 100.0);
        let few = [(0.0, 1.0), (10.0, 2.0)];
        assert_eq!(thin(&few), [0, 1]);
    }
}
