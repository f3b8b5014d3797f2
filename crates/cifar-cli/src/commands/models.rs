//! `cifar models`: the networks, or one of them layer by layer.

use candle_core::Device;
use cifar_models::Model;
use cifar_net::{Arithmetic, Executor, MemoryReport, Net, PlannedOperation, Precision};
use serde::Serialize;

use crate::args::{ModelsArgs, PrecisionName};
use crate::console::Console;
use crate::tables::{Align, Table, grouped};

const N_CLASSES: usize = 10;

#[derive(Serialize)]
struct NetSize {
    name: String,
    parameters: usize,
    multiply_adds: u64,
}

#[derive(Serialize)]
struct LayerSize {
    name: String,
    kind: String,
    output_shape: String,
    parameters: usize,
    multiply_adds: u64,
}

pub(crate) fn run(args: &ModelsArgs, console: &mut Console) -> anyhow::Result<()> {
    match &args.name {
        None => list(args, console),
        Some(name) if args.plan => plan(&cifar_models::build(name, N_CLASSES)?, args, console),
        Some(name) => layers(&cifar_models::build(name, N_CLASSES)?, args, console),
    }
}

fn list(args: &ModelsArgs, console: &mut Console) -> anyhow::Result<()> {
    let mut sizes = Vec::new();
    for name in cifar_models::NAMES {
        let net = cifar_models::build(name, N_CLASSES)?;
        sizes.push(NetSize {
            name: net.name.clone(),
            parameters: net.n_parameters(),
            multiply_adds: net.multiply_adds()?,
        });
    }
    if args.json {
        return Ok(console.document(&sizes)?);
    }
    let mut table = Table::new(&[
        ("model", Align::Left),
        ("parameters", Align::Right),
        ("multiply-adds", Align::Right),
    ]);
    for size in &sizes {
        table.row([
            size.name.clone(),
            grouped(size.parameters as u64),
            grouped(size.multiply_adds),
        ]);
    }
    Ok(console.line(table.to_string())?)
}

fn layers(net: &Net, args: &ModelsArgs, console: &mut Console) -> anyhow::Result<()> {
    let rows: Vec<LayerSize> = net
        .summary()?
        .into_iter()
        .map(|layer| LayerSize {
            name: layer.name,
            kind: layer.kind.to_string(),
            output_shape: layer.output_shape.to_string(),
            parameters: layer.parameters,
            multiply_adds: layer.multiply_adds,
        })
        .collect();
    if args.json {
        return Ok(console.document(&rows)?);
    }
    let mut table = Table::new(&[
        ("layer", Align::Left),
        ("kind", Align::Left),
        ("output", Align::Right),
        ("parameters", Align::Right),
        ("multiply-adds", Align::Right),
    ]);
    for row in rows {
        table.row([
            row.name,
            row.kind,
            row.output_shape,
            grouped(row.parameters as u64),
            grouped(row.multiply_adds),
        ]);
    }
    let total = [grouped(net.n_parameters() as u64), grouped(net.multiply_adds()?)];
    let [parameters, multiply_adds] = total;
    table.row(["total".to_owned(), String::new(), String::new(), parameters, multiply_adds]);
    console.line(table.to_string())?;
    Ok(console.line(
        "Multiply-adds are of one image's forward pass, convolutions and linear layers only.",
    )?)
}

/// The operations of a training step and the memory it needs.
fn plan(net: &Net, args: &ModelsArgs, console: &mut Console) -> anyhow::Result<()> {
    let model = Model::initialise(net.clone(), 0, &Device::Cpu)?;
    let precision = match args.precision {
        PrecisionName::F32 => Precision::F32,
        PrecisionName::Bf16 => Precision::Bf16,
    };
    let arithmetic = Arithmetic { precision, ..Arithmetic::default() };
    let executor = Executor::new(net, &model.variables, arithmetic)?;
    let report = executor.memory_report(args.batch_size);
    if args.json {
        return Ok(console.document(&PlanReport::from(&report))?);
    }
    let mut table = Table::new(&[
        ("operation", Align::Left),
        ("layer", Align::Left),
        ("output", Align::Right),
        ("MB", Align::Right),
    ]);
    let megabytes = |bytes: usize| format!("{:.1}", bytes as f64 / 1e6);
    for operation in &report.operations {
        let [channels, height, width] = operation.output;
        table.row([
            operation.kind.clone(),
            operation.path.clone(),
            format!("{channels}x{height}x{width}"),
            megabytes(operation.bytes),
        ]);
    }
    console.line(table.to_string())?;
    console.line(format!(
        "A step on {} images needs {} MB: values {}, their gradients {} in {} buffers, packed \
         weights {}, gradients of the weights {}; {} images go through all operations at a time.",
        report.batch_size,
        megabytes(report.total_bytes()),
        megabytes(report.value_bytes),
        megabytes(report.gradient_bytes),
        report.n_gradient_buffers,
        megabytes(report.packed_bytes),
        megabytes(report.weight_gradient_bytes),
        report.shard_len,
    ))?;
    Ok(())
}

#[derive(Serialize)]
struct PlanReport {
    batch_size: usize,
    total_bytes: usize,
    value_bytes: usize,
    gradient_bytes: usize,
    packed_bytes: usize,
    weight_gradient_bytes: usize,
    shard_len: usize,
    operations: Vec<PlannedLayer>,
}

#[derive(Serialize)]
struct PlannedLayer {
    operation: String,
    layer: String,
    output: [usize; 3],
    bytes: usize,
}

impl From<&MemoryReport> for PlanReport {
    fn from(report: &MemoryReport) -> Self {
        let layer = |operation: &PlannedOperation| PlannedLayer {
            operation: operation.kind.clone(),
            layer: operation.path.clone(),
            output: operation.output,
            bytes: operation.bytes,
        };
        Self {
            batch_size: report.batch_size,
            total_bytes: report.total_bytes(),
            value_bytes: report.value_bytes,
            gradient_bytes: report.gradient_bytes,
            packed_bytes: report.packed_bytes,
            weight_gradient_bytes: report.weight_gradient_bytes,
            shard_len: report.shard_len,
            operations: report.operations.iter().map(layer).collect(),
        }
    }
}
