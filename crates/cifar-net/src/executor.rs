//! The planned executor: a net's training step on the CPU without autograd.
//!
//! The net becomes a list of fused operations on channels-last values; every value, gradient and
//! packed weight has its memory before the first step, and a step allocates nothing. It is the
//! same function as the candle reader's in training mode, running statistics included; tests
//! compare the two.

use std::collections::HashMap;

use candle_core::{CpuStorage, DType, Error, Result, Storage, StorageRef, Tensor, Var, bail};
use cifar_kernels::buffer::Buffer;
use cifar_kernels::conv::Algorithm;
use cifar_kernels::element::bf16;
use cifar_kernels::isa::Isa;

use crate::dropout::image_keys;
use crate::{Mode, Net, Variable};
use memory::Gradients;
use passes::{Passes, Typed};
use plan::Plan;

mod backward;
mod forward;
mod inference;
mod memory;
mod passes;
mod plan;
mod pooled;
mod report;
mod shard;
mod statistics;

pub use inference::Inference;
pub use report::{MemoryReport, PlannedOperation};

/// What images, activations and their gradients are stored in. Weights, their gradients, sums and
/// statistics are f32 with either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 24 bits of precision.
    F32,
    /// 8 bits of precision, the range of f32, half the memory.
    Bf16,
}

/// How a net is computed on the CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arithmetic {
    /// The algorithm of its convolutions.
    pub convolution: Algorithm,
    /// What values are stored in.
    pub precision: Precision,
}

impl Default for Arithmetic {
    /// The fastest algorithms on f32.
    fn default() -> Self {
        Self { convolution: Algorithm::Fastest, precision: Precision::F32 }
    }
}

/// A net with its tensors, trained on the CPU: images to logits, and the logits' gradient to that
/// of every weight.
///
/// The tensors stay shared with whoever made them: each forward pass reads the `Var`s as they then
/// are, and sets those of the running statistics.
#[derive(Debug)]
pub struct Executor {
    name: String,
    /// `[C, H, W]`
    input: [usize; 3],
    planned: Planned,
    passes: Box<dyn Passes>,
    /// `(N, K)` of the last forward pass.
    logits: Vec<f32>,
    /// The gradients of all weights.
    weights: Buffer,
    /// Images of the last forward pass.
    n_images: usize,
}

/// What is to be done, whatever values are stored in.
#[derive(Debug)]
struct Planned {
    plan: Plan,
    gradients: Gradients,
    tensors: Tensors,
}

impl Executor {
    /// Takes every tensor of [`Net::parameters`] from `variables` by its name.
    ///
    /// # Errors
    /// A net that [`Net::steps`] refuses or that does not end in one value per class; a variable
    /// that is missing, of another shape, not f32 or not on the CPU.
    pub fn new(net: &Net, variables: &[Variable], arithmetic: Arithmetic) -> Result<Self> {
        let plan = Plan::new(net, Mode::Train)?;
        let gradients = Gradients::new(&plan);
        let tensors = Tensors::new(net, variables)?;
        let convolution = arithmetic.convolution;
        let passes: Box<dyn Passes> = match arithmetic.precision {
            Precision::F32 => Box::new(Typed::<f32>::new(&plan, convolution)),
            Precision::Bf16 => Box::new(Typed::<bf16>::new(&plan, convolution)),
        };
        Ok(Self {
            name: net.name.clone(),
            input: net.input,
            passes,
            logits: Vec::new(),
            weights: Buffer::zeros::<f32>(tensors.n_trained),
            planned: Planned { plan, gradients, tensors },
            n_images: 0,
        })
    }

    /// The logits, `(N, K)`, of `images`, `(N, C, H, W)`, in training mode: batch norm uses the
    /// batch's statistics and updates the running ones, dropout draws by the calling thread's
    /// [`image_keys`](cifar_ops::image_keys).
    ///
    /// # Errors
    /// Images that are not whole or none; a batch norm that sees a single value per channel, whose
    /// variance would be undefined; a dropout without a key for each image; candle's, where a variable
    /// cannot be read.
    pub fn forward(&mut self, images: &[f32]) -> Result<&[f32]> {
        self.n_images = n_images(&self.name, self.input, images)?;
        let Self { planned, passes, logits, n_images, .. } = self;
        let keys = planned.plan.draws().then(|| image_keys(*n_images)).transpose()?;
        let keys = keys.as_deref().unwrap_or_default();
        on_pool(|| passes.forward(planned, images, keys, *n_images, logits))?;
        Ok(&self.logits)
    }

    /// The gradient of every weight, from that of the logits of the last forward pass, `(N, K)`.
    /// See [`Executor::weight_gradients`].
    ///
    /// # Errors
    /// Another number of values than the logits have.
    pub fn backward(&mut self, dlogits: &[f32]) -> Result<()> {
        let expected = self.logits.len();
        if dlogits.len() != expected || expected == 0 {
            bail!("{}: a gradient of {} values for {expected} logits", self.name, dlogits.len());
        }
        let Self { planned, passes, weights, n_images, .. } = self;
        on_pool(|| passes.backward(planned, dlogits, *n_images, weights.as_mut_slice()))
    }

