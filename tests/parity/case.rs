//! One comparison: a network, an optimiser, and the files handed to PyTorch.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::Device;
use cifar_data::{Dataset, Loader, LoaderConfig};
use cifar_models::{Model, Variant, build_variant};
use cifar_net::{Activation, Layer, Net, Node, WeightInit};
use cifar_testkit::RECORD_LEN;
use cifar_train::{Learner, OptimizerConfig, Precision, Recipe};
use serde::{Deserialize, Serialize};

/// Pictures that `reference.py` may choose batches from.
const N_IMAGES: usize = 2000;

/// An entry of `cases.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) model: String,
    /// In the place of the network's ReLUs.
    activation: Option<Curved>,
    /// In front of the classifier.
    #[serde(default)]
    dropout: Option<f64>,
    pub(crate) batch_size: usize,
    pub(crate) n_steps: usize,
    optimizer: Optimizer,
    /// Whether the learning rate runs one cycle over `n_steps`; else it is constant.
    one_cycle: bool,
    clip_norm: Option<f64>,
    label_smoothing: f64,
}

/// Activations that no model of `cifar-models` has.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Curved {
    Gelu,
    Silu,
    LeakyRelu,
}

/// Arguments of `torch.optim.SGD` and `torch.optim.AdamW`, by torch's names; or a recipe's.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
enum Optimizer {
    Sgd {
        lr: f64,
        momentum: f64,
        nesterov: bool,
        weight_decay: f64,
    },
    AdamW {
        lr: f64,
        weight_decay: f64,
    },
    /// What `models/airnet94.toml` has, parameter groups included, with all learning rates times
    /// `rate`. At its own rates, and on a handful of pictures, even PyTorch's f32 and f64 part ways
    /// after a few steps.
    Airbench94 {
        rate: f64,
    },
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        serde_json::from_str(include_str!("cases.json")).expect("read cases.json")
    }

    pub(crate) fn named(name: &str) -> Self {
        Self::all().into_iter().find(|case| case.name == name).expect("the case is in cases.json")
    }

    pub(crate) fn net(&self) -> Net {
        let variant = Variant { dropout: self.dropout, ..Variant::default() };
        let mut net = build_variant(&self.model, 10, variant).expect("build the network");
        net.layers.iter_mut().for_each(forget_identity);
        match self.activation {
            None => net,
            Some(Curved::Gelu) => net.with_activation(Activation::Gelu),
            Some(Curved::Silu) => net.with_activation(Activation::Silu),
            Some(Curved::LeakyRelu) => net.with_activation(Activation::LeakyRelu),
        }
    }

    /// The network with the weights that both sides start from.
    pub(crate) fn model(&self) -> Model {
        Model::initialise(self.net(), 0, &Device::Cpu).expect("make its weights")
    }

    /// What a user would write to train like this.
    pub(crate) fn recipe(&self) -> Recipe {
        let optimizer = match self.optimizer {
            Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => format!(
                "name = 'sgd'\nlearning-rate = {lr:?}\nmomentum = {momentum:?}\nnesterov = {nesterov}\nweight-decay = {weight_decay:?}"
            ),
            Optimizer::AdamW { lr, weight_decay } => format!(
                "name = 'adamw'\nlearning-rate = {lr:?}\nbeta1 = 0.9\nbeta2 = 0.999\neps = 1e-8\nweight-decay = {weight_decay:?}"
            ),
            Optimizer::Airbench94 { rate } => return self.airbench94(rate),
        };
        let schedule = match self.one_cycle {
            true => ONE_CYCLE,
            false => "name = 'constant'",
        };
        let clip = self.clip_norm.map(|norm| format!("clip-norm = {norm:?}")).unwrap_or_default();
        let text = format!(
            "name = 'parity'\nmodel = '{}'\nseed = 0\nepochs = 1\nbatch-size = {}\ngradient-accumulation = 1\n\
             label-smoothing = {:?}\n{clip}\n\
             [data]\nvalidation = 0\nnormalization = {{ mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }}\n\
             [optimizer]\n{optimizer}\n[schedule]\n{schedule}\n",
            self.model, self.batch_size, self.label_smoothing,
        );
        Recipe::from_toml(&text, &[]).expect("read the recipe")
    }

    /// The same, computed in f32 on every machine.
    pub(crate) fn recipe_in_f32(&self) -> Recipe {
        Recipe { precision: Some(Precision::F32), ..self.recipe() }
    }

    fn airbench94(&self, rate: f64) -> Recipe {
        let settings = [
            "epochs=1".to_owned(),
            format!("batch-size={}", self.batch_size),
            "data.normalization={mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25]}".to_owned(),
        ];
        let mut recipe = Recipe::from_toml(include_str!("../../models/airnet94.toml"), &settings)
            .expect("read the recipe of airnet94");
        let groups = recipe.parameter_groups.iter_mut().map(|group| {
            group.epochs = None;
            &mut group.optimizer
        });
        for optimizer in groups.chain([&mut recipe.optimizer]) {
            match optimizer {
                OptimizerConfig::Muon(muon) => muon.learning_rate *= rate,
                OptimizerConfig::Sgd(sgd) => sgd.learning_rate *= rate,
                OptimizerConfig::AdamW(adamw) => adamw.learning_rate *= rate,
            }
        }
        recipe
    }

    /// Batches of the pictures `indices`, in this order.
    pub(crate) fn loader(&self, indices: Vec<u32>, batch_size: usize) -> Loader {
        let config =
            LoaderConfig { batch_size, n_workers: 0, seed: 0, shuffle: false, drop_last: false };
        Loader::new(pictures(), indices, None, self.recipe().data.normalization, config)
            .expect("make batches")
    }

    /// Writes `case.json`, `initial.safetensors` and `images.safetensors` for `reference.py`.
    pub(crate) fn write(&self, folder: &Path) {
        let json = serde_json::to_vec_pretty(self).expect("write the case");
        std::fs::write(folder.join("case.json"), json).expect("write case.json");
        self.model()
            .save_weights(&folder.join("initial.safetensors"))
            .expect("write the first weights");
        let loader = self.loader((0..N_IMAGES as u32).collect(), N_IMAGES);
        let batch = loader.epoch(0).next().expect("one batch of all pictures");
        let tensors = HashMap::from([
            ("images", batch.image_tensor(&Device::Cpu).expect("the pictures")),
            ("labels", batch.label_tensor(&Device::Cpu).expect("the labels")),
        ]);
        candle_core::safetensors::save(&tensors, folder.join("images.safetensors"))
            .expect("write the images");
    }
}

