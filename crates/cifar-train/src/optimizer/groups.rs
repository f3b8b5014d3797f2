//! Parameters that are trained by rules of their own.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};

use super::{Optimizer, OptimizerConfig, OptimizerStateError};
use crate::error::TrainError;
use crate::recipe::{Recipe, RecipeError, require};
use crate::schedule::{Schedule, ScheduleConfig, ScheduleCursor, ScheduleError, StepSize};

/// Parameters with an update rule of their own, as written in a recipe: PyTorch's parameter groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ParameterGroup {
    /// Names of parameters, in which `*` stands for any run of characters. A parameter belongs to
    /// the first group that names it.
    pub parameters: Vec<String>,
    /// Epochs after which these parameters stay as they are; their schedule is that long. Absent:
    /// they are trained to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<u32>,
    /// The update rule.
    pub optimizer: OptimizerConfig,
    /// The curve of the learning rate. Absent: the recipe's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleConfig>,
}

impl ParameterGroup {
    pub(crate) fn check(&self) -> Result<(), RecipeError> {
        let n = self.parameters.len();
        require("parameter-groups.parameters", n, n >= 1, "at least 1 name")?;
        if let Some(epochs) = self.epochs {
            require("parameter-groups.epochs", epochs, epochs >= 1, "at least 1")?;
        }
        self.optimizer.check()?;
        self.schedule.map_or(Ok(()), |schedule| schedule.check())
    }
}

/// All optimisers of a run: one for each of the recipe's groups, and one for every parameter that
/// no group names.
#[derive(Debug)]
pub struct Optimizers {
    rest: Group,
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    optimizer: Optimizer,
    /// Base or peak.
    learning_rate: f64,
    cursor: ScheduleCursor,
    /// Which of all weights are its own.
    members: Vec<usize>,
}

impl Optimizers {
    /// Zero state for `weights`, each with its name; [`Optimizers::step`] takes gradients in the
    /// same order. The recipe's epochs have `steps_per_epoch` steps each.
    ///
    /// # Errors
    /// [`TrainError::ParameterGroup`] for a name that no parameter has; candle's, where the state
    /// cannot be allocated.
    pub fn new(
        recipe: &Recipe,
        weights: &[(String, Var)],
        steps_per_epoch: usize,
    ) -> Result<Self, TrainError> {
        let mut members = vec![Vec::new(); recipe.parameter_groups.len()];
        let mut rest = Vec::new();
        for (at, (weight, _)) in weights.iter().enumerate() {
            let names = |group: &ParameterGroup| group.parameters.iter().any(|p| fits(p, weight));
            match recipe.parameter_groups.iter().position(names) {
                Some(group) => members[group].push(at),
                None => rest.push(at),
            }
        }
        let patterns = recipe.parameter_groups.iter().flat_map(|group| &group.parameters);
        for pattern in patterns {
            if !weights.iter().any(|(weight, _)| fits(pattern, weight)) {
                let known = weights.iter().map(|(name, _)| name.clone()).collect();
                return Err(TrainError::ParameterGroup { pattern: pattern.clone(), known });
            }
        }
        let group = |members: Vec<usize>, optimizer: OptimizerConfig, schedule, epochs: u32| {
            let own = members.iter().map(|&at| weights[at].clone()).collect();
            let steps = epochs as usize * steps_per_epoch;
            let schedule = Schedule::new(schedule, optimizer.learning_rate(), steps);
            Ok::<_, TrainError>(Group {
                learning_rate: optimizer.learning_rate(),
                cursor: ScheduleCursor::new(schedule, 0),
                optimizer: Optimizer::new(optimizer, own)?,
                members,
            })
        };
        let groups = recipe.parameter_groups.iter().zip(members).map(|(config, members)| {
            let schedule = config.schedule.unwrap_or(recipe.schedule);
            group(members, config.optimizer, schedule, config.epochs.unwrap_or(recipe.epochs))
        });
        Ok(Self {
            groups: groups.collect::<Result<_, _>>()?,
            rest: group(rest, recipe.optimizer, recipe.schedule, recipe.epochs)?,
        })
    }

