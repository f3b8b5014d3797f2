//! `cifar export` and `cifar verify`: a trained network as a file for other runtimes, proven.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail};
use cifar_export::{
    Check, Draft, Format, Manifest, Metadata, Options, Reported, Subject, Tolerance, sha256,
};
use cifar_models::Model;
use cifar_train::{Recipe, RunFolder, Slot, TestTimeAugmentation};
use serde::Serialize;

use crate::args::{CheckpointName, ExportArgs, VerifyArgs};
use crate::console::Console;
use crate::proof::Proof;
use crate::record::Record;
use crate::tables::{grouped, percent};
use crate::{host, session};

/// Of the weights as of the program.
const LICENCE: &str = "MIT OR Apache-2.0";

/// The JSON document of both.
#[derive(Serialize)]
struct Report<'a> {
    file: &'a Path,
    /// Seconds that folding, writing and flushing took; none where nothing was written.
    export_s: Option<f64>,
    #[serde(flatten)]
    manifest: &'a Manifest,
}

pub(crate) fn run(args: &ExportArgs, console: &mut Console) -> anyhow::Result<()> {
    host::device(&args.proof.compute())?;
    let record = Record::read(&args.run)?;
    let recipe = &record.recipe;
    let slot = slot(&record.folder, args.checkpoint);
    let proof = Proof::open(&args.proof.source, recipe, console)?;
    let model = model(&record.folder, recipe, slot, &proof)?;
    let (expected, accuracy) = proof.expected(&model)?;
    let normalization = normalization(recipe);
    let options = Options {
        fold_batch_norm: args.fold_bn,
        preprocess: args.with_preprocess.then_some(normalization),
        dtype: args.dtype.into(),
    };
    let metadata = Metadata {
        model: recipe.model.clone(),
        parameters: model.net.n_parameters(),
        class_names: proof.class_names().to_vec(),
        normalization,
        test_accuracy: Some(accuracy),
        reported: reported(&record, slot),
        recipe: recipe.name.clone(),
        recipe_sha256: sha256(recipe.to_toml()?.as_bytes()),
        checkpoint: slot.folder().to_owned(),
        licence: LICENCE.to_owned(),
        producer: concat!("cifar ", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let format = Format::from(args.format);
    let started = Instant::now();
    let subject = Subject::new(&model, &options)?;
    let draft = Draft::write(&args.out, &format.write(&subject, &metadata)?)?;
    let export_s = started.elapsed().as_secs_f64();
    let bytes = draft.read_back()?;
    let check = prove(&proof, format, &bytes, &subject, &expected)
        .with_context(|| format!("{} was not written", args.out.display()))?;
    let manifest = Manifest::new(format, &bytes, &subject, &metadata, check);
    draft.place(&manifest)?;

    console.line(format!("{} ({}, {})", args.run.display(), recipe.model, slot.folder()))?;
    console.line(format!(
        "Wrote {} ({}, {}, {} bytes) in {export_s:.3} s",
        args.out.display(),
        format.name(),
        options.dtype.name(),
        grouped(manifest.bytes)
    ))?;
    console.line(described(&manifest))?;
    let file = args.out.as_path();
    Ok(console.document(&Report { file, export_s: Some(export_s), manifest: &manifest })?)
}

pub(crate) fn verify(args: &VerifyArgs, console: &mut Console) -> anyhow::Result<()> {
    host::device(&args.proof.compute())?;
    let mut manifest = Manifest::read(&args.file).with_context(|| {
        format!("{} cannot be verified without its manifest", args.file.display())
    })?;
    let distrusted = || format!("{} is not to be trusted", args.file.display());
    let bytes =
        fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    manifest.vouch_for(&bytes).with_context(distrusted)?;
    let folder = RunFolder::open(&args.run)?;
    let recipe = folder.recipe()?;
    let metadata = &manifest.metadata;
    if sha256(recipe.to_toml()?.as_bytes()) != metadata.recipe_sha256 {
        bail!(
            "{} was exported from a run of another recipe (`{}`) than {}; give that run",
            args.file.display(),
            metadata.recipe,
            args.run.display()
        );
    }
    let slot = if metadata.checkpoint == Slot::Best.folder() { Slot::Best } else { Slot::Last };
    let proof = Proof::open(&args.proof.source, &recipe, console)?;
    let model = model(&folder, &recipe, slot, &proof)?;
    let (expected, _) = proof.expected(&model)?;
    let subject = Subject::new(&model, &manifest.options)?;
    manifest.check =
        prove(&proof, manifest.format, &bytes, &subject, &expected).with_context(distrusted)?;
    console.line(format!(
        "{} ({}) is {} of {}, whole and unchanged",
        args.file.display(),
        manifest.format.name(),
        slot.folder(),
        args.run.display()
    ))?;
    console.line(described(&manifest))?;
    Ok(console.document(&Report { file: &args.file, export_s: None, manifest: &manifest })?)
}

fn slot(run: &RunFolder, named: Option<CheckpointName>) -> Slot {
    match named {
        Some(CheckpointName::Best) => Slot::Best,
        Some(CheckpointName::Last) => Slot::Last,
        None => run.checkpoints().reported(),
    }
}

fn model(run: &RunFolder, recipe: &Recipe, slot: Slot, proof: &Proof) -> anyhow::Result<Model> {
    let weights = run.checkpoints().evaluation_weights(slot)?;
    let n_classes = proof.class_names().len();
    session::load_model(recipe, n_classes, &weights, &candle_core::Device::Cpu)
}

fn normalization(recipe: &Recipe) -> cifar_export::Normalization {
    let cifar_data::Normalization { mean, std } = recipe.data.normalization;
    cifar_export::Normalization { mean, std }
}

/// The run's own result, where it is not that of the network alone.
fn reported(record: &Record, slot: Slot) -> Option<Reported> {
    let views = record.recipe.test_time_augmentation?;
    let summary = record.summary.as_ref().filter(|summary| summary.tested == slot.folder())?;
    (views != TestTimeAugmentation::None).then(|| Reported {
        test_accuracy: summary.test_accuracy,
        test_time_augmentation: views.name().to_owned(),
    })
}

fn prove(
    proof: &Proof,
    format: Format,
    bytes: &[u8],
    subject: &Subject,
    expected: &[candle_core::Tensor],
) -> anyhow::Result<Check> {
    let file = format.reread(bytes, subject)?;
    let comparison = proof.compare(&*file, &subject.options, expected)?;
    Ok(comparison.finish(Tolerance::of(subject.options.dtype)).passed()?)
}

fn described(manifest: &Manifest) -> String {
    let Manifest { check, batch_norms, metadata, .. } = manifest;
    let mut lines = vec![
        format!("Input   {}", manifest.input),
        format!("Output  {}", manifest.output),
        format!(
            "Batch norms: {} folded, {} kept",
            batch_norms.folded.len(),
            batch_norms.kept.len()
        ),
        format!(
            "Read back on {} test images: logits differ by at most {:.1e} ({:.0e} allowed), by {:.1e} \
             in the mean; same class for {}; accuracy {}",
            grouped(check.n_images as u64),
            check.max_abs_difference,
            check.tolerance.max_abs_difference,
            check.mean_abs_difference,
            percent(check.top1_agreement),
            percent(check.accuracy)
        ),
    ];
    if let Some(Reported { test_accuracy, test_time_augmentation }) = &metadata.reported {
        lines.push(format!(
            "The run's {} are of several views of each image ({test_time_augmentation}), which the \
             file does not take",
            percent(*test_accuracy)
        ));
    }
    lines.join("\n")
}
