//! This workspace's numbers against PyTorch's.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use candle_core::{DType, Device, Tensor};
use candle_nn::ModuleT;
use cifar_models::Model;
use cifar_net::{Executor, Inference};
use cifar_train::{
    Convolution, Engine, Event, Learner, Limits, Observer, Outcome, Recipe, Trainer,
};

use crate::case::{Case, learner};

/// Largest relative error of a tensor: the Euclidean norm of the difference over that of PyTorch's.
pub(crate) const TOLERANCE: f64 = 1e-4;

/// The same for what the ten steps changed. The change is a small part of a weight, down to a
/// ten-thousandth, and the rounding of the weight itself counts against it.
const CHANGE_TOLERANCE: f64 = 1e-2;

/// The same for numbers of later steps, to which rounding differences have grown.
const LATER_TOLERANCE: f64 = 1e-3;

pub(crate) type Tensors = HashMap<String, Tensor>;

/// Compares everything that `reference.py` left in `folder`; panics at the first disagreement.
pub(crate) fn compare(case: &Case, folder: &Path) {
    let reference = read(&folder.join("reference.safetensors"));
    let initial = read(&folder.join("initial.safetensors"));
    let chosen: Vec<u32> =
        values(&reference["batches"]).iter().map(|&index| index as u32).collect();
    assert_eq!(chosen.len(), case.n_steps * case.batch_size);
    for way in [Way::Autograd, Way::Planned, Way::Winograd] {
        compare_way(case, way, &chosen, &reference, &initial);
    }

    // The other way round: a file that PyTorch wrote.
    let written = Model::load(case.net(), &folder.join("after.safetensors"), &Device::Cpu);
    let logits = written.unwrap().module.forward_t(&images(case, &chosen), false).unwrap();
    Report { case: &case.name, way: Way::Autograd }.one(
        "logits with PyTorch's weights",
        &logits,
        &reference["after_eval_logits"],
        TOLERANCE,
    );
}

/// What computes gradients on our side.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// candle's, through our ops.
    Autograd,
    /// The planned executor's, with direct convolution.
    Planned,
    /// The planned executor's as users run it. Its rounding is larger, so the batches chosen for
    /// ten steps do not keep it clear of the ReLUs' thresholds; the first step is compared.
    Winograd,
}

impl Way {
    /// The case's recipe, in f32.
    fn recipe(self, case: &Case) -> Recipe {
        let convolution = match self {
            Self::Autograd | Self::Planned => Convolution::Direct,
            Self::Winograd => Convolution::Winograd,
        };
        Recipe { convolution: Some(convolution), ..case.recipe_in_f32() }
    }

    fn learner(self, model: &Model) -> Learner<'_> {
        match self {
            Self::Autograd => Learner { net: None, ..learner(model) },
            Self::Planned | Self::Winograd => learner(model),
        }
    }
}

/// The first batch's images.
fn images(case: &Case, chosen: &[u32]) -> Tensor {
    let loader = case.loader(chosen[..case.batch_size].to_vec(), case.batch_size);
    loader.epoch(0).next().unwrap().image_tensor(&Device::Cpu).unwrap()
}

fn compare_way(case: &Case, way: Way, chosen: &[u32], reference: &Tensors, initial: &Tensors) {
    let mut report = Report { case: &case.name, way };
    let first = first_pass(case, way, chosen);
    report.one(
        "logits, evaluation mode",
        &first["eval_logits"],
        &reference["eval_logits"],
        TOLERANCE,
    );
    report.one(
        "logits, training mode",
        &first["train_logits"],
        &reference["train_logits"],
        TOLERANCE,
    );
    report.group("gradients", "grad.", &first, reference, TOLERANCE);
    if matches!(way, Way::Winograd) {
        return;
    }

    let (model, log) = ten_steps(case, way, chosen);
    let losses = Tensor::new(log.losses.as_slice(), &Device::Cpu).unwrap();
    let norms = Tensor::new(log.norms.as_slice(), &Device::Cpu).unwrap();
    report.one("first loss", &at(&losses, 0), &at(&reference["losses"], 0), TOLERANCE);
    report.one("losses of all steps", &losses, &reference["losses"], LATER_TOLERANCE);
    report.one("gradient norms of all steps", &norms, &reference["grad_norms"], LATER_TOLERANCE);

    let after = named(&model, "after.");
    report.group("weights and buffers after the last step", "after.", &after, reference, TOLERANCE);
    let logits = eval_logits(case, &model, way, &images(case, chosen));
    report.one("their logits", &logits, &reference["after_eval_logits"], LATER_TOLERANCE);
    let (ours, theirs) = (changes(&after, initial), changes(reference, initial));
    report.group("what the steps changed", "after.", &ours, &theirs, CHANGE_TOLERANCE);
}

fn eval_logits(case: &Case, model: &Model, way: Way, images: &Tensor) -> Tensor {
    match way {
        Way::Autograd => model.module.forward_t(images, false).unwrap(),
        Way::Planned | Way::Winograd => {
            let mut frozen =
                Inference::new(&model.net, &model.variables, way.recipe(case).arithmetic())
                    .unwrap();
            let pixels = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let logits = frozen.logits(&pixels).unwrap();
            Tensor::from_slice(logits, (images.dims()[0], 10), &Device::Cpu).unwrap()
        }
    }
}

