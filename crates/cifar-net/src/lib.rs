//! An architecture as data, and what reads it.
//!
//! A [`Net`] is a tree of named [`Node`]s: plain enums and structs, no tensors, no behaviour
//! hidden behind traits. The names are those of the PyTorch module it mirrors, so the paths that
//! come out of a walk (`layer1.0.conv.0.weight`) are the keys of that module's `state_dict`.
//! Everything else is a reader of the same tree:
//!
//! - [`Net::steps`] walks it in execution order with the shape before and after every layer;
//! - [`Net::parameters`] lists the tensors it needs, in `state_dict` order, and how each begins;
//! - [`Net::stages`] finds the outputs worth looking at;
//! - [`Net::summary`] and [`Net::multiply_adds`] count;
//! - [`CandleNet`] runs it with candle's ops and autograd on any device. It is the specification
//!   that faster readers are compared with.
//! - [`Executor`] trains it on the CPU without autograd, in memory planned ahead; [`Inference`] is
//!   its frozen counterpart.
//!
//! A reader of its own kind matches on [`Layer`] and recurses into [`Layer::children`].
//!
//! ```
//! use cifar_net::{Activation, Conv2d, Layer, Linear, Net, Node};
//!
//! let net = Net {
//!     name: "tiny".into(),
//!     input: [3, 32, 32],
//!     n_classes: 10,
//!     layers: vec![
//!         Node::new("conv", Conv2d::new(3, 8, 3).stride(2).padding(1)),
//!         Node::new("relu", Activation::Relu),
//!         Node::new("pool", Layer::GlobalAvgPool),
//!         Node::new("flatten", Layer::Flatten),
//!         Node::new("fc", Linear::new(8, 10)),
//!     ],
//! };
//! let names: Vec<String> = net.parameters().into_iter().map(|spec| spec.name).collect();
//! assert_eq!(names, ["conv.weight", "conv.bias", "fc.weight", "fc.bias"]);
//! assert_eq!(net.n_parameters(), 8 * 3 * 9 + 8 + 10 * 8 + 10);
//! assert_eq!(net.steps()?[0].output.to_string(), "8x16x16");
//! # Ok::<(), cifar_net::NetError>(())
//! ```

mod candle_reader;
mod dropout;
mod error;
mod executor;
mod layer;
mod net;
mod parameters;
mod shape;
mod stage;
mod summary;
mod variable;

pub use candle_reader::{CandleNet, Hook, Mode};
pub use error::{Expected, NetError};
pub use executor::{
    Arithmetic, Executor, Inference, MemoryReport, PlannedOperation, Precision, on_pool,
};
pub use layer::{
    Activation, AvgPool2d, BatchNorm2d, Conv2d, LEAKY_SLOPE, Layer, Linear, MaxPool2d, Node,
    Residual, Sequential, WeightInit,
};
pub use net::{Net, Step};
pub use parameters::{Init, ParameterKind, ParameterSpec, child_path};
pub use shape::FeatureShape;
pub use stage::Stage;
pub use summary::LayerSummary;
pub use variable::Variable;

#[cfg(test)]
mod test_nets;
