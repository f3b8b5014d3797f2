//! A network's tensor under its name, as optimisers and checkpoints see it.

use candle_core::Var;

/// A tensor that belongs to a network, under its PyTorch name.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Path in the `state_dict`, e.g. `layer1.0.conv.0.weight`.
    pub name: String,
    /// The tensor; setting it changes what the network computes.
    pub var: Var,
    /// Whether an optimiser changes it. False for running statistics and counters.
    pub trainable: bool,
}
