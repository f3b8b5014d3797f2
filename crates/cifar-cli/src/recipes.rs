//! The recipes that come with the program, and those in files.

use std::fs;
use std::path::Path;

use anyhow::{Context, bail};
use cifar_train::Recipe;

/// Name and text of each recipe in `models/`.
const BUILT_IN: [(&str, &str); 4] = [
    ("simplenet", include_str!("../../../models/simplenet.toml")),
    ("small-resnet", include_str!("../../../models/small-resnet.toml")),
    ("small-resnet-94", include_str!("../../../models/small-resnet-94.toml")),
    ("airnet94", include_str!("../../../models/airnet94.toml")),
];

/// The recipe called `name` of those that come with the program.
pub(crate) fn built_in(name: &str) -> anyhow::Result<Recipe> {
    match BUILT_IN.iter().any(|(known, _)| *known == name) {
        true => load(name, &[]),
        false => bail!("no built-in recipe is called `{name}`"),
    }
}

/// The recipe called `name`, or the one in the file `name`, with `settings` applied.
pub(crate) fn load(name: &str, settings: &[String]) -> anyhow::Result<Recipe> {
    let text = match BUILT_IN.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => (*text).to_owned(),
        None if name.contains(['.', '/']) || Path::new(name).is_file() => {
            fs::read_to_string(name).with_context(|| format!("cannot read the recipe {name}"))?
        }
        None => {
            let known: Vec<&str> = BUILT_IN.iter().map(|(known, _)| *known).collect();
            bail!(
                "no recipe is called `{name}`; known are {}, or give a TOML file",
                known.join(", ")
            )
        }
    };
    Recipe::from_toml(&text, settings).with_context(|| format!("recipe {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_in_models_is_built_in_and_parses() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
        let mut n_recipes = 0;
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "toml") {
                let name = path.file_stem().unwrap().to_str().unwrap();
                assert_eq!(load(name, &[]).unwrap(), load(path.to_str().unwrap(), &[]).unwrap());
                cifar_models::build(&load(name, &[]).unwrap().model, 10).unwrap();
                n_recipes += 1;
            }
        }
        assert_eq!(n_recipes, BUILT_IN.len());
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = load("resnet", &[]).unwrap_err().to_string();
        assert!(error.contains("`resnet`") && error.contains("small-resnet"), "{error}");
    }
}