/// The model as the engine sees it.
pub(crate) fn learner(model: &Model) -> Learner<'_> {
    Learner { module: &model.module, variables: &model.variables, net: Some(&model.net) }
}

/// Takes PyTorch's default for first weights that pass a channel on unchanged. Through several
/// GELUs such a channel comes down to a few values that differ by less than f32 tells apart, and
/// which of them a max-pool takes is chance.
fn forget_identity(node: &mut Node) {
    match &mut node.layer {
        Layer::Conv2d(conv) => conv.init = WeightInit::Uniform,
        Layer::Sequential(sequential) => sequential.nodes.iter_mut().for_each(forget_identity),
        _ => {}
    }
}

/// The defaults of `torch.optim.lr_scheduler.OneCycleLR`.
pub(crate) const ONE_CYCLE: &str = "name = 'one-cycle'\npct-start = 0.3\ndiv-factor = 25.0\nfinal-div-factor = 1e4\n\
                                    base-momentum = 0.85\nmax-momentum = 0.95";

fn pictures() -> Arc<Dataset> {
    let bytes = cifar_testkit::batch(N_IMAGES, 0, 0);
    let records = bytes.chunks_exact(RECORD_LEN);
    let labels = records.clone().map(|record| record[0]).collect();
    let images = records.flat_map(|record| &record[1..]).copied().collect();
    let class_names = (0..10).map(|class| format!("class {class}")).collect();
    Arc::new(Dataset::new(images, labels, class_names).expect("a valid data set"))
}
