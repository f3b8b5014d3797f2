//! Checks that find what usually goes wrong before, or instead of, a long run: the data, the
//! recipe, the network's first passes, its learning rate, a run's checkpoint. They follow Karpathy's
//! [recipe for training neural networks](https://karpathy.github.io/2019/04/25/recipe/).
//!
//! What measures (`first_pass`, `relu_outputs`, `overfit_one_batch`) is apart from what judges, which
//! are plain functions of figures and return a [`Finding`]. Whatever measures gives the learner's
//! variables their values back.

mod data;
mod learning;
mod network;
mod run;

use serde::Serialize;

pub use data::{duplicates, label_balance, normalization};
pub use learning::{
    OVERFIT_IMAGES, OVERFIT_STEPS, Overfit, learning_rate, overfit, overfit_one_batch, schedule,
};
pub use network::{
    FirstPass, ReluOutput, dead_activations, first_pass, gradients, initial_loss, relu_outputs,
};
pub use run::{checkpoint_accuracy, checkpoint_length};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// May be meant; worth a look.
    Warning,
    /// Training will fail, or its result will be wrong.
    Problem,
}

/// The outcome of one check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Short name of the check.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was found, with its figures.
    pub found: String,
    /// What that means.
    pub meaning: &'static str,
    /// What to do; none where nothing is to be done.
    pub remedy: Option<&'static str>,
}

impl Finding {
    fn ok(check: &'static str, found: String, meaning: &'static str) -> Self {
        Self { check, level: Level::Ok, found, meaning, remedy: None }
    }

    fn warning(
        check: &'static str,
        found: String,
        meaning: &'static str,
        remedy: &'static str,
    ) -> Self {
        Self { check, level: Level::Warning, found, meaning, remedy: Some(remedy) }
    }

    fn problem(
        check: &'static str,
        found: String,
        meaning: &'static str,
        remedy: &'static str,
    ) -> Self {
        Self { check, level: Level::Problem, found, meaning, remedy: Some(remedy) }
    }
}

/// The first few of `names`, and how many more there are.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 5;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text += &format!(" and {} more", names.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests;
