//! Data, model and loaders put together as a recipe asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use candle_core::Device;
use cifar_data::{Cifar10, Dataset, Loader, LoaderConfig, Split, stratified_split};
use cifar_models::Model;
use cifar_train::{Learner, Recipe, RunFolder, Slot, Whitening};

use crate::args::{CheckpointName, SourceArgs};
use crate::console::Console;
use crate::{fetching, host};

/// Images per batch of an evaluation. It decides the memory that an evaluation takes, and, as
/// every image is worked on alone, none of its figures.
const EVAL_BATCH_SIZE: usize = 100;

/// Opens the data set, verified, after fetching it where that is allowed and needed.
pub(crate) fn open_data(args: &SourceArgs, console: &mut Console) -> anyhow::Result<Cifar10> {
    if args.no_download {
        // Fetching verifies what is there; without it a flipped byte would train unseen.
        let data = Cifar10::open(&args.data_dir)?;
        data.verify()?;
        return Ok(data);
    }
    fetching::fetch(&args.data_dir, None, console)?;
    Ok(Cifar10::open(&args.data_dir)?)
}

/// The training images, and which of them train and which validate.
pub(crate) fn split(dataset: &Dataset, recipe: &Recipe) -> anyhow::Result<Split> {
    let n_classes = dataset.class_names().len();
    stratified_split(dataset.labels(), n_classes, recipe.data.validation, recipe.seed)
        .context("cannot hold out `data.validation` images")
}

/// Shuffled, augmented batches of the images `indices`.
pub(crate) fn train_loader(
    dataset: &Arc<Dataset>,
    indices: Vec<u32>,
    recipe: &Recipe,
) -> anyhow::Result<Loader> {
    let config = LoaderConfig {
        batch_size: recipe.batch_size,
        n_workers: host::n_loader_workers(),
        seed: recipe.seed,
        shuffle: true,
        drop_last: false,
    };
    let (augmentation, normalization) =
        (recipe.data.augmentation.clone(), recipe.data.normalization);
    Ok(Loader::new(Arc::clone(dataset), indices, augmentation, normalization, config)?)
}

/// The images `indices` as they are, in order.
pub(crate) fn eval_loader(
    dataset: &Arc<Dataset>,
    indices: Vec<u32>,
    recipe: &Recipe,
) -> anyhow::Result<Loader> {
    let config = LoaderConfig {
        batch_size: EVAL_BATCH_SIZE.min(indices.len()),
        n_workers: host::n_loader_workers(),
        seed: recipe.seed,
        shuffle: false,
        drop_last: false,
    };
    Ok(Loader::new(Arc::clone(dataset), indices, None, recipe.data.normalization, config)?)
}

/// All images of `dataset`, as they are.
pub(crate) fn whole_eval_loader(dataset: &Arc<Dataset>, recipe: &Recipe) -> anyhow::Result<Loader> {
    eval_loader(dataset, (0..dataset.len() as u32).collect(), recipe)
}

/// The recipe's network with fresh weights.
pub(crate) fn new_model(
    recipe: &Recipe,
    n_classes: usize,
    device: &Device,
) -> anyhow::Result<Model> {
    let net = cifar_models::build(&recipe.model, n_classes)?;
    Ok(Model::initialise(net, recipe.seed, device)?)
}

/// The recipe's network as its training begins: with fresh weights, and its first layer whitened by
/// the first of the training images `indices` where the recipe asks for it.
pub(crate) fn untrained_model(
    recipe: &Recipe,
    dataset: &Arc<Dataset>,
    indices: &[u32],
    device: &Device,
) -> anyhow::Result<Model> {
    let model = new_model(recipe, dataset.class_names().len(), device)?;
    let Some(Whitening { images, eps }) = recipe.whitening else { return Ok(model) };
    if images > indices.len() {
        bail!("`whitening.images` is {images}, there are only {} training images", indices.len());
    }
    let loader = eval_loader(dataset, indices[..images].to_vec(), recipe)?;
    let pixels: Vec<f32> = loader.epoch(0).flat_map(|batch| batch.images).collect();
    model.whiten(&pixels, eps)?;
    Ok(model)
}

/// A network with the weights in `path`.
pub(crate) fn load_model(
    name: &str,
    n_classes: usize,
    path: &Path,
    device: &Device,
) -> anyhow::Result<Model> {
    let net = cifar_models::build(name, n_classes)?;
    Ok(Model::load(net, path, device)?)
}

/// The weights of a run's checkpoint: of the one it is judged by where `checkpoint` names none.
pub(crate) fn weights(
    run: &RunFolder,
    checkpoint: Option<CheckpointName>,
) -> anyhow::Result<PathBuf> {
    let checkpoints = run.checkpoints();
    let slot = match checkpoint {
        Some(CheckpointName::Best) => Slot::Best,
        Some(CheckpointName::Last) => Slot::Last,
        None => checkpoints.reported(),
    };
    Ok(checkpoints.evaluation_weights(slot)?)
}

/// The model as the engine sees it.
pub(crate) fn learner(model: &Model) -> Learner<'_> {
    Learner { module: &model.module, variables: &model.variables, net: Some(&model.net) }
}
