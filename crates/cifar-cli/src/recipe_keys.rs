//! A recipe as a row of dotted keys.

use anyhow::Context;
use cifar_train::Recipe;

/// The keys of `table` and of the tables in it, dotted, with their values; in the table's order.
pub(crate) fn dotted(table: &toml::Table) -> Vec<(String, toml::Value)> {
    let mut found = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => {
                found.extend(dotted(inner).into_iter().map(|(k, v)| (format!("{key}.{k}"), v)));
            }
            value => found.push((key.clone(), value.clone())),
        }
    }
    found
}

/// The recipe's keys, dotted, with their values.
pub(crate) fn of(recipe: &Recipe) -> anyhow::Result<Vec<(String, toml::Value)>> {
    Ok(dotted(&recipe.to_toml()?.parse().context("read the recipe's own TOML")?))
}
