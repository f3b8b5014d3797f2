//! Learning-rate curves against torch.optim.lr_scheduler's.

use std::path::Path;

use cifar_train::{Schedule, ScheduleConfig};
use serde::Deserialize;

/// Largest relative error of a value.
const TOLERANCE: f64 = 1e-12;

/// One curve of `reference.py`.
#[derive(Debug, Deserialize)]
struct Curve {
    #[serde(flatten)]
    kind: Kind,
    total_steps: usize,
    peak_lr: f64,
    lr: Vec<f64>,
    beta1: Vec<f64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
enum Kind {
    OneCycle { pct_start: f64 },
    Cosine,
    Step { every: usize, gamma: f64 },
}

impl Kind {
    /// The schedule with torch's defaults.
    fn config(self) -> ScheduleConfig {
        match self {
            Self::OneCycle { pct_start } => ScheduleConfig::OneCycle {
                pct_start,
                div_factor: 25.0,
                final_div_factor: 1e4,
                base_momentum: 0.85,
                max_momentum: 0.95,
            },
            Self::Cosine => ScheduleConfig::Cosine { min_learning_rate: 0.0 },
            Self::Step { every, gamma } => ScheduleConfig::Step { step_size: every, gamma },
        }
    }
}

/// Compares every step of every curve in `file`.
pub(crate) fn compare(file: &Path) {
    let text = std::fs::read_to_string(file).unwrap();
    let curves: Vec<Curve> = serde_json::from_str(&text).unwrap();
    assert_eq!(curves.len(), 14);
    let mut worst = 0f64;
    for Curve { kind, total_steps, peak_lr, lr, beta1 } in curves {
        assert_eq!((lr.len(), beta1.len()), (total_steps, total_steps));
        let schedule = Schedule::new(kind.config(), peak_lr, total_steps);
        for step in 0..total_steps {
            let ours = schedule.at(step).unwrap();
            // 0.9 is the optimiser's own beta1, where the schedule leaves it alone.
            for (got, want) in
                [(ours.learning_rate, lr[step]), (ours.momentum.unwrap_or(0.9), beta1[step])]
            {
                let error = (got - want).abs() / want;
                assert!(
                    error <= TOLERANCE,
                    "{kind:?}, step {step} of {total_steps}: {got}, torch has {want}"
                );
                worst = worst.max(error);
            }
        }
    }
    println!("schedules: largest relative error {worst:.1e} of at most {TOLERANCE:.0e}");
}
