//! `cifar import`: weights of PyTorch's as safetensors.

use std::path::Path;

use candle_core::Device;
use cifar_models::Model;
use serde::Serialize;

use crate::args::ImportArgs;
use crate::console::Console;
use crate::tables::grouped;

/// The JSON document.
#[derive(Serialize)]
struct Report<'a> {
    weights: &'a Path,
    model: &'a str,
    classes: usize,
    tensors: usize,
    parameters: usize,
}

pub(crate) fn run(args: &ImportArgs, console: &mut Console) -> anyhow::Result<()> {
    let net = cifar_models::build(&args.model, args.classes)?;
    let model = Model::load(net, &args.file, &Device::Cpu)?;
    model.save_weights(&args.out)?;
    let (tensors, parameters) = (model.variables.len(), model.net.n_parameters());
    console.line(format!(
        "Wrote {}: {} parameters of {} in {tensors} tensors",
        args.out.display(),
        grouped(parameters as u64),
        args.model,
    ))?;
    console.document(&Report {
        weights: &args.out,
        model: &args.model,
        classes: args.classes,
        tensors,
        parameters,
    })?;
    Ok(())
}
