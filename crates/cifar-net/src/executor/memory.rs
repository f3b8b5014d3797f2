//! Which buffer holds which gradient: a buffer is used again as soon as its gradient is spent.

use super::plan::{Op, Plan, ValueId};

/// Index of a buffer of gradients.
pub(super) type BufferId = usize;

/// One step of the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The gradients of an operation, from that of its result in `dy`.
    Operation {
        /// Index in the plan.
        at: usize,
        dy: BufferId,
        dx: Into,
    },
    /// Adds one buffer to another.
    Add { from: BufferId, to: BufferId, value: ValueId },
    /// Copies one buffer to another.
    Copy { from: BufferId, to: BufferId, value: ValueId },
}

/// Where the gradient of an operation's input goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    /// Nobody asks for it.
    Nowhere,
    /// Takes the place of the result's.
    InPlace,
    /// Overwrites another buffer.
    Write(BufferId),
    /// Is added to another buffer, which holds the gradient by another way.
    Accumulate(BufferId),
}

/// The backward pass of a plan.
#[derive(Debug, Clone)]
pub(super) struct Gradients {
    /// All steps, from the logits to the images.
    pub(super) steps: Vec<Step>,
    /// Those that are taken.
    n_wanted: usize,
    /// Values of each buffer for one image.
    pub(super) buffers: Vec<usize>,
    /// Where the gradient of the logits is put.
    pub(super) of_logits: BufferId,
}

impl Gradients {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut pool = Pool { buffers: Vec::new(), free: Vec::new() };
        let mut held: Vec<Option<BufferId>> = vec![None; plan.values.len()];
        let of_logits = pool.take(plan.values[plan.output].len());
        held[plan.output] = Some(of_logits);
        let mut steps = Vec::new();
        for (at, operation) in plan.operations.iter().enumerate().rev() {
            let Some(dy) = held[operation.output].take() else { continue };
            let (input, output) = (operation.input, operation.output);
            let len = plan.values[input].len();
            let mut step = |dx| steps.push(Step::Operation { at, dy, dx });
            match (&operation.op, input, held[input]) {
                // Out of place. Images have no gradient.
                (
                    Op::Conv { .. } | Op::MaxPool { .. } | Op::AvgPool(_) | Op::GlobalAvgPool,
                    0,
                    _,
                ) => {
                    step(Into::Nowhere);
                    pool.give(dy);
                }
                (Op::Conv { .. }, _, Some(dx)) => {
                    step(Into::Accumulate(dx));
                    pool.give(dy);
                }
                (
                    Op::Conv { .. } | Op::MaxPool { .. } | Op::AvgPool(_) | Op::GlobalAvgPool,
                    _,
                    had,
                ) => {
                    let dx = pool.take(len);
                    step(Into::Write(dx));
                    pool.give(dy);
                    settle(&mut steps, &mut held, &mut pool, input, had, dx);
                }
                (
                    Op::Activation(_)
                    | Op::Scale(_)
                    | Op::Dropout(_)
                    | Op::BatchNorm { residual: None, .. },
                    _,
                    had,
                ) => {
                    step(Into::InPlace);
                    settle(&mut steps, &mut held, &mut pool, input, had, dy);
                }
                // What the activation lets pass goes both ways.
                (Op::BatchNorm { residual: Some(residual), .. }, _, _) => {
                    let dx = pool.take(len);
                    step(Into::Write(dx));
                    let had = held[*residual];
                    settle(&mut steps, &mut held, &mut pool, *residual, had, dy);
                    let had = held[input];
                    settle(&mut steps, &mut held, &mut pool, input, had, dx);
                }
                (Op::Add { residual, .. }, _, _) => {
                    step(Into::InPlace);
                    let copy = pool.take(len);
                    steps.push(Step::Copy { from: dy, to: copy, value: output });
                    let had = held[*residual];
                    settle(&mut steps, &mut held, &mut pool, *residual, had, dy);
                    let had = held[input];
                    settle(&mut steps, &mut held, &mut pool, input, had, copy);
                }
            }
        }
        Self { n_wanted: steps.len(), steps, buffers: pool.buffers, of_logits }
    }

    /// The steps that are taken: those up to the last with a wanted gradient.
    pub(super) fn wanted_steps(&self) -> &[Step] {
        &self.steps[..self.n_wanted]
    }

    /// From now on takes no step behind the last whose operation is `wanted`.
    pub(super) fn stop_after(&mut self, wanted: impl Fn(usize) -> bool) {
        let is_wanted = |step: &Step| matches!(step, Step::Operation { at, .. } if wanted(*at));
        self.n_wanted = self.steps.iter().rposition(is_wanted).map_or(0, |last| last + 1);
    }
}

