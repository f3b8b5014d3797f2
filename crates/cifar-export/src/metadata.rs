//! What travels with the weights.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{ExportError, Normalization, Options};

/// What a deployer needs to know, written into every file and its manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// The architecture, such as `small-resnet`.
    pub model: String,
    /// PyTorch's count of its parameters before batch norms were folded.
    pub parameters: usize,
    /// What each logit stands for, in order.
    pub class_names: Vec<String>,
    /// How images were normalised in training.
    pub normalization: Normalization,
    /// Share of the test images that the network classifies rightly, each seen once.
    pub test_accuracy: Option<f64>,
    /// What the run itself reported, where that was by several views of each image.
    pub reported: Option<Reported>,
    /// The recipe's name.
    pub recipe: String,
    /// SHA-256 of the resolved recipe as TOML, hexadecimal.
    pub recipe_sha256: String,
    /// Which checkpoint of the run: `best` or `last`.
    pub checkpoint: String,
    /// Licence of the weights, an SPDX expression.
    pub licence: String,
    /// Program and version that wrote the file.
    pub producer: String,
}

/// An accuracy that the plain network does not reach alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reported {
    /// As a fraction.
    pub test_accuracy: f64,
    /// The views that were averaged, such as `mirror-translate`. The exported graph does not
    /// contain them.
    pub test_time_augmentation: String,
}

impl Metadata {
    /// Names and values for formats that keep text alone, sorted by name: text as it is, all else
    /// as JSON, what is not known left out. `options` are among them, with the input they lead to.
    ///
    /// # Errors
    /// None for what JSON can hold.
    pub fn entries(&self, options: &Options) -> Result<BTreeMap<String, String>, ExportError> {
        let value = serde_json::to_value(self).map_err(candle_core::Error::wrap)?;
        let fields = value.as_object().into_iter().flatten();
        let mut entries: BTreeMap<String, String> = fields
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                (name.clone(), text)
            })
            .collect();
        let options_json = serde_json::to_string(options).map_err(candle_core::Error::wrap)?;
        entries.insert("options".to_owned(), options_json);
        entries.insert("input".to_owned(), options.input().to_owned());
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_models;

    #[test]
    fn entries_are_text_or_json_and_say_what_goes_in() {
        let options = test_models::options();
        let entries = test_models::metadata().entries(&options).unwrap();
        assert_eq!(entries["model"], "residual");
        let classes: Vec<String> = serde_json::from_str(&entries["class_names"]).unwrap();
        assert_eq!(classes.len(), 5);
        assert!(!entries.contains_key("reported"), "not known");
        assert_eq!(serde_json::from_str::<Options>(&entries["options"]).unwrap(), options);
        assert!(entries["input"].contains("normalised"), "{}", entries["input"]);
    }
}