    /// Whether the next step changes each weight: those of a group that has come to its end stay as
    /// they are.
    pub fn moving(&self) -> Vec<bool> {
        let n_weights = [&self.rest].into_iter().chain(&self.groups).map(|g| g.members.len()).sum();
        let mut moving = vec![true; n_weights];
        for group in self.groups.iter().filter(|group| group.cursor.is_at_end()) {
            group.members.iter().for_each(|&at| moving[at] = false);
        }
        moving
    }

    /// Takes the next step: changes every weight, in place, by its gradient times
    /// `gradient_scale`. Returns what the parameters that no group names were moved by.
    ///
    /// # Errors
    /// [`ScheduleError::Overrun`] after the last step; candle's, for shapes that differ.
    pub fn step(
        &mut self,
        gradients: &[Tensor],
        gradient_scale: f64,
    ) -> Result<StepSize, TrainError> {
        let size = self.rest.cursor.advance()?;
        self.rest.step(gradients, size, gradient_scale)?;
        for group in &mut self.groups {
            // One that has come to its end stays as it is.
            if let Ok(size) = group.cursor.advance() {
                group.step(gradients, size, gradient_scale)?;
            }
        }
        Ok(size)
    }

    /// A step off the schedules: the parameters that no group names by `learning_rate`, each group
    /// by its own in the same ratio.
    ///
    /// # Errors
    /// candle's, for shapes that differ.
    pub(crate) fn step_at(
        &mut self,
        learning_rate: f64,
        gradients: &[Tensor],
        gradient_scale: f64,
    ) -> candle_core::Result<()> {
        let ratio = learning_rate / self.rest.learning_rate;
        for group in [&mut self.rest].into_iter().chain(&mut self.groups) {
            let size = StepSize { learning_rate: ratio * group.learning_rate, momentum: None };
            group.step(gradients, size, gradient_scale)?;
        }
        Ok(())
    }

    /// Checks that every step was taken.
    ///
    /// # Errors
    /// [`ScheduleError::Shortfall`] where steps are left.
    pub fn finish(&self) -> Result<(), ScheduleError> {
        self.rest.cursor.finish()
    }

    /// The whole state as named tensors: that of the parameters which no group names as
    /// [`Optimizer::state`] has it, that of the recipe's first group under `group0.`, and so on.
    /// Later steps do not change them.
    ///
    /// # Errors
    /// candle's, where a tensor cannot be made.
    pub fn state(&self) -> candle_core::Result<BTreeMap<String, Tensor>> {
        let mut all = self.rest.optimizer.state()?;
        for (at, group) in self.groups.iter().enumerate() {
            let state = group.optimizer.state()?.into_iter();
            all.extend(state.map(|(name, tensor)| (prefix(at) + &name, tensor)));
        }
        Ok(all)
    }

    /// Puts a saved state back, as it was when `step` steps had been taken.
    ///
    /// # Errors
    /// Names the first tensor that is missing, unexpected or of another shape.
    pub fn load_state(
        &mut self,
        mut state: BTreeMap<String, Tensor>,
        step: usize,
    ) -> Result<(), OptimizerStateError> {
        for (at, group) in self.groups.iter_mut().enumerate() {
            let prefix = prefix(at);
            let (own, others): (BTreeMap<_, _>, _) =
                state.into_iter().partition(|(name, _)| name.starts_with(&prefix));
            let own =
                own.into_iter().map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor));
            group.optimizer.load_state(own.collect())?;
            group.cursor.go_to(step);
            state = others;
        }
        self.rest.cursor.go_to(step);
        self.rest.optimizer.load_state(state)
    }
}

impl Group {
    fn step(
        &mut self,
        gradients: &[Tensor],
        size: StepSize,
        gradient_scale: f64,
    ) -> candle_core::Result<()> {
        let own: Vec<Tensor> = self.members.iter().map(|&at| gradients[at].clone()).collect();
        self.optimizer.step(&own, size, gradient_scale)
    }
}

/// What the names of a group's state begin with.
fn prefix(at: usize) -> String {
    format!("group{at}.")
}

/// Whether `name` is what `pattern` says, `*` being any run of characters.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, tail)) => name.strip_prefix(head).is_some_and(|rest| {
            let mut starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            starts.any(|at| fits(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests;