/// Makes `new` the gradient of `value`, or adds it to the one there is.
fn settle(
    steps: &mut Vec<Step>,
    held: &mut [Option<BufferId>],
    pool: &mut Pool,
    value: ValueId,
    had: Option<BufferId>,
    new: BufferId,
) {
    match had {
        _ if value == 0 => pool.give(new),
        None => held[value] = Some(new),
        Some(to) => {
            steps.push(Step::Add { from: new, to, value });
            pool.give(new);
        }
    }
}

/// Buffers, and those that hold nothing now.
struct Pool {
    buffers: Vec<usize>,
    free: Vec<BufferId>,
}

impl Pool {
    /// A free buffer of at least `len` values: the tightest, else the largest, which grows, else
    /// a new one.
    fn take(&mut self, len: usize) -> BufferId {
        let lens = &self.buffers;
        let tightest = self.free.iter().copied().filter(|&id| lens[id] >= len);
        let found = tightest
            .min_by_key(|&id| lens[id])
            .or_else(|| self.free.iter().copied().max_by_key(|&id| lens[id]));
        match found {
            Some(id) => {
                self.free.retain(|&free| free != id);
                self.buffers[id] = self.buffers[id].max(len);
                id
            }
            None => {
                self.buffers.push(len);
                self.buffers.len() - 1
            }
        }
    }

    fn give(&mut self, id: BufferId) {
        self.free.push(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Mode, test_nets};

    /// Replays the steps and checks that every gradient is where its reader looks for it.
    #[test]
    fn no_buffer_is_overwritten_while_it_is_needed() {
        let plan = Plan::new(&test_nets::residual(), Mode::Train).unwrap();
        let gradients = Gradients::new(&plan);
        let mut holds: Vec<Option<ValueId>> = vec![None; gradients.buffers.len()];
        holds[gradients.of_logits] = Some(plan.output);
        for step in &gradients.steps {
            match *step {
                Step::Operation { at, dy, dx } => {
                    let operation = &plan.operations[at];
                    assert_eq!(holds[dy], Some(operation.output), "{}", operation.path);
                    match dx {
                        Into::Nowhere => assert_eq!(operation.input, 0),
                        Into::InPlace => {}
                        Into::Write(dx) => assert_ne!(dx, dy),
                        Into::Accumulate(dx) => assert_eq!(holds[dx], Some(operation.input)),
                    }
                    let residual = operation.inputs().nth(1);
                    match dx {
                        Into::Write(dx) => {
                            holds[dx] = Some(operation.input);
                            holds[dy] = residual;
                        }
                        Into::InPlace => holds[dy] = residual.or(Some(operation.input)),
                        _ => holds[dy] = None,
                    }
                }
                Step::Add { from, to, value } => {
                    assert_eq!(holds[to], Some(value));
                    holds[from] = None;
                }
                Step::Copy { from, to, .. } => {
                    let Some(residual) = holds[from] else { panic!("a copy of nothing") };
                    let add = plan.operations.iter().find(|operation| {
                        matches!(operation.op, Op::Add { residual: r, .. } if r == residual)
                    });
                    holds[to] = add.map(|add| add.input);
                }
            }
        }
    }
}
