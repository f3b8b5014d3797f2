//! Axes whose ticks stand at round numbers (after Heckbert, "Nice Numbers for Graph Labels",
//! Graphics Gems, 1990).

use crate::text::grouped;

/// A stretch of numbers and how it is labelled.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) title: &'static str,
    pub(crate) ticks: Vec<Tick>,
    low: f64,
    high: f64,
    logarithmic: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) value: f64,
    pub(crate) label: String,
}

/// 1, 2 or 5 times a power of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Step {
    factor: f64,
    exponent: i32,
}

impl Step {
    pub(crate) fn value(self) -> f64 {
        self.times(1.0)
    }

    /// `n` steps, rounded only once.
    fn times(self, n: f64) -> f64 {
        let power = 10_f64.powi(self.exponent.abs());
        if self.exponent < 0 { n * self.factor / power } else { n * self.factor * power }
    }
}

/// The smallest step that takes at most `most` of its kind to reach over `span`, which is positive.
pub(crate) fn nice_step(span: f64, most: u32) -> Step {
    // The least positive number stands for an empty span.
    let least = (span / f64::from(most)).max(f64::MIN_POSITIVE);
    let first = least.log10().floor() as i32;
    let steps = (first..=first + 1)
        .flat_map(|exponent| [1.0, 2.0, 5.0].map(|factor| Step { factor, exponent }));
    let fits = |step: &Step| step.value() * (1.0 + 1e-9) >= least;
    steps.into_iter().find(fits).unwrap_or(Step { factor: 1.0, exponent: first + 2 })
}

/// Most intervals between the ticks of an axis.
const MAX_INTERVALS: u32 = 6;
/// Room for a tick's label on a level axis: `100,000` and some space.
const PIXELS_PER_TICK: u32 = 80;

impl Axis {
    /// From 0 to `last`, with ticks at whole numbers, as many as go into `width` pixels.
    pub(crate) fn counted(title: &'static str, last: usize, width: u32) -> Self {
        let high = last.max(1) as f64;
        let most = (width / PIXELS_PER_TICK).clamp(2, MAX_INTERVALS);
        let step = nice_step(high.max(f64::from(most)), most);
        Self { title, ticks: ticks(0.0, high, step), low: 0.0, high, logarithmic: false }
    }

    /// Without numbers, for names along it.
    pub(crate) fn unmarked() -> Self {
        Self { title: "", ticks: Vec::new(), low: 0.0, high: 1.0, logarithmic: false }
    }

    /// All finite `values`, widened to the next ticks.
    pub(crate) fn linear(title: &'static str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = match extent(values) {
            None => (0.0, 1.0),
            Some((low, high)) if low < high => (low, high),
            Some((0.0, _)) => (0.0, 1.0),
            // A constant runs through the middle.
            Some((value, _)) => (value - value.abs() / 2.0, value + value.abs() / 2.0),
        };
        let step = nice_step(high - low, MAX_INTERVALS);
        let low = step.times((low / step.value() + 1e-9).floor());
        let high = step.times((high / step.value() - 1e-9).ceil());
        Self { title, ticks: ticks(low, high, step), low, high, logarithmic: false }
    }

    /// All positive `values`, widened to 1, 2 or 5 times a power of ten. Others have no place on it.
    pub(crate) fn logarithmic(title: &'static str, values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = extent(values.filter(|&value| value > 0.0)).unwrap_or((1.0, 1.0));
        let first = least.log10().floor() as i32 - 1;
        let last = most.log10().ceil() as i32 + 1;
        let marks: Vec<Step> = (first..=last)
            .flat_map(|exponent| [1.0, 2.0, 5.0].map(|factor| Step { factor, exponent }))
            .collect();
        // Strictly inside, so that a constant has room on both sides.
        let from = marks.iter().rposition(|mark| mark.value() < least).unwrap_or(0);
        let to = marks.iter().position(|mark| mark.value() > most).unwrap_or(marks.len() - 1);
        let n_decades = (to - from) as i32 / 3;
        let every = (n_decades / MAX_INTERVALS as i32 + 1).max(1);
        let shown = |mark: &&Step| {
            n_decades < 3 || (mark.factor == 1.0 && mark.exponent.rem_euclid(every) == 0)
        };
        let tick =
            |mark: &Step| Tick { value: mark.value(), label: label(mark.value(), mark.exponent) };
        Self {
            title,
            ticks: marks[from..=to].iter().filter(shown).map(tick).collect(),
            low: marks[from].value(),
            high: marks[to].value(),
            logarithmic: true,
        }
    }

    /// Where `value` stands, from 0 at the axis' beginning to 1 at its end; none outside it.
    pub(crate) fn at(&self, value: f64) -> Option<f64> {
        let share = if self.logarithmic {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        // False for what is not a number.
        (-1e-9..=1.0 + 1e-9).contains(&share).then(|| share.clamp(0.0, 1.0))
    }
}

