//! The command that does a run again.

use std::collections::BTreeMap;
use std::path::Path;

use cifar_train::Recipe;

use crate::{recipe_keys, recipes};

/// Keys with flags of their own.
const FLAGS: [(&str, &str); 3] =
    [("epochs", "--epochs"), ("batch-size", "--batch-size"), ("seed", "--seed")];

/// A command for a shell, and what it starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reproduction {
    pub(crate) command: String,
    pub(crate) note: String,
}

/// What trains `recipe` again, from the built-in recipe of its name where settings lead from there to
/// it, else from the run's own file. `stopped_at` are the steps of a run that did not come to its end.
pub(crate) fn reproduce(
    recipe: &Recipe,
    run: &Path,
    data_dir: &Path,
    stopped_at: Option<usize>,
) -> anyhow::Result<Reproduction> {
    let mut words = vec!["cifar".to_owned(), "train".to_owned()];
    let from = match settings(recipe)? {
        Some(settings) => {
            words.extend(["--recipe".to_owned(), recipe.name.clone()]);
            words.extend(settings.iter().flat_map(|(key, value)| words_for(key, value)));
            "the built-in recipe and what the run changed of it"
        }
        None => {
            let config = run.join("config.toml").display().to_string();
            words.extend(["--recipe".to_owned(), config]);
            "the recipe in the run's own folder, as no built-in recipe leads to it by settings"
        }
    };
    if let Some(steps) = stopped_at {
        words.extend(["--max-steps".to_owned(), steps.to_string()]);
    }
    if data_dir != Path::new("data") {
        words.extend(["--data-dir".to_owned(), data_dir.display().to_string()]);
    }
    let command = words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let stop = match stopped_at {
        Some(_) => " The run stopped before its end, and so does the command.",
        None => "",
    };
    let note = format!(
        "From {from}. Equal recipes and equal data give equal weights, bit for bit, on the same kind \
         of device.{stop}"
    );
    Ok(Reproduction { command, note })
}

/// The settings that turn the built-in recipe of the same name into `recipe`, seed included; none
/// where there is no such recipe or settings cannot do it.
fn settings(recipe: &Recipe) -> anyhow::Result<Option<Vec<(String, String)>>> {
    let Ok(base) = recipes::built_in(&recipe.name) else { return Ok(None) };
    let base_keys: BTreeMap<_, _> = recipe_keys::of(&base)?.into_iter().collect();
    let differs =
        |(key, value): &(String, toml::Value)| key == "seed" || base_keys.get(key) != Some(value);
    let changed: Vec<(String, String)> = recipe_keys::of(recipe)?
        .into_iter()
        .filter(differs)
        .map(|(key, value)| (key, value.to_string()))
        .collect();
    let typed: Vec<String> = changed.iter().map(|(key, value)| format!("{key}={value}")).collect();
    // A setting cannot take a key away, so the way is tried before it is told.
    let reached = recipes::load(&recipe.name, &typed).is_ok_and(|reached| reached == *recipe);
    Ok(reached.then_some(changed))
}

fn words_for(key: &str, value: &str) -> [String; 2] {
    match FLAGS.iter().find(|(known, _)| *known == key) {
        Some((_, flag)) => [(*flag).to_owned(), value.to_owned()],
        None => ["--set".to_owned(), format!("{key}={value}")],
    }
}

/// A word as a POSIX shell reads it back unchanged.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(recipe: &Recipe) -> String {
        let run = Path::new("runs/my run");
        reproduce(recipe, run, Path::new("data"), None).unwrap().command
    }

    #[test]
    fn an_unchanged_recipe_needs_its_seed_alone() {
        let recipe = recipes::load("simplenet", &[]).unwrap();
        assert_eq!(command(&recipe), "cifar train --recipe simplenet --seed 0");
        let stopped = reproduce(&recipe, Path::new("r"), Path::new("d"), Some(7)).unwrap().command;
        assert_eq!(stopped, "cifar train --recipe simplenet --seed 0 --max-steps 7 --data-dir d");
    }

    #[test]
    fn changes_become_flags_and_settings() {
        let settings = [
            "seed=3",
            "epochs=2",
            "optimizer.momentum=0.9",
            "precision=bf16",
            "data.normalization.mean=[0.1, 0.2, 0.3]",
        ]
        .map(str::to_owned);
        let recipe = recipes::load("simplenet", &settings).unwrap();
        let command = command(&recipe);
        for part in [
            "--seed 3",
            "--epochs 2",
            "--set optimizer.momentum=0.9",
            "--set 'precision=\"bf16\"'",
            "--set 'data.normalization.mean=[0.1, 0.2, 0.3]'",
        ] {
            assert!(command.contains(part), "{command}");
        }
    }

    #[test]
    fn what_settings_cannot_reach_comes_from_the_runs_own_file() {
        let mut recipe = recipes::load("simplenet", &[]).unwrap();
        recipe.checkpoint_every = None;
        assert_eq!(command(&recipe), "cifar train --recipe 'runs/my run/config.toml'");
        recipe.name = "<script>alert(1)</script>".to_owned();
        assert_eq!(command(&recipe), "cifar train --recipe 'runs/my run/config.toml'");
    }

    #[test]
    fn words_survive_a_shell() {
        let words = ["", "it's", "$HOME `id` \"x\" \\", "a=b", "<script>", "ä\nb"];
        for word in words {
            let script = format!("printf %s {}", quoted(word));
            let ran = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(ran.stdout).unwrap(), word);
        }
    }
}
