use super::*;

/// Metadata of a workspace of `names`, in which `from` depends on `to` with this kind.
fn metadata(names: &[&str], from: &str, to: &str, kind: Option<&str>) -> String {
    let packages: Vec<_> = names
        .iter()
        .map(|name| {
            let edges = if *name == from {
                vec![serde_json::json!({ "name": to, "kind": kind })]
            } else {
                vec![]
            };
            serde_json::json!({ "name": name, "dependencies": edges })
        })
        .collect();
    serde_json::json!({ "packages": packages }).to_string()
}

fn edges(from: &str, to: &str, kind: Option<&str>) -> Vec<String> {
    let members = [
        "cifar-kernels",
        "cifar-data",
        "cifar-metrics",
        "cifar-models",
        "cifar-train",
        "cifar-cli",
        "xtask",
    ];
    forbidden_edges(&metadata(&members, from, to, kind)).unwrap()
}

#[test]
fn an_upward_edge_is_named_with_its_reason() {
    assert_eq!(
        edges("cifar-data", "cifar-train", None),
        ["cifar-data -> cifar-train: data knows no model, no metric and no training"]
    );
    assert_eq!(
        edges("cifar-train", "cifar-models", Some("build")).len(),
        1,
        "build-dependencies count"
    );
}

#[test]
fn edges_of_the_table_and_dev_dependencies_are_free() {
    assert!(edges("cifar-train", "cifar-data", None).is_empty());
    assert!(edges("cifar-data", "cifar-train", Some("dev")).is_empty());
    assert!(edges("cifar-cli", "anyhow", None).is_empty());
}

#[test]
fn crates_from_outside_have_limits_too() {
    assert_eq!(edges("cifar-kernels", "candle-core", None).len(), 1);
    assert!(edges("cifar-kernels", "half", None).is_empty());
    assert_eq!(edges("cifar-metrics", "candle-core", None).len(), 1);
    assert!(edges("cifar-models", "candle-core", None).is_empty());
    assert_eq!(
        edges("cifar-train", "anyhow", None),
        [
            "cifar-train -> anyhow: only cifar-cli, cifar-tests, xtask may use it: libraries return their own errors"
        ]
    );
    assert_eq!(edges("cifar-cli", "candle-datasets", None).len(), 1);
}

#[test]
fn a_crate_without_a_row_is_not_overlooked() {
    let json = metadata(&["cifar-new", "cifar-data"], "cifar-new", "cifar-data", None);
    assert_eq!(
        forbidden_edges(&json).unwrap(),
        ["cifar-new -> cifar-data: the crate has no row in the table of layers"]
    );
}

#[test]
fn the_table_has_no_way_up() {
    for (i, row) in TABLE.iter().enumerate() {
        let lower = |name: &str| TABLE[..i].iter().any(|other| other.name == name);
        assert!(
            row.may_use.iter().all(|used| lower(used)),
            "{} uses a crate that is not below it",
            row.name
        );
    }
}