/// Logits and gradients of the first batch.
fn first_pass(case: &Case, way: Way, chosen: &[u32]) -> Tensors {
    let model = case.model();
    let batch =
        case.loader(chosen[..case.batch_size].to_vec(), case.batch_size).epoch(0).next().unwrap();
    let images = batch.image_tensor(&Device::Cpu).unwrap();
    let mut found = Tensors::new();
    found.insert("eval_logits".to_owned(), eval_logits(case, &model, way, &images));
    let train_logits = match way {
        Way::Autograd => model.module.forward_t(&images, true).unwrap(),
        Way::Planned | Way::Winograd => {
            let mut executor =
                Executor::new(&model.net, &model.variables, way.recipe(case).arithmetic()).unwrap();
            let logits = executor.forward(&batch.images).unwrap();
            Tensor::from_slice(logits, (batch.len(), 10), &Device::Cpu).unwrap()
        }
    };
    found.insert("train_logits".to_owned(), train_logits);
    let learner = way.learner(&model);
    let mut engine = Engine::new(&learner, &way.recipe(case), &Device::Cpu).unwrap();
    let pass = engine.forward_backward(&learner, &batch, &case.recipe()).unwrap();
    for ((name, _), gradient) in learner.trainable().into_iter().zip(pass.gradients) {
        found.insert(format!("grad.{name}"), gradient);
    }
    found
}

/// The case's network after training on the first images.
pub(crate) fn trained(case: &Case) -> Model {
    let n_images = (case.n_steps * case.batch_size) as u32;
    ten_steps(case, Way::Planned, &(0..n_images).collect::<Vec<_>>()).0
}

/// The model after training on the chosen batches with the engine that users train with.
fn ten_steps(case: &Case, way: Way, chosen: &[u32]) -> (Model, Log) {
    let (model, recipe, mut log) = (case.model(), way.recipe(case), Log::default());
    let loader = case.loader(chosen.to_vec(), case.batch_size);
    let mut trainer =
        Trainer::new(&recipe, way.learner(&model), loader, None, &Device::Cpu, None).unwrap();
    let limits = Limits { max_steps: None, interrupt: &AtomicBool::new(false) };
    assert_eq!(trainer.fit(limits, &mut [&mut log]).unwrap(), Outcome::Completed);
    drop(trainer);
    (model, log)
}

/// Losses and gradient norms as the engine reports them.
#[derive(Default)]
struct Log {
    losses: Vec<f64>,
    norms: Vec<f64>,
}

impl Observer for Log {
    fn observe(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Event::Step(report) = event {
            self.losses.push(report.loss);
            self.norms.push(report.gradient_norm);
        }
        Ok(())
    }
}

/// Prints and asserts.
struct Report<'a> {
    case: &'a str,
    way: Way,
}

impl Report<'_> {
    fn one(&mut self, what: &str, got: &Tensor, want: &Tensor, tolerance: f64) {
        self.tell(what, relative_error(got, want), tolerance, "");
    }

    /// All tensors of `want` whose name starts with `prefix`; `got` must have the same ones.
    fn group(&mut self, what: &str, prefix: &str, got: &Tensors, want: &Tensors, tolerance: f64) {
        let names = |tensors: &Tensors| {
            let mut names: Vec<String> =
                tensors.keys().filter(|name| name.starts_with(prefix)).cloned().collect();
            names.sort();
            names
        };
        assert_eq!(names(got), names(want), "{}: {what}", self.case);
        let errors =
            names(want).into_iter().map(|name| (relative_error(&got[&name], &want[&name]), name));
        let (worst, name) = errors.max_by(|a, b| a.0.total_cmp(&b.0)).expect("at least one tensor");
        self.tell(what, worst, tolerance, &name);
    }

    fn tell(&mut self, what: &str, error: f64, tolerance: f64, name: &str) {
        println!(
            "{}, {:?}: {what}: relative error {error:.1e} of at most {tolerance:.0e} {name}",
            self.case, self.way
        );
        // Written so that NaN fails.
        assert!(
            error <= tolerance,
            "{}, {:?}: {what}: relative error {error:e} of {name} is over {tolerance:e}",
            self.case,
            self.way
        );
    }
}

/// The Euclidean norm of the difference over that of `want`, in f64. Both zero: no error.
pub(crate) fn relative_error(got: &Tensor, want: &Tensor) -> f64 {
    assert_eq!(got.dims(), want.dims(), "shapes differ");
    let (got, want) = (values(got), values(want));
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>().sqrt();
    let difference = norm(&mut got.iter().zip(&want).map(|(g, w)| g - w));
    if difference == 0.0 { 0.0 } else { difference / norm(&mut want.iter().copied()) }
}

pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn at(tensor: &Tensor, index: usize) -> Tensor {
    tensor.narrow(0, index, 1).unwrap()
}

pub(crate) fn read(path: &Path) -> Tensors {
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn named(model: &Model, prefix: &str) -> Tensors {
    model
        .variables
        .iter()
        .map(|v| (format!("{prefix}{}", v.name), v.var.as_tensor().clone()))
        .collect()
}

/// What became of each tensor, `after.NAME` minus its first value.
fn changes(after: &Tensors, initial: &Tensors) -> Tensors {
    let to_f64 = |tensor: &Tensor| tensor.to_dtype(DType::F64).unwrap();
    let change = |(name, first): (&String, &Tensor)| {
        let name = format!("after.{name}");
        let change = (to_f64(&after[&name]) - to_f64(first)).unwrap();
        (name, change)
    };
    initial.iter().map(change).collect()
}
