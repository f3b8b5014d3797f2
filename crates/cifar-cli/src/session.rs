//! Data, model and loaders put together as a recipe asks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use candle_core::Device;
use cifar_data::{Cifar10, DataSource, Dataset, Loader, LoaderConfig, Split, stratified_split};
use cifar_models::{Model, Net, Variant};
use cifar_train::{Learner, Precision, Recipe, RunFolder, Slot, Whitening};

use crate::args::{CheckpointName, SourceArgs, TrainedArgs};
use crate::console::Console;
use crate::{fetching, host, recipes};

/// Images per batch of an evaluation. It decides the memory that an evaluation takes, and, as
/// every image is worked on alone, none of its figures.
pub(crate) const EVAL_BATCH_SIZE: usize = 100;

/// Opens the data set. CIFAR-10 is verified, after it was fetched where that is allowed and needed.
pub(crate) fn open_data(args: &SourceArgs, console: &mut Console) -> anyhow::Result<DataSource> {
    let found = DataSource::open(&args.data_dir);
    match found {
        Ok(DataSource::Folders(_)) => return Ok(found?),
        // Fetching verifies what is there; without it a flipped byte would train unseen.
        _ if args.no_download => {
            let found = found?;
            if let DataSource::Cifar10(data) = &found {
                data.verify()?;
            }
            return Ok(found);
        }
        _ => fetching::fetch(&args.data_dir, None, console)?,
    };
    Ok(DataSource::Cifar10(Cifar10::open(&args.data_dir)?))
}

/// A new recipe with what only the data tell: the classes of folders of pictures.
pub(crate) fn settled(recipe: Recipe, data: &DataSource) -> anyhow::Result<Recipe> {
    if recipe.data.classes.is_some() {
        return Ok(recipe);
    }
    match data.own_class_names()? {
        Some(names) => recipe
            .with_classes(names)
            .with_context(|| format!("the folders of classes in {data} do not serve")),
        None => Ok(recipe),
    }
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
    Ok(Model::initialise(network(recipe, n_classes)?, recipe.seed, device)?)
}

/// The recipe's architecture.
fn network(recipe: &Recipe, n_classes: usize) -> anyhow::Result<Net> {
    let variant = recipe.network.map_or_else(Variant::default, |network| Variant {
        activation: network.activation.map(Into::into),
        batch_norm: network.batch_norm,
        dropout: network.dropout,
    });
    Ok(cifar_models::build_variant(&recipe.model, n_classes, variant)?)
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

/// The recipe's network with the weights in `path`.
pub(crate) fn load_model(
    recipe: &Recipe,
    n_classes: usize,
    path: &Path,
    device: &Device,
) -> anyhow::Result<Model> {
    Ok(Model::load(network(recipe, n_classes)?, path, device)?)
}

/// The recipe that says model and normalisation, and the file with the weights.
pub(crate) fn trained(args: &TrainedArgs) -> anyhow::Result<(Recipe, PathBuf)> {
    if let (Some(path), Some(model)) = (&args.weights, &args.model) {
        let mut recipe = recipes::load(model, &[]).with_context(|| {
            format!("--model {model}: its recipe says how images are normalised")
        })?;
        // Wherever they come from, they get the same figures on every machine.
        recipe.precision.get_or_insert(Precision::F32);
        if !path.is_file() {
            bail!(
                "no weights at {}; give a safetensors file, or one of torch.save's",
                path.display()
            );
        }
        return Ok((recipe, path.clone()));
    }
    let Some(run) = &args.run else { bail!("give --run RUN, or --weights FILE with --model NAME") };
    let run = RunFolder::open(run)?;
    Ok((run.recipe()?, weights(&run, args.checkpoint)?))
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
