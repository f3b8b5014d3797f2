//! A figure over the steps of a run, smoothed, in memory that does not grow with the run.

/// Points kept; more than any terminal has columns of dots.
const MAX_POINTS: usize = 1024;

/// An exponentially weighted mean that owes nothing to a first value.
#[derive(Debug, Clone)]
pub(super) struct Smoothed {
    keep: f64,
    sum: f64,
    weight: f64,
}

impl Smoothed {
    /// `window`: about how many of the latest values count; with 1 it is the latest alone.
    pub(super) fn over(window: f64) -> Self {
        Self { keep: 1.0 - 1.0 / window, sum: 0.0, weight: 0.0 }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.sum = self.keep * self.sum + (1.0 - self.keep) * value;
        self.weight = self.keep * self.weight + (1.0 - self.keep);
    }

    /// The mean, once there is a value.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

/// A curve over optimiser steps. Where it gets too long, every other point goes.
#[derive(Debug, Clone)]
pub(super) struct Curve {
    smoothed: Smoothed,
    /// Steps between two points that are kept.
    every: usize,
    kept: Vec<(usize, f64)>,
    latest: Option<(usize, f64)>,
}

impl Curve {
    /// See [`Smoothed::over`] for `window`.
    pub(super) fn over(window: f64) -> Self {
        Self { smoothed: Smoothed::over(window), every: 1, kept: Vec::new(), latest: None }
    }

    pub(super) fn push(&mut self, step: usize, value: f64) {
        self.smoothed.add(value);
        let Some(mean) = self.smoothed.mean() else { return };
        self.latest = Some((step, mean));
        if step.is_multiple_of(self.every) {
            self.kept.push((step, mean));
        }
        if self.kept.len() == MAX_POINTS {
            self.every *= 2;
            let every = self.every;
            self.kept.retain(|(step, _)| step.is_multiple_of(every));
        }
    }

    /// The points to draw, `(step, value)`, the last step's included.
    pub(super) fn points(&self) -> Vec<(f64, f64)> {
        let latest = self.latest.filter(|latest| self.kept.last() != Some(latest));
        self.kept.iter().copied().chain(latest).map(|(step, value)| (step as f64, value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latest(curve: &Curve) -> f64 {
        curve.points().last().unwrap().1
    }

    #[test]
    fn a_constant_stays_what_it_is_from_the_first_value_on() {
        let mut curve = Curve::over(50.0);
        for step in 1..=20 {
            curve.push(step, 2.5);
            assert!((latest(&curve) - 2.5).abs() < 1e-12, "step {step}");
        }
    }

    #[test]
    fn smoothing_follows_a_jump_slowly_and_a_window_of_one_at_once() {
        let (mut slow, mut prompt) = (Curve::over(50.0), Curve::over(1.0));
        for step in 1..=100 {
            slow.push(step, 0.0);
            prompt.push(step, 0.0);
        }
        slow.push(101, 1.0);
        prompt.push(101, 1.0);
        assert!(latest(&slow) < 0.05);
        assert_eq!(latest(&prompt), 1.0);
    }

    #[test]
    fn a_long_run_keeps_its_ends_and_few_points() {
        let mut curve = Curve::over(1.0);
        for step in 1..=100_003 {
            curve.push(step, step as f64);
        }
        let points = curve.points();
        assert!((MAX_POINTS / 4..=MAX_POINTS).contains(&points.len()), "{}", points.len());
        assert!(points.first().unwrap().0 < 1000.0);
        assert_eq!(points.last(), Some(&(100_003.0, 100_003.0)));
        assert!(points.iter().all(|(step, value)| step == value));
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}
