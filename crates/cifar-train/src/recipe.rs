//! A training run as one typed value: what a recipe file says, checked once.

use std::fmt;

use cifar_data::image_folder::MAX_CLASSES;
use cifar_data::{Augmentation, CLASS_NAMES, Normalization};
use cifar_kernels::conv::Algorithm;
use cifar_kernels::isa::Isa;
use cifar_net::{Activation, Arithmetic};
use serde::{Deserialize, Serialize};

use crate::clip::clip_factor;
use crate::optimizer::{OptimizerConfig, ParameterGroup};
use crate::schedule::ScheduleConfig;
use crate::test_time::TestTimeAugmentation;

/// Everything that decides a run's numbers. Two runs with equal recipes and equal data give
/// equal weights, bit for bit, on the same kind of device.
///
/// There is no `Default`: a recipe file states every value (style: "no `Default` on a config a
/// run depends on"); what may be absent is an `Option` and then switched off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Recipe {
    /// Short name; the run folder carries it.
    pub name: String,
    /// Architecture, as known to whoever builds the model.
    pub model: String,
    /// Seed of initialisation, order, split and augmentation.
    pub seed: u64,
    /// Passes over the training images, at least 1.
    pub epochs: u32,
    /// Images per optimiser step, at least 1.
    pub batch_size: usize,
    /// Micro-batches that each batch is cut into. Their gradients are summed before the
    /// optimiser steps: the same steps with less memory for activations. 1 = the whole batch at
    /// once. (Batch-norm statistics are those of a micro-batch.)
    pub gradient_accumulation: usize,
    /// Label smoothing of the training loss, in `0..1`.
    pub label_smoothing: f64,
    /// What the optimiser's gradients are those of. Absent: the mean loss of the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss_reduction: Option<LossReduction>,
    /// Global-norm gradient clipping: the largest norm let through. Absent: no clipping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_norm: Option<f64>,
    /// How 3×3 convolutions of stride 1 are computed on a CPU. Absent: by Winograd's algorithm,
    /// the faster one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub convolution: Option<Convolution>,
    /// What a CPU stores images, activations and their gradients in. Absent: bf16 where the
    /// machine multiplies it (AVX-512 BF16), else f32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Exponential moving average of the weights: the share kept at each step, in `0..1`.
    /// Where set, the averaged weights are the ones evaluated. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema_decay: Option<f64>,
    /// Epochs without a better validation accuracy after which training ends. Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stop_patience: Option<u32>,
    /// Steps between two checkpoints inside an epoch; one is also written after every epoch.
    /// Absent: only after every epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_every: Option<u64>,
    /// Views of each image that the final test takes the mean over. Absent: the image alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_time_augmentation: Option<TestTimeAugmentation>,
    /// Sets a frozen first convolution before training. Absent: it stays as drawn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whitening: Option<Whitening>,
    /// What is changed of the architecture. Absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkConfig>,
    /// What is read and how it is changed.
    pub data: DataConfig,
    /// The update rule.
    pub optimizer: OptimizerConfig,
    /// The curve of the learning rate.
    pub schedule: ScheduleConfig,
    /// Parameters with an update rule of their own. Absent: none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameter_groups: Vec<ParameterGroup>,
}

/// Changes of an architecture; each takes what suits it and refuses the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NetworkConfig {
    /// In the place of every activation. Absent: as designed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation: Option<ActivationName>,
    /// A batch norm behind each convolution. Absent: as designed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_norm: Option<bool>,
    /// The probability of a dropout in front of the classifier (PyTorch's `p`), at least 0 and less
    /// than 1. Absent or 0: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
}

/// Activations by the names that recipes give them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationName {
    /// [`Activation::Relu`]
    Relu,
    /// [`Activation::Gelu`]
    Gelu,
    /// [`Activation::Silu`]
    Silu,
    /// [`Activation::LeakyRelu`]
    LeakyRelu,
}

impl From<ActivationName> for Activation {
    fn from(name: ActivationName) -> Self {
        match name {
            ActivationName::Relu => Self::Relu,
            ActivationName::Gelu => Self::Gelu,
            ActivationName::Silu => Self::Silu,
            ActivationName::LeakyRelu => Self::LeakyRelu,
        }
    }
}

/// A first convolution whose filters make the values of image patches uncorrelated.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Whitening {
    /// How many training images, the first ones, it is made from; at least 1.
    pub images: usize,
    /// Added to each variance before the square root, positive.
    pub eps: f64,
}

/// How the losses of a batch's images become one (PyTorch's `reduction`). Losses are reported as
/// means with either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LossReduction {
    /// Their mean.
    Mean,
    /// Their sum.
    Sum,
}

/// How 3×3 convolutions of stride 1 are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Convolution {
    /// As the sums of their definition.
    Direct,
    /// By F(4×4, 3×3) of Lavin and Gray 2015 (arXiv:1509.09308), in bf16 by F(2×2, 3×3): less
    /// work, about one decimal digit less exact.
    Winograd,
}

