//! A learner, data and a recipe small enough for tests that train.

use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use candle_nn::ModuleT;
use cifar_data::{Dataset, Loader, LoaderConfig};
use cifar_net::Variable;

use crate::learner::Learner;
use crate::recipe::Recipe;

const RECIPE: &str = include_str!("../../../models/small-resnet.toml");
const N_IMAGES: usize = 40;

/// Channel means through a linear layer: enough to learn from colour, fast enough to repeat.
pub(crate) struct Tiny {
    pub(crate) variables: Vec<Variable>,
}

impl Tiny {
    pub(crate) fn new() -> Self {
        let start: Vec<f32> = (0..30).map(|i| (i as f32 * 0.37).sin()).collect();
        let weight = Tensor::from_vec(start, (10, 3), &Device::Cpu).unwrap();
        let var = |name: &str, tensor: &Tensor, trainable| Variable {
            name: name.to_owned(),
            var: Var::from_tensor(tensor).unwrap(),
            trainable,
        };
        let steps = Tensor::zeros((), candle_core::DType::I64, &Device::Cpu).unwrap();
        Self { variables: vec![var("weight", &weight, true), var("n_forwards", &steps, false)] }
    }

    pub(crate) fn learner(&self) -> Learner<'_> {
        Learner { module: self, variables: &self.variables, net: None }
    }

    pub(crate) fn weights(&self) -> Vec<u32> {
        let values = self.variables[0].var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    }
}

impl ModuleT for Tiny {
    fn forward_t(&self, xs: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        if train {
            self.variables[1].var.set(&(self.variables[1].var.as_detached_tensor() + 1.0)?)?;
        }
        xs.mean((2, 3))?.matmul(&self.variables[0].var.t()?)
    }
}

/// Images whose colours follow their class.
pub(crate) fn dataset() -> Dataset {
    let label = |i: usize| (i % 10) as u8;
    let colour = |class: usize, channel: usize| class * [25, 75, 125][channel] % 240;
    let pixel =
        |i: usize, at: usize| (colour(usize::from(label(i)), at / 1024) + at % 8 + i % 4) as u8;
    let images = (0..N_IMAGES).flat_map(|i| (0..3072).map(move |at| pixel(i, at))).collect();
    let names = (0..10).map(|c| format!("class {c}")).collect();
    Dataset::new(images, (0..N_IMAGES).map(label).collect(), names).unwrap()
}

pub(crate) fn loader(
    indices: std::ops::Range<u32>,
    batch_size: usize,
    recipe: Option<&Recipe>,
) -> Loader {
    loader_of(dataset(), indices, batch_size, recipe)
}

/// Shuffled and augmented as `recipe` says, else as they are.
pub(crate) fn loader_of(
    dataset: Dataset,
    indices: std::ops::Range<u32>,
    batch_size: usize,
    recipe: Option<&Recipe>,
) -> Loader {
    let config = LoaderConfig {
        batch_size,
        n_workers: 0,
        seed: 5,
        shuffle: recipe.is_some(),
        drop_last: false,
    };
    let augmentation = recipe.and_then(|r| r.data.augmentation.clone());
    let recipe = Recipe::from_toml(RECIPE, &[]).unwrap();
    let normalization = recipe.data.normalization;
    Loader::new(Arc::new(dataset), indices.collect(), augmentation, normalization, config).unwrap()
}

/// 3 epochs of 4 batches (8, 8, 8 and 6 images), validated on 10 images.
pub(crate) fn recipe(settings: &[&str]) -> Recipe {
    let mut all =
        vec!["epochs=3", "batch-size=8", "optimizer.learning-rate=0.05", "checkpoint-every=1000"];
    all.extend(settings);
    Recipe::from_toml(RECIPE, &all.into_iter().map(String::from).collect::<Vec<_>>()).unwrap()
}
