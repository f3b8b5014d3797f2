//! What separates the tensors in a file from those a network needs, in words.

use std::collections::{BTreeMap, BTreeSet};

use cifar_net::ParameterSpec;
use safetensors::Dtype;

use crate::stored::StoredTensor;
use crate::{NAMES, build};

/// Names shown of each list where the file turned out to be another model's.
const SHOWN_OF_ANOTHER_MODEL: usize = 3;

/// A guess at what the file is, and how it differs; `None` where it fits.
pub(crate) fn compare(
    model: &str,
    specs: &[ParameterSpec],
    file: &BTreeMap<String, StoredTensor<'_>>,
) -> Option<(String, String)> {
    let found: BTreeSet<&str> = file.keys().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    let in_order = specs.iter().map(|spec| spec.name.as_str());
    let missing: Vec<_> = in_order.filter(|name| !found.contains(name)).map(String::from).collect();
    // A file's own names go to a terminal.
    let unexpected = found.difference(&wanted).map(|name| name.escape_debug().to_string());
    let unexpected: Vec<String> = unexpected.collect();
    let odd: Vec<_> = specs.iter().filter_map(|spec| misfit(spec, file)).collect();
    if missing.is_empty() && unexpected.is_empty() && odd.is_empty() {
        return None;
    }
    let owner = owner(&found);
    let shown = match owner {
        Some(other) if other != model => SHOWN_OF_ANOTHER_MODEL,
        _ => usize::MAX,
    };
    let lists = [
        list("missing", &missing, shown),
        list("unexpected", &unexpected, shown),
        list("of another shape or type", &odd, shown),
    ];
    let differences: Vec<String> = lists.into_iter().flatten().collect();
    Some((hint(model, owner), differences.join("; ")))
}

fn misfit(spec: &ParameterSpec, file: &BTreeMap<String, StoredTensor<'_>>) -> Option<String> {
    let found = file.get(&spec.name)?;
    let (name, shape, dtype) = (&spec.name, &spec.shape, Dtype::from(spec.dtype));
    let fits = found.shape == *shape && found.converts_to(spec.dtype);
    (!fits).then(|| {
        format!("{name} is {:?} {:?}, expected {shape:?} {dtype:?}", found.shape, found.dtype)
    })
}

fn list(what: &str, entries: &[String], n_shown: usize) -> Option<String> {
    if entries.is_empty() {
        return None;
    }
    let shown: Vec<&str> = entries.iter().take(n_shown).map(String::as_str).collect();
    let n_hidden = entries.len() - shown.len();
    let more = if n_hidden > 0 { format!(" and {n_hidden} more") } else { String::new() };
    Some(format!("{} {what} ({}{more})", entries.len(), shown.join(", ")))
}

/// The known model whose tensor names are exactly these. Names do not depend on the classes.
fn owner(names: &BTreeSet<&str>) -> Option<&'static str> {
    let owns = |model: &str| {
        build(model, 10).is_ok_and(|net| {
            let specs = net.parameters();
            specs.len() == names.len() && specs.iter().all(|s| names.contains(s.name.as_str()))
        })
    };
    NAMES.iter().copied().find(|model| owns(model))
}

fn hint(model: &str, owner: Option<&str>) -> String {
    match owner {
        Some(other) if other != model => format!("it holds weights of {other}, give that model"),
        Some(_) => "made for another number of classes, or saved in another type?".to_owned(),
        None => "is it a checkpoint of another model?".to_owned(),
    }
}
