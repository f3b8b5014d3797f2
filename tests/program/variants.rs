//! Architectures that a recipe changes.

use serde_json::Value;

use crate::place::Place;

/// Trained, evaluated, exported and reproduced as what the recipe made of it.
#[test]
fn a_changed_network_stays_changed_wherever_its_run_is_read() {
    let place = Place::new();
    let changed = [
        "--set",
        "network.activation=gelu",
        "--set",
        "network.batch-norm=true",
        "--set",
        "network.dropout=0.2",
    ];
    place.train(&[&changed[..], &["--no-tensorboard"]].concat()).ok();
    let summary = std::fs::read(place.path("run/summary.json")).unwrap();
    let summary: Value = serde_json::from_slice(&summary).unwrap();
    // Weight and bias of 16 and of 32 channels more.
    assert_eq!(summary["parameters"], 25_578 + 2 * (16 + 32));
    let eval = place.run(&["eval", "--run", "run", "--json"]).ok().out;
    let eval: Value = serde_json::from_str(&eval).unwrap();
    assert_eq!(eval["top1"], summary["test_accuracy"]);
    for (format, file) in [("torchscript", "net.pt"), ("onnx", "net.onnx")] {
        place.run(&["export", "--run", "run", "--format", format, "--out", file]).ok();
    }
    let again = ["train", "--recipe", "run/config.toml", "--out", "again", "--no-tensorboard"];
    place.run(&again).ok();
    assert!(place.weights("run") == place.weights("again"));
    // What was left out is left out again where a run goes on.
    let stopped = ["train", "--recipe", "run/config.toml", "--out", "stopped", "--no-tensorboard"];
    place.run(&[&stopped[..], &["--max-steps", "4"]].concat()).ok();
    place.run(&["train", "--resume", "stopped", "--no-tensorboard"]).ok();
    assert!(place.weights("run") == place.weights("stopped"));
}

#[test]
fn a_change_that_an_architecture_does_not_take_is_refused() {
    let place = Place::new();
    let train = ["train", "--recipe", "airnet94", "--set", "network.activation=silu"];
    place.run(&train).refused(&["airnet94", "network.activation", "takes none"]);
    place.train(&["--set", "network.activation=tanh"]).refused(&["tanh", "relu", "leaky-relu"]);
}
