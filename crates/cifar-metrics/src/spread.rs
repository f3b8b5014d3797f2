//! A figure's mean over runs, and how sure it is.

use serde::Serialize;

/// Mean and spread of the figures of several runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Number of figures.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Standard deviation of a sample, divided by `n - 1`; none of a single figure.
    pub sd: Option<f64>,
    /// Half of the 95 % interval of the mean by Student's t, which takes the figures for normally
    /// distributed: the interval is `mean ± half_width`.
    pub half_width: Option<f64>,
}

impl Spread {
    /// None of no figures.
    pub fn of(figures: &[f64]) -> Option<Self> {
        let n = figures.len();
        if n == 0 {
            return None;
        }
        let mean = figures.iter().sum::<f64>() / n as f64;
        let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
        let sd = (n > 1).then(|| (squares / (n - 1) as f64).sqrt());
        let half_width = sd.map(|sd| student_t(n - 1) * sd / (n as f64).sqrt());
        Some(Self { n, mean, sd, half_width })
    }
}

/// The 97.5 % quantile of Student's t with `n` degrees of freedom, to three digits.
fn student_t(n: usize) -> f64 {
    const FEW: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    if let Some(&t) = n.checked_sub(1).and_then(|at| FEW.get(at)) {
        return t;
    }
    // Abramowitz and Stegun 1964, 26.7.5, with the normal distribution's quantile.
    let (z, n) = (1.959_964_f64, n as f64);
    let first = (z.powi(3) + z) / (4.0 * n);
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * n * n);
    let third = 3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z;
    z + first + second + third / (384.0 * n.powi(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_figures_by_hand() {
        let spread = Spread::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((spread.n, spread.mean), (4, 2.5));
        assert!((spread.sd.unwrap() - 1.290_994_448_7).abs() < 1e-9);
        // 3.182 · 1.29099 / 2
        assert!((spread.half_width.unwrap() - 2.053_97).abs() < 1e-4);
        let one = Spread::of(&[0.5]).unwrap();
        assert_eq!((one.sd, one.half_width), (None, None));
        assert_eq!(Spread::of(&[]), None);
    }

    /// `scipy.stats.t.ppf(0.975, n)`
    #[test]
    fn the_quantiles_are_those_of_the_tables() {
        for (n, want) in [(1, 12.706), (10, 2.228), (11, 2.201), (20, 2.086), (199, 1.972)] {
            assert!((student_t(n) - want).abs() < 1e-3, "{n}: {}", student_t(n));
        }
    }
}