/// The smallest and the largest finite value.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |found, value| {
        let (low, high) = found.unwrap_or((value, value));
        Some((value.min(low), value.max(high)))
    })
}

fn ticks(low: f64, high: f64, step: Step) -> Vec<Tick> {
    let first = (low / step.value() - 1e-9).ceil() as i64;
    let last = (high / step.value() + 1e-9).floor() as i64;
    let tick = |n: i64| {
        let value = step.times(n as f64);
        Tick { value, label: label(value, step.exponent) }
    };
    (first..=last).map(tick).collect()
}

/// `value` with the digits down to that of `exponent`.
fn label(value: f64, exponent: i32) -> String {
    let sign = if value < 0.0 { "-" } else { "" };
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if exponent < -4 || size >= 1e7 {
        let n_digits = (size.log10().floor() as i32 - exponent).clamp(0, 15) as usize;
        format!("{sign}{size:.n_digits$e}")
    } else if exponent < 0 {
        format!("{sign}{size:.*}", exponent.unsigned_abs() as usize)
    } else {
        format!("{sign}{}", grouped(size.round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_the_axis_ends_at_them() {
        let axis = Axis::linear("", [2.31, 1.17, f64::NAN, f64::INFINITY].into_iter());
        assert_eq!(labels(&axis), ["1.0", "1.2", "1.4", "1.6", "1.8", "2.0", "2.2", "2.4"]);
        assert_eq!(
            (axis.at(1.0), axis.at(2.4), axis.at(2.5), axis.at(f64::NAN)),
            (Some(0.0), Some(1.0), None, None)
        );
        assert_eq!(
            labels(&Axis::linear("", [0.0, 3e-6].into_iter())),
            ["0", "5e-7", "1.0e-6", "1.5e-6", "2.0e-6", "2.5e-6", "3.0e-6"]
        );
        assert_eq!(
            labels(&Axis::counted("", 4221, 700)),
            ["0", "1,000", "2,000", "3,000", "4,000"]
        );
        assert_eq!(labels(&Axis::counted("", 4221, 260)), ["0", "2,000", "4,000"]);
        assert_eq!(labels(&Axis::counted("", 1, 700)), ["0", "1"]);
        assert_eq!(labels(&Axis::counted("", 0, 10)), ["0", "1"]);
    }

    #[test]
    fn a_constant_has_its_place_on_every_axis() {
        for value in [0.0, 0.01, -3.0, 1e-12, 7e9] {
            let axis = Axis::linear("", [value, value].into_iter());
            assert!(axis.at(value).is_some() && axis.ticks.len() >= 2, "{axis:?}");
        }
        let axis = Axis::logarithmic("", [1.0].into_iter());
        assert_eq!(labels(&axis), ["0.5", "1", "2"]);
        assert!(Axis::linear("", std::iter::empty()).at(0.5).is_some());
        assert_eq!(Axis::logarithmic("", [0.0].into_iter()).at(0.0), None);
    }

    #[test]
    fn a_logarithmic_axis_holds_its_values_and_has_few_ticks() {
        for (low, high) in [(0.3, 4.0), (1e-9, 1e9), (1.0, 1000.0), (5e-5, 5e-5)] {
            let axis = Axis::logarithmic("", [low, high].into_iter());
            assert!(axis.at(low).is_some() && axis.at(high).is_some());
            assert!((2..=12).contains(&axis.ticks.len()), "{axis:?}");
        }
        assert_eq!(
            labels(&Axis::logarithmic("", [0.3, 40.0].into_iter())),
            ["0.2", "0.5", "1", "2", "5", "10", "20", "50"]
        );
    }
}