    /// From now on [`Executor::backward`] finds the gradients of those trained tensors alone whose
    /// names `wanted` takes, and goes back no further than to the first layer that has one. The
    /// others' gradients are 0.
    pub fn require_gradients(&mut self, wanted: impl Fn(&str) -> bool) {
        let Planned { plan, gradients, tensors } = &mut self.planned;
        for tensor in &mut tensors.all {
            tensor.wanted = tensor.gradient.is_some() && wanted(&tensor.name);
        }
        gradients.stop_after(|at| tensors.any_wanted(&plan.operations[at].path));
        self.weights.as_mut_slice::<f32>().fill(0.0);
    }

    /// Name and gradient of every trained tensor, in the order of [`Net::parameters`], each as it
    /// lies in PyTorch's layout; one after the other they are [`Executor::flat_gradient`].
    pub fn weight_gradients(&self) -> impl Iterator<Item = (&str, &[f32])> {
        let flat = self.weights.as_slice();
        self.planned.tensors.all.iter().filter_map(move |tensor| {
            let range = tensor.gradient.clone()?;
            Some((tensor.name.as_str(), &flat[range]))
        })
    }

    /// All gradients in one row.
    pub fn flat_gradient(&self) -> &[f32] {
        self.weights.as_slice()
    }

    /// What a step on `batch_size` images needs.
    pub fn memory_report(&self, batch_size: usize) -> MemoryReport {
        self.passes.report(&self.planned, batch_size)
    }
}

/// Images of `[C, H, W]` in `images`.
fn n_images(name: &str, [c, h, w]: [usize; 3], images: &[f32]) -> Result<usize> {
    if images.is_empty() || !images.len().is_multiple_of(c * h * w) {
        bail!("{name}: {} values are not [N, {c}, {h}, {w}], N >= 1", images.len());
    }
    Ok(images.len() / (c * h * w))
}

/// Runs `f` on a thread of the caller's rayon pool, so that the passes in it start without waking
/// one each time.
pub fn on_pool<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    if rayon::current_thread_index().is_some() {
        return f();
    }
    let isa = Isa::current();
    rayon::scope(|_| isa.force(f))
}

/// The net's tensors by name.
#[derive(Debug)]
struct Tensors {
    all: Vec<NetTensor>,
    by_name: HashMap<String, usize>,
    /// Values of all trained tensors together.
    n_trained: usize,
}

#[derive(Debug)]
struct NetTensor {
    name: String,
    var: Var,
    /// Where its gradient lies among all; `None` for running statistics.
    gradient: Option<std::ops::Range<usize>>,
    /// Whether the backward pass is to find it.
    wanted: bool,
}

impl Tensors {
    fn new(net: &Net, variables: &[Variable]) -> Result<Self> {
        let given: HashMap<&str, &Variable> =
            variables.iter().map(|variable| (variable.name.as_str(), variable)).collect();
        let (mut all, mut n_trained) = (Vec::new(), 0);
        for spec in net.parameters() {
            let Some(variable) = given.get(spec.name.as_str()) else {
                bail!("{}: there is no variable `{}`", net.name, spec.name);
            };
            let var = variable.var.clone();
            let fits = var.dims() == spec.shape && var.dtype() == spec.dtype;
            if !fits || !var.device().is_cpu() || !var.is_contiguous() {
                bail!(
                    "{}: `{}` is {:?} {:?} on {:?}, expected contiguous {:?} {:?} on the CPU",
                    net.name,
                    spec.name,
                    var.dtype(),
                    var.dims(),
                    var.device().location(),
                    spec.dtype,
                    spec.shape
                );
            }
            let gradient = variable.trainable.then(|| {
                n_trained += spec.n_values();
                n_trained - spec.n_values()..n_trained
            });
            all.push(NetTensor { name: spec.name, var, gradient, wanted: variable.trainable });
        }
        let by_name = all.iter().enumerate().map(|(at, t)| (t.name.clone(), at)).collect();
        Ok(Self { all, by_name, n_trained })
    }

    fn get(&self, path: &str, name: &str) -> Result<&NetTensor> {
        let name = format!("{path}.{name}");
        let at = self.by_name.get(&name).ok_or_else(|| Error::msg(format!("no `{name}`")))?;
        Ok(&self.all[*at])
    }

    /// Whether the backward pass is to find the gradient of one of a layer's tensors.
    fn any_wanted(&self, path: &str) -> bool {
        let mut wanted = self.all.iter().filter(|tensor| tensor.wanted);
        wanted.any(|tensor| tensor.name.rsplit_once('.').is_some_and(|(layer, _)| layer == path))
    }

    /// The values of a tensor, `f32`.
    fn read(&self, path: &str, name: &str) -> Result<Values<'_>> {
        Values::of(self.get(path, name)?.var.as_tensor())
    }
}

/// The values of a contiguous f32 tensor on the CPU, held for reading.
struct Values<'a> {
    storage: StorageRef<'a>,
    range: std::ops::Range<usize>,
}

impl<'a> Values<'a> {
    fn of(tensor: &'a Tensor) -> Result<Self> {
        let (storage, layout) = tensor.storage_and_layout();
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("a tensor of shape {:?} is not contiguous", tensor.dims());
        };
        if tensor.dtype() != DType::F32 || !matches!(&*storage, Storage::Cpu(CpuStorage::F32(_))) {
            bail!("a tensor of {:?} is not f32 on the CPU", tensor.dtype());
        }
        Ok(Self { storage, range: start..end })
    }

    fn slice(&self) -> &[f32] {
        match &*self.storage {
            Storage::Cpu(CpuStorage::F32(values)) => &values[self.range.clone()],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests;
