//! `cifar models`: the networks, or one of them layer by layer.

use cifar_net::Net;
use serde::Serialize;

use crate::args::ModelsArgs;
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
