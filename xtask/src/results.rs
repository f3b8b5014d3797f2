//! `results`: the published tables of accuracies, made of committed summaries.
//!
//! `models/results/NAME.json` has what the summaries of some runs of one recipe say. The text
//! between `<!-- results -->` and `<!-- /results -->` in the documents below is made of these files
//! and of nothing else.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use cifar_metrics::Spread;
use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cifar::{Cifar, text};
use crate::workspace;

mod tables;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Folders of finished runs of a recipe in models/, whose summaries are added
    #[arg(long, value_name = "RUN", num_args = 1.., requires = "machine")]
    add: Vec<PathBuf>,
    /// The machine they were made on, by its name in docs/benchmarks.md
    #[arg(long, requires = "add")]
    machine: Option<String>,
    /// Change nothing; fail if a document would change
    #[arg(long, conflicts_with = "add")]
    check: bool,
}

/// Runs of one recipe, from several seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Results {
    /// The command of every run, but for the seed.
    command: String,
    machine: String,
    /// `config.toml` of every run, but for the seed.
    recipe: String,
    /// By seed.
    runs: Vec<Run>,
}

/// What one run came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Run {
    seed: u64,
    model: String,
    parameters: u64,
    epochs: u64,
    precision: String,
    test_accuracy: f64,
    /// That of each test image alone, where the recipe looks at several views.
    single_view_accuracy: Option<f64>,
    images_per_second: f64,
    duration_s: f64,
    peak_rss_bytes: Option<u64>,
    git_commit: String,
}

type Table = fn(&[(String, Results)]) -> String;

/// The documents with tables, and how each is made.
const DOCUMENTS: [(&str, Table); 2] =
    [("README.md", tables::short), ("docs/benchmarks.md", tables::long)];

const MARKS: [&str; 2] = ["<!-- results -->\n", "<!-- /results -->"];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let root = workspace::root();
    if let Some(machine) = &arguments.machine {
        add(&root.join("models/results"), &arguments.add, machine)?;
    }
    let stale = stale(root)?;
    if arguments.check {
        return require_none(&stale);
    }
    for Stale { name, text } in stale {
        replace(&root.join(name), &text)?;
        println!("{name} is new");
    }
    Ok(())
}

/// A document whose tables are not those of the results, and what it should say.
struct Stale {
    name: &'static str,
    text: String,
}

/// The documents below `root` that would change.
fn stale(root: &Path) -> Result<Vec<Stale>> {
    let results = read_all(&root.join("models/results"))?;
    let mut stale = Vec::new();
    for (name, table) in DOCUMENTS {
        let before = fs::read_to_string(root.join(name)).with_context(|| format!("read {name}"))?;
        let text = with_table(&before, &table(&results)).context(name)?;
        if text != before {
            stale.push(Stale { name, text });
        }
    }
    Ok(stale)
}

fn require_none(stale: &[Stale]) -> Result<()> {
    let names: Vec<&str> = stale.iter().map(|document| document.name).collect();
    ensure!(
        names.is_empty(),
        "the results in {} are not those of models/results; run `cargo xtask results`",
        names.join(" and ")
    );
    Ok(())
}

/// The document with `table` between the marks.
fn with_table(document: &str, table: &str) -> Result<String> {
    let [begin, end] = MARKS;
    let between = document.split_once(begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(end)?;
        Some(format!("{before}{begin}{table}{end}{after}"))
    });
    between.with_context(|| format!("there is no `{}` with `{end}` behind it", begin.trim_end()))
}

fn read_all(folder: &Path) -> Result<Vec<(String, Results)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "json") {
            all.push((name, read(&path)?));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn read(path: &Path) -> Result<Results> {
    let text = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))
}

/// Adds the runs to the file of their recipe, in the place of those with the same seed.
fn add(folder: &Path, runs: &[PathBuf], machine: &str) -> Result<()> {
    let machines = workspace::root().join("docs/benchmarks.md");
    let machines = fs::read_to_string(&machines).context("read docs/benchmarks.md")?;
    ensure!(
        machines.contains(&format!("\n| {machine} |")),
        "docs/benchmarks.md knows no machine `{machine}`; add it to the table there"
    );
    let cifar = Cifar::build()?;
    for run in runs {
        let (name, recipe, found) = summary(run)?;
        let described = cifar.json(&["runs", text(run)?])?;
        let command = described[0]["command"].as_str();
        let command = command.with_context(|| format!("no command of {}", run.display()))?;
        let command = without_seed(command, &name, found.seed)
            .with_context(|| format!("cannot add {}", run.display()))?;
        let views = recipe.contains("test-time-augmentation");
        let alone = ["eval", "--run", text(run)?, "--tta", "none"];
        let single = views.then(|| cifar.json(&alone)).transpose()?;
        let single_view_accuracy = single.and_then(|report| report["top1"].as_f64());
        let found = Run { single_view_accuracy, ..found };
        let mut results =
            Results { command, machine: machine.to_owned(), recipe, runs: vec![found] };
        let path = folder.join(format!("{name}.json"));
        if path.exists() {
            let cannot = || format!("cannot add {} to {}", run.display(), path.display());
            results = read(&path)?.joined(results).with_context(cannot)?;
        }
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        replace(&path, &(serde_json::to_string_pretty(&results)? + "\n"))?;
    }
    Ok(())
}