/// What images, activations and their gradients are stored in. Weights, their gradients, batch
/// statistics, loss and optimiser are f32 with either (mixed precision, Micikevicius et al. 2018,
/// arXiv:1710.03740; bf16 has the range of f32, so the loss needs no scaling).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// 24 bits of precision.
    F32,
    /// 8 bits of precision.
    Bf16,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        })
    }
}

/// The data part of a recipe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DataConfig {
    /// Names of the classes, in the order of their labels. Absent: CIFAR-10's; `train` writes down
    /// those of folders of pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub classes: Option<Vec<String>>,
    /// Training images held out for validation, the same number of each class. 0 trains on all
    /// of them; then nothing is chosen by validation.
    pub validation: usize,
    /// Per-channel mean and standard deviation of pixel values in `0..=1`.
    pub normalization: Normalization,
    /// Random changes of the training images. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub augmentation: Option<Augmentation>,
}

/// A recipe that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Not TOML, an unknown key, a missing key or a value of the wrong type.
    #[error("not a recipe: {0}")]
    Parse(String),
    /// A value outside its range.
    #[error("`{key}` is {value}, expected {expected}")]
    OutOfRange {
        /// The recipe key, dotted.
        key: &'static str,
        /// The value found.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// Settings that make the recipe unusable.
    #[error("with {0}: {1}")]
    Settings(String, String),
    /// A `key=value` text that names no value.
    #[error("`{0}` is no setting; write KEY=VALUE, for example `optimizer.learning-rate=0.02`")]
    Setting(String),
    /// A dotted key that leads through something which is not a table.
    #[error("`{key}`: `{part}` is a value, not a table of further keys")]
    NotATable {
        /// The whole key.
        key: String,
        /// The part that is no table.
        part: String,
    },
    /// Two parts of the recipe contradict each other.
    #[error("{0}")]
    Contradiction(&'static str),
}

impl Recipe {
    /// [`Recipe::precision`], with what this machine's CPU does best where it is absent.
    pub fn cpu_precision(&self) -> Precision {
        self.precision.unwrap_or_else(|| match Isa::current() {
            Isa::Avx512Bf16 => Precision::Bf16,
            _ => Precision::F32,
        })
    }

    /// Names of the classes, in the order of their labels.
    pub fn class_names(&self) -> Vec<String> {
        let cifar_10 = || CLASS_NAMES.map(str::to_owned).to_vec();
        self.data.classes.clone().unwrap_or_else(cifar_10)
    }

    /// The same recipe for the classes `names`.
    ///
    /// # Errors
    /// Fewer than 2 names, more than 256, or one of them twice.
    pub fn with_classes(mut self, names: Vec<String>) -> Result<Self, RecipeError> {
        self.data.classes = Some(names);
        self.check()?;
        Ok(self)
    }

    /// What the gradients of a batch's mean loss are multiplied by before clipping.
    pub fn loss_scale(&self, n_images: usize) -> f64 {
        match self.loss_reduction {
            Some(LossReduction::Sum) => n_images as f64,
            Some(LossReduction::Mean) | None => 1.0,
        }
    }

    /// What the gradients of a batch's mean loss are multiplied by in all, clipping included; `norm`
    /// is their own.
    pub fn gradient_scale(&self, norm: f64, n_images: usize) -> f64 {
        let scale = self.loss_scale(n_images);
        scale * self.clip_norm.map_or(1.0, |max| clip_factor(norm * scale, max))
    }

    /// How a CPU computes the net.
    pub fn arithmetic(&self) -> Arithmetic {
        Arithmetic {
            convolution: match self.convolution {
                Some(Convolution::Direct) => Algorithm::Direct,
                Some(Convolution::Winograd) => Algorithm::Winograd,
                None => Algorithm::Fastest,
            },
            precision: match self.cpu_precision() {
                Precision::F32 => cifar_net::Precision::F32,
                Precision::Bf16 => cifar_net::Precision::Bf16,
            },
        }
    }

    /// Reads and checks a recipe, after replacing single keys by `settings`, each
    /// `dotted.key=value` with a TOML value (a bare word counts as a string).
    ///
    /// # Errors
    /// The first problem found, naming the key and the values allowed.
    pub fn from_toml(text: &str, settings: &[String]) -> Result<Self, RecipeError> {
        let recipe: Self = if settings.is_empty() {
            toml::from_str(text).map_err(|e| parse_error(&e))?
        } else {
            let mut table: toml::Table = text.parse().map_err(|e| parse_error(&e))?;
            for setting in settings {
                apply(&mut table, setting)?;
            }
            let with_settings = |e: toml::de::Error| {
                RecipeError::Settings(settings.join(", "), e.message().to_owned())
            };
            toml::Value::Table(table).try_into().map_err(with_settings)?
        };
        recipe.check()?;
        Ok(recipe)
    }

    /// The recipe as TOML text; [`Recipe::from_toml`] reads it back to an equal value.
    ///
    /// # Errors
    /// [`RecipeError::Parse`] where a value has no TOML form (an integer over `i64::MAX`).
    pub fn to_toml(&self) -> Result<String, RecipeError> {
        toml::to_string_pretty(self).map_err(|e| RecipeError::Parse(e.to_string()))
    }

    fn check(&self) -> Result<(), RecipeError> {
        require("epochs", self.epochs, self.epochs >= 1, "at least 1")?;
        require("batch-size", self.batch_size, self.batch_size >= 1, "at least 1")?;
        let micro = self.gradient_accumulation;
        require(
            "gradient-accumulation",
            micro,
            (1..=self.batch_size).contains(&micro),
            "1 to the batch size",
        )?;
        let smoothing = self.label_smoothing;
        require("label-smoothing", smoothing, (0.0..1.0).contains(&smoothing), "0 <= value < 1")?;
        if let Some(norm) = self.clip_norm {
            require("clip-norm", norm, norm > 0.0 && norm.is_finite(), "a positive number")?;
        }
        if let Some(decay) = self.ema_decay {
            require("ema-decay", decay, (0.0..1.0).contains(&decay), "0 <= value < 1")?;
        }
        if let Some(every) = self.checkpoint_every {
            require("checkpoint-every", every, every >= 1, "at least 1 step")?;
        }
        if let Some(patience) = self.early_stop_patience {
            require("early-stop-patience", patience, patience >= 1, "at least 1 epoch")?;
            if self.data.validation == 0 {
                return Err(RecipeError::Contradiction(
                    "`early-stop-patience` needs validation images; set `data.validation` to 5000 or so, or remove the key",
                ));
            }
        }
        if let Some(Whitening { images, eps }) = self.whitening {
            require("whitening.images", images, images >= 1, "at least 1")?;
            require("whitening.eps", eps, eps > 0.0 && eps.is_finite(), "a positive number")?;
        }
        if let Some(p) = self.network.and_then(|network| network.dropout) {
            require("network.dropout", p, (0.0..1.0).contains(&p), "0 <= value < 1")?;
        }
        self.check_data()?;
        self.optimizer.check()?;
        self.schedule.check()?;
        self.parameter_groups.iter().try_for_each(ParameterGroup::check)
    }

    fn check_data(&self) -> Result<(), RecipeError> {
        if let Some(classes) = &self.data.classes {
            let (found, fits) = (classes.len(), (2..=MAX_CLASSES).contains(&classes.len()));
            require("data.classes", format!("{found} names"), fits, "2 to 256 of them")?;
            if classes.iter().enumerate().any(|(at, name)| classes[..at].contains(name)) {
                return Err(RecipeError::Contradiction("`data.classes` has the same name twice"));
            }
        }
        for &mean in &self.data.normalization.mean {
            require("data.normalization.mean", mean, mean.is_finite(), "finite numbers")?;
        }
        for &std in &self.data.normalization.std {
            require(
                "data.normalization.std",
                std,
                std > 0.0 && std.is_finite(),
                "positive numbers",
            )?;
        }
        Ok(())
    }
}

/// Fails unless `ok`. Conditions are written so that NaN makes them false.
pub(crate) fn require(
    key: &'static str,
    value: impl ToString,
    ok: bool,
    expected: &'static str,
) -> Result<(), RecipeError> {
    if ok {
        Ok(())
    } else {
        Err(RecipeError::OutOfRange { key, value: value.to_string(), expected })
    }
}

/// An error of the file, with the line it is in.
fn parse_error(error: &toml::de::Error) -> RecipeError {
    RecipeError::Parse(error.to_string().trim_end().to_owned())
}

fn apply(table: &mut toml::Table, setting: &str) -> Result<(), RecipeError> {
    let (key, value) =
        setting.split_once('=').ok_or_else(|| RecipeError::Setting(setting.to_owned()))?;
    let key = key.trim();
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts
        .pop()
        .filter(|part| !part.is_empty())
        .ok_or_else(|| RecipeError::Setting(setting.to_owned()))?;
    let mut at = table;
    for part in parts {
        let inner = at.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
        at = inner
            .as_table_mut()
            .ok_or_else(|| RecipeError::NotATable { key: key.to_owned(), part: part.to_owned() })?;
    }
    at.insert(last.to_owned(), parse_value(value.trim()));
    Ok(())
}

/// A TOML value, or the text itself: `--set model=simplenet` needs no quotes.
fn parse_value(text: &str) -> toml::Value {
    let parsed: Result<toml::Table, _> = format!("value = {text}").parse();
    match parsed {
        Ok(mut table) if table.len() == 1 => table.remove("value").unwrap_or_else(|| text.into()),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests;
