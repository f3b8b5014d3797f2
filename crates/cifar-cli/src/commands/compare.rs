//! `cifar compare`: several runs side by side.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cifar_report::RunCurves;
use cifar_report::html::Comparison;
use serde::Serialize;

use super::report::memory;
use crate::args::CompareArgs;
use crate::console::Console;
use crate::record::Record;
use crate::tables::{Align, Table, grouped, percent};
use crate::{logged, recipe_keys};

/// The JSON document.
#[derive(Serialize)]
struct Document<'a> {
    file: &'a Path,
    runs: Vec<Run<'a>>,
    /// Recipe keys that differ, with the value of each run in turn, `null` where it has none.
    differences: &'a [(String, Vec<Option<String>>)],
    missing: &'a [String],
}

#[derive(Serialize)]
struct Run<'a> {
    run: &'a Path,
    recipe: &'a str,
    seed: u64,
    epochs: u32,
    test_accuracy: Option<f64>,
    test_loss: Option<f64>,
    images_per_second: Option<f64>,
    peak_rss_bytes: Option<u64>,
}

const COLUMNS: [(&str, Align); 8] = [
    ("run", Align::Left),
    ("recipe", Align::Left),
    ("seed", Align::Right),
    ("epochs", Align::Right),
    ("test accuracy", Align::Right),
    ("test loss", Align::Right),
    ("images/s", Align::Right),
    ("peak memory", Align::Right),
];

/// Keys that are columns already.
const OWN_COLUMNS: [&str; 2] = ["name", "seed"];

pub(crate) fn run(args: &CompareArgs, console: &mut Console) -> anyhow::Result<()> {
    let records =
        args.runs.iter().map(|path| Record::read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let runs: Vec<Run<'_>> = records.iter().map(figures).collect();
    let names = names(&args.runs);
    let rows: Vec<Vec<String>> =
        runs.iter().zip(&names).map(|(run, name)| row(run, name)).collect();
    let differences = differences(&records)?;
    let missing: Vec<String> = records
        .iter()
        .zip(&names)
        .flat_map(|(record, name)| record.missing.iter().map(move |m| format!("{name}: {m}")))
        .collect();

    let mut table = Table::new(&COLUMNS);
    rows.iter().for_each(|cells| table.row(cells.clone()));
    console.line(table.to_string())?;
    if !differences.is_empty() {
        let shown: Vec<_> = differences.iter().map(|(key, v)| (key.clone(), shown(v))).collect();
        console.line(format!("\n{}", by_run(("recipe key", Align::Left), &shown, &names)))?;
    }
    let times = times(&records);
    if !times.is_empty() {
        console.line(format!("\n{}", by_run(("time", Align::Right), &times, &names)))?;
    }

    let page = Comparison {
        columns: COLUMNS.iter().map(|(name, _)| (*name).to_owned()).collect(),
        rows,
        differences: differences.iter().map(|(key, values)| (key.clone(), shown(values))).collect(),
        times,
        curves: curves(&records, &names),
        missing,
    };
    page.to_html().save(&args.out)?;
    console.line(format!("\nWrote {}", args.out.display()))?;
    for sentence in &page.missing {
        console.line(sentence)?;
    }
    Ok(console.document(&Document {
        file: &args.out,
        runs,
        differences: &differences,
        missing: &page.missing,
    })?)
}

fn figures(record: &Record) -> Run<'_> {
    let summary = record.summary.as_ref();
    Run {
        run: record.folder.path(),
        recipe: &record.recipe.name,
        seed: record.recipe.seed,
        epochs: summary.map_or(record.history.epochs.len() as u32, |summary| summary.epochs),
        test_accuracy: summary.map(|summary| summary.test_accuracy),
        test_loss: summary.map(|summary| summary.test_loss),
        images_per_second: summary.map(|summary| summary.images_per_second),
        peak_rss_bytes: summary.and_then(|summary| summary.peak_rss_bytes),
    }
}

fn row(run: &Run<'_>, name: &str) -> Vec<String> {
    let cell =
        |value: Option<f64>, show: fn(f64) -> String| value.map_or_else(|| "-".to_owned(), show);
    vec![
        name.to_owned(),
        run.recipe.to_owned(),
        run.seed.to_string(),
        run.epochs.to_string(),
        cell(run.test_accuracy, percent),
        cell(run.test_loss, |loss| format!("{loss:.4}")),
        cell(run.images_per_second, |rate| grouped(rate.round() as u64)),
        run.peak_rss_bytes.map_or_else(|| "-".to_owned(), |bytes| memory(Some(bytes))),
    ]
}

/// The folders' own names where these tell the runs apart, else their paths.
fn names(paths: &[PathBuf]) -> Vec<String> {
    let whole = |path: &PathBuf| path.display().to_string();
    let last = |path: &PathBuf| {
        path.file_name().map_or_else(|| whole(path), |name| name.to_string_lossy().into_owned())
    };
    let names: Vec<String> = paths.iter().map(last).collect();
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    if distinct.len() == names.len() { names } else { paths.iter().map(whole).collect() }
}

/// The recipe keys whose values are not the same in all runs.
fn differences(records: &[Record]) -> anyhow::Result<Vec<(String, Vec<Option<String>>)>> {
    let mut values: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    for (index, record) in records.iter().enumerate() {
        for (key, value) in recipe_keys::of(&record.recipe)? {
            let of_key = values.entry(key).or_insert_with(|| vec![None; records.len()]);
            of_key[index] = Some(value.to_string());
        }
    }
    let differs = |key: &str, values: &[Option<String>]| {
        !OWN_COLUMNS.contains(&key) && values.iter().any(|value| *value != values[0])
    };
    Ok(values.into_iter().filter(|(key, values)| differs(key, values)).collect())
}

fn shown(values: &[Option<String>]) -> Vec<String> {
    values.iter().map(|value| value.clone().unwrap_or_else(|| "-".to_owned())).collect()
}

/// What each part of the time took in every run; nothing where no run tells.
fn times(records: &[Record]) -> Vec<(String, Vec<String>)> {
    let of_runs: Vec<_> = records.iter().map(Record::time_parts).collect();
    let names = of_runs.iter().find(|parts| !parts.is_empty()).into_iter().flatten();
    names
        .enumerate()
        .map(|(index, (name, _))| {
            let cell = |parts: &Vec<(&str, f64)>| match parts.get(index) {
                Some((_, secs)) => {
                    let total: f64 = parts.iter().map(|(_, secs)| secs).sum();
                    format!("{secs:.2} s ({})", percent(secs / total))
                }
                None => "-".to_owned(),
            };
            ((*name).to_owned(), of_runs.iter().map(cell).collect())
        })
        .collect()
}

/// A column for each run; `heading` is that of the names, with how the cells stand.
fn by_run(
    (heading, align): (&str, Align),
    rows: &[(String, Vec<String>)],
    names: &[String],
) -> Table {
    let mut columns = vec![(heading, Align::Left)];
    columns.extend(names.iter().map(|name| (name.as_str(), align)));
    let mut table = Table::new(&columns);
    for (name, values) in rows {
        table.row(std::iter::once(name.clone()).chain(values.clone()));
    }
    table
}

/// Of the runs that have logged anything.
fn curves(records: &[Record], names: &[String]) -> Vec<RunCurves> {
    let logged = records.iter().zip(names).filter(|(record, _)| !record.history.steps.is_empty());
    logged
        .map(|(record, name)| {
            let (steps, validation) = logged::points(&record.history);
            RunCurves { name: name.clone(), steps, validation }
        })
        .collect()
}
