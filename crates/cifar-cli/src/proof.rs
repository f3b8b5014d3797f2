//! The test images, and what a network and a file make of them.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use cifar_data::Dataset;
use cifar_export::{Comparison, Options, Reread};
use cifar_models::Model;
use cifar_net::Arithmetic;
use cifar_train::{Recipe, evaluate_each};

use crate::args::SourceArgs;
use crate::console::Console;
use crate::session;

/// What a file is compared with its network on.
pub(crate) struct Proof {
    images: Arc<Dataset>,
    recipe: Recipe,
}

impl Proof {
    /// The test images, fetched where that is allowed and needed.
    pub(crate) fn open(
        source: &SourceArgs,
        recipe: &Recipe,
        console: &mut Console,
    ) -> anyhow::Result<Self> {
        let images = session::open_data(source, console)?.test(&recipe.class_names())?;
        let images = Arc::new(images);
        Ok(Self { images, recipe: recipe.clone() })
    }

    pub(crate) fn class_names(&self) -> &[String] {
        self.images.class_names()
    }

    /// The logits of `model`, batch by batch, each image seen once and all computed in f32; and the
    /// share of images that it classifies rightly.
    pub(crate) fn expected(&self, model: &Model) -> anyhow::Result<(Vec<Tensor>, f64)> {
        let loader = session::whole_eval_loader(&self.images, &self.recipe)?;
        let mut rows: Vec<(Vec<f32>, usize)> = Vec::new();
        let evaluation = evaluate_each(
            &session::learner(model),
            &loader,
            &Device::Cpu,
            Arithmetic::default(),
            |logits, n| rows.push((logits.to_vec(), n)),
        )?;
        let n_classes = self.class_names().len();
        let tensors = rows
            .into_iter()
            .map(|(logits, n)| Tensor::from_vec(logits, (n, n_classes), &Device::Cpu));
        Ok((tensors.collect::<Result<_, _>>()?, evaluation.top1))
    }

    /// The logits of `file`, which takes what `options` say, against those expected.
    pub(crate) fn compare(
        &self,
        file: &dyn Reread,
        options: &Options,
        expected: &[Tensor],
    ) -> anyhow::Result<Comparison> {
        let mut comparison = Comparison::default();
        let loader = session::whole_eval_loader(&self.images, &self.recipe)?;
        for (batch, expected) in loader.epoch(0).zip(expected) {
            let images = match options.preprocess {
                None => batch.image_tensor(&Device::Cpu)?,
                Some(_) => self.pixels(&batch.indices)?,
            };
            let labels: Vec<u8> =
                batch.indices.iter().map(|&index| self.images.label(index as usize)).collect();
            comparison.add(expected, &file.logits(&images)?, &labels)?;
        }
        Ok(comparison)
    }

    /// RGB bytes `(N, 32, 32, 3)`, as an image file is decoded to.
    fn pixels(&self, indices: &[u32]) -> anyhow::Result<Tensor> {
        let planes: Vec<u8> =
            indices.iter().flat_map(|&index| self.images.image(index as usize)).copied().collect();
        let planes = Tensor::from_vec(planes, (indices.len(), 3, 32, 32), &Device::Cpu)?;
        Ok(planes.permute((0, 2, 3, 1))?.contiguous()?)
    }
}
