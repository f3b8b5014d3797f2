//! What a run leaves behind, and that it can be interrupted anywhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::place::{Place, Ran};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_run_leaves_its_recipe_its_log_its_checkpoint_and_its_summary() {
    let place = Place::new();
    place.train(&["--seed", "5"]).ok();
    let run = place.path("run");
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("seed = 5") && config.contains("batch-size = 20"), "{config}");
    for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
        assert!(run.join("checkpoints/last").join(name).is_file(), "{name}");
    }
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let steps = log.lines().filter(|line| line.contains("\"event\":\"step\"")).count();
    assert_eq!(steps, 10, "{log}");

    let summary = json(&run.join("summary.json"));
    for key in [
        "recipe",
        "model",
        "dataset",
        "seed",
        "device",
        "precision",
        "parameters",
        "epochs",
        "steps",
        "train_loss",
        "val_accuracy",
        "test_accuracy",
        "test_loss",
        "images_per_second",
        "duration_s",
        "times",
        "rest_secs",
        "peak_rss_bytes",
        "git_commit",
    ] {
        assert!(summary.get(key).is_some(), "no {key} in {summary:#}");
    }
    assert_eq!(
        (&summary["parameters"], &summary["steps"], &summary["seed"]),
        (&25_578.into(), &10.into(), &5.into())
    );
}

fn event_files(run: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.to_str().unwrap().contains(".tfevents.")).collect()
}

#[test]
fn each_sitting_that_trains_leaves_one_event_file_for_tensorboard() {
    let place = Place::new();
    let run = place.path("run");
    place.train(&["--max-steps", "4"]).ok();
    let files = event_files(&run);
    assert_eq!(files.len(), 1, "{files:?}");
    let bytes = fs::read(&files[0]).unwrap();
    for tag in ["step/loss", "test/accuracy", "images/train_batch", "_hparams_"] {
        let found = bytes.windows(tag.len()).any(|at| at == tag.as_bytes());
        assert!(found, "no {tag} in {} bytes", bytes.len());
    }
    place.run(&["train", "--resume", "run", "--max-steps", "6"]).ok();
    assert_eq!(event_files(&run).len(), 2);
    place.run(&["train", "--resume", "run", "--max-steps", "6"]).ok();
    assert_eq!(event_files(&run).len(), 2, "a sitting that trained nothing left a file");
    place.run(&["train", "--resume", "run", "--no-tensorboard"]).ok();
    assert_eq!(event_files(&run).len(), 2);
}

#[test]
fn an_event_file_that_cannot_be_written_is_told_once_and_ends_no_run() {
    let place = Place::new();
    place.train(&["--max-steps", "4", "--no-tensorboard"]).ok();
    // There is no name that sorts behind this one.
    let last = format!("events.out.tfevents.{}.cifar", u64::MAX);
    fs::write(place.path("run").join(&last), "").unwrap();
    let ran = place.run(&["train", "--resume", "run"]).ok();
    assert_eq!(ran.out.matches(&last).count(), 1, "{}", ran.out);
    assert!(ran.out.contains("TensorBoard will not show all of this run"), "{}", ran.out);
    assert_eq!(json(&place.path("run/summary.json"))["complete"], true);
}

#[test]
fn eval_gives_the_figures_of_the_summary() {
    let place = Place::new();
    place.train(&[]).ok();
    let summary = json(&place.path("run/summary.json"));
    let report: Value =
        serde_json::from_str(&place.run(&["eval", "--run", "run", "--json"]).ok().out).unwrap();
    assert_eq!(
        (&report["top1"], &report["loss"]),
        (&summary["test_accuracy"], &summary["test_loss"])
    );
    let weights = [
        "eval",
        "--weights",
        "run/checkpoints/last/model.safetensors",
        "--model",
        "simplenet",
        "--json",
    ];
    let by_file: Value = serde_json::from_str(&place.run(&weights).ok().out).unwrap();
    assert_eq!(by_file["top1"], summary["test_accuracy"]);
}

#[test]
fn equal_seeds_give_equal_weights_for_any_number_of_threads() {
    let place = Place::new();
    let train = |out, seed, threads| {
        let arguments =
            ["train", "--recipe=simplenet", "--batch-size=20", "--out", out, "--seed", seed];
        place.run(&[&arguments[..], &["--threads", threads]].concat()).ok();
        place.weights(out)
    };
    let first = train("a", "3", "1");
    assert_eq!(first, train("b", "3", "2"));
    assert_eq!(first, train("c", "3", "5"));
    assert_ne!(first, train("d", "4", "1"));
}

#[test]
fn a_residual_network_trains_to_the_same_bits_on_any_number_of_threads() {
    let place = Place::new();
    for precision in ["f32", "bf16"] {
        let train = |threads: &str| {
            let (out, set) =
                (format!("{precision}-{threads}"), format!("--set=precision={precision}"));
            let arguments = ["train", "--recipe=small-resnet", "--batch-size=32", "--max-steps=2"];
            let more = ["--set=data.validation=0", &set, "--threads", threads, "--out", &out];
            place.run(&[&arguments[..], &more].concat()).ok();
            place.weights(&out)
        };
        let first = train("1");
        assert!(first == train("2") && first == train("5"), "{precision}");
    }
}

#[test]
fn a_run_resumed_after_any_step_ends_with_the_weights_of_one_left_alone() {
    let place = Place::new();
    let momentum = [
        "--epochs=2",
        "--set=optimizer.momentum=0.9",
        "--set=data.augmentation.horizontal-flip=true",
    ];
    place.train(&momentum).ok();
    let wanted = place.weights("run");
    // In the middle of an epoch, at its end, and after the first step of the next one.
    for step in ["3", "10", "11"] {
        let out = format!("stopped-{step}");
        let train =
            ["train", "--recipe=simplenet", "--batch-size=20", "--out", &out, "--max-steps", step];
        place.run(&[&train[..], &momentum].concat()).ok();
        assert_ne!(place.weights(&out), wanted);
        place.run(&["train", "--resume", &out]).ok();
        assert!(place.weights(&out) == wanted, "stopped after step {step}");
    }
}

#[test]
fn ctrl_c_saves_and_says_how_to_go_on() {
    let place = Place::new();
    let slow = [
        "train",
        "--recipe=simplenet",
        "--batch-size=20",
        "--epochs=5000",
        "--out=run",
        "--threads=1",
    ];
    let mut child =
        place.command(&slow).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !fs::read_to_string(place.path("run/metrics.jsonl"))
        .is_ok_and(|log| log.lines().count() > 5)
    {
        assert!(
            child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(60),
            "it does not train"
        );
        thread::sleep(Duration::from_millis(10));
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!(ran.code, Some(130), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("train --resume run"), "{}", ran.out);
    assert!(place.path("run/checkpoints/last/state.json").is_file());
}