/// The command of a run from `seed`, without that seed.
fn without_seed(command: &str, recipe: &str, seed: u64) -> Result<String> {
    ensure!(
        command.starts_with(&format!("cifar train --recipe {recipe} ")),
        "no recipe in models leads to its settings (`{command}`); publish the recipe with the result"
    );
    let given = format!(" --seed {seed}");
    let words = command.split_once(&given).filter(|(_, after)| {
        // Not the first digits of another number.
        after.is_empty() || after.starts_with(' ')
    });
    let (before, after) = words.with_context(|| format!("`{command}` has no seed {seed}"))?;
    Ok(format!("{before}{after}"))
}

/// A finished run: its recipe's name, its settings but for the seed, and what it came to.
fn summary(run: &Path) -> Result<(String, String, Run)> {
    let path = run.join("summary.json");
    let bytes = fs::read(&path).with_context(|| {
        format!("{} has no summary; a run has one when it has been tested", run.display())
    })?;
    let summary: Value =
        serde_json::from_slice(&bytes).with_context(|| format!("read {}", path.display()))?;
    ensure!(
        summary["complete"] == true,
        "{} did not come to its end; `cifar train --resume {}` goes on with it",
        run.display(),
        run.display()
    );
    let config = fs::read_to_string(run.join("config.toml"))
        .with_context(|| format!("read {}/config.toml", run.display()))?;
    let settings = config.lines().filter(|line| !line.starts_with("seed = "));
    let recipe: String = settings.flat_map(|line| [line, "\n"]).collect();
    let field = |key: &str| -> Result<&Value> {
        let value = summary.get(key);
        value.with_context(|| format!("{} has no `{key}`", path.display()))
    };
    let number = |key: &str| field(key)?.as_f64().with_context(|| format!("{key} is no number"));
    let count = |key: &str| field(key)?.as_u64().with_context(|| format!("{key} is no number"));
    let word = |key: &str| -> Result<String> {
        Ok(field(key)?.as_str().with_context(|| format!("{key} is no text"))?.to_owned())
    };
    let found = Run {
        seed: count("seed")?,
        model: word("model")?,
        parameters: count("parameters")?,
        epochs: count("epochs")?,
        precision: word("precision")?,
        test_accuracy: number("test_accuracy")?,
        single_view_accuracy: None,
        images_per_second: number("images_per_second")?,
        duration_s: number("duration_s")?,
        peak_rss_bytes: summary["peak_rss_bytes"].as_u64(),
        git_commit: word("git_commit")?,
    };
    Ok((word("recipe")?, recipe, found))
}

impl Results {
    /// With the runs of `new`, in the place of those with the same seed.
    fn joined(mut self, new: Self) -> Result<Self> {
        ensure!(
            self.recipe == new.recipe,
            "its settings are others than those of the runs there; delete the file to begin anew"
        );
        ensure!(
            self.machine == new.machine,
            "it was made on {}, the runs there on {}, and speeds of two machines have no mean; \
             train all seeds on one of them",
            new.machine,
            self.machine
        );
        let is_new = |seed| new.runs.iter().any(|run| run.seed == seed);
        self.runs.retain(|run| !is_new(run.seed));
        self.runs.extend(new.runs);
        self.runs.sort_by_key(|run| run.seed);
        // Equal settings may be reached by another way since a recipe in models changed.
        Ok(Self { command: new.command, ..self })
    }

    /// The commands that make the runs again, one for each row of seeds without a gap.
    fn commands(&self) -> Vec<String> {
        let rows = self.runs.chunk_by(|run, next| run.seed + 1 == next.seed);
        let ends = rows.filter_map(|row| Some((row.first()?.seed, row.last()?.seed)));
        ends.map(|(first, last)| format!("{} --seeds {first}..{}", self.command, last + 1))
            .collect()
    }

    /// Mean and spread of a figure of the runs that have it.
    fn spread(&self, figure: impl Fn(&Run) -> Option<f64>) -> Option<Spread> {
        Spread::of(&self.runs.iter().filter_map(figure).collect::<Vec<_>>())
    }
}

fn replace(path: &Path, text: &str) -> Result<()> {
    cifar_files::write(path, text.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
