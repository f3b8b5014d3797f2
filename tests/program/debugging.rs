//! What shows where a run goes wrong, or where its time goes.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::place::Place;

/// The spans of thread `tid` as (name, begin, end) in microseconds, by their beginning, outer ones
/// first.
fn spans(trace: &Path, tid: u64) -> Vec<(String, f64, f64)> {
    let events: Vec<Value> = serde_json::from_slice(&fs::read(trace).unwrap()).unwrap();
    let of_thread = events.iter().filter(|e| e["ph"] == "X" && e["tid"] == tid);
    let mut spans: Vec<_> = of_thread
        .map(|event| {
            let (ts, dur) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
            assert!(ts >= 0.0 && dur >= 0.0, "{event}");
            (event["name"].as_str().unwrap().to_owned(), ts, ts + dur)
        })
        .collect();
    spans.sort_by(|a, b| a.1.total_cmp(&b.1).then(b.2.total_cmp(&a.2)));
    spans
}

/// A nanosecond, by which sums of the decimals in the file may be off.
const ROUNDING: f64 = 1e-3;

/// Every span lies wholly inside the spans that it begins in.
fn assert_nested(spans: &[(String, f64, f64)]) {
    let mut open: Vec<&(String, f64, f64)> = Vec::new();
    for span in spans {
        open.retain(|outer| outer.2 > span.1 + ROUNDING);
        for outer in &open {
            assert!(span.2 <= outer.2 + ROUNDING, "{span:?} reaches out of {outer:?}");
        }
        open.push(span);
    }
}

#[test]
fn a_trace_has_a_span_for_each_step_and_its_parts_and_nests() {
    let place = Place::new();
    place.train(&["--trace", "trace.json", "--epochs", "2", "--set", "data.validation=20"]).ok();
    let trace = place.path("trace.json");
    let training = spans(&trace, 0);
    assert_nested(&training);
    let count = |name: &str| training.iter().filter(|span| span.0 == name).count();
    for part in ["step", "data", "forward", "backward", "optimizer"] {
        assert_eq!(count(part), 18, "{part}");
    }
    assert_eq!((count("epoch"), count("evaluation")), (2, 2));
    assert!(count("checkpoint") >= 2);
    let epochs: Vec<_> = training.iter().filter(|span| span.0 == "epoch").collect();
    let inside = |step: &&(String, f64, f64)| {
        epochs.iter().any(|e| e.1 <= step.1 + ROUNDING && step.2 <= e.2 + ROUNDING)
    };
    assert_eq!(training.iter().filter(|s| s.0 == "step").filter(inside).count(), 18);
    let batches = spans(&trace, 1);
    assert_nested(&batches);
    assert_eq!(batches.len(), 18, "one worker for one thread");
    assert!(!place.path("trace.json.part").exists());
}

#[test]
fn a_trace_of_a_run_that_stops_early_is_whole_and_a_bad_place_is_refused_at_once() {
    let place = Place::new();
    place.train(&["--trace", "trace.json", "--max-steps", "3"]).ok();
    let training = spans(&place.path("trace.json"), 0);
    assert_nested(&training);
    let names: Vec<&str> = training.iter().map(|span| span.0.as_str()).collect();
    let step = ["step", "data", "forward", "backward", "optimizer"];
    assert_eq!(names, [&["epoch"][..], &step, &step, &step, &["checkpoint"]].concat());

    let other = Place::new();
    other.train(&["--trace", "none/trace.json"]).refused(&["none/trace.json", "folder"]);
    assert!(!other.path("run").join("checkpoints").exists());
}

#[test]
fn lr_find_leaves_a_picture_and_figures_and_no_run() {
    let place = Place::new();
    let arguments = ["lr-find", "--recipe=simplenet", "--set=batch-size=20", "--out=found"];
    let ran = place.run(&[&arguments[..], &["--steps=40", "--from=1e-4", "--json"]].concat()).ok();
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["learning_rate"], 0.01);
    let points = report["points"].as_array().unwrap();
    assert!((20..=40).contains(&points.len()), "{}", points.len());
    assert_eq!(points[0]["learning_rate"], 1e-4);
    assert!(
        report["steepest"].as_f64().is_some_and(|rate| (1e-4..10.0).contains(&rate)),
        "{report}"
    );
    assert!(fs::read(place.path("found/lr_find.png")).unwrap().starts_with(b"\x89PNG"));
    let csv = fs::read_to_string(place.path("found/lr_find.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + points.len());
    assert!(!place.path("runs").exists());
    place.run(&["lr-find", "--from=1", "--to=0.1"]).refused(&["from 1 to 0.1", "0 < from < to"]);
}

/// The findings by the name of their check, and the exit code. Two checks of a run's checkpoint have
/// the name of one of its recipe; theirs is the later.
fn doctor(place: &Place, arguments: &[&str]) -> (std::collections::HashMap<String, Value>, i32) {
    let ran = place.run(&[&["doctor", "--json", "--threads=1"], arguments].concat());
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let findings = report["findings"].as_array().unwrap().iter();
    let named = findings.map(|f| (f["check"].as_str().unwrap().to_owned(), f.clone()));
    (named.collect(), ran.code.unwrap())
}

const SOUND: [&str; 2] = ["--recipe=simplenet", "--set=batch-size=20"];

#[test]
fn doctor_finds_a_sound_recipe_sound_and_a_bad_one_bad() {
    let place = Place::new();
    let (findings, code) = doctor(&place, &SOUND);
    let bad: Vec<&Value> = findings.values().filter(|f| f["level"] == "problem").collect();
    assert_eq!((code, &bad[..]), (0, &[][..]));
    assert_eq!(findings.len(), 9, "{findings:?}");

    let ill = [
        "--set=data.normalization.mean=[125.3,123.0,113.9]",
        "--set=optimizer.learning-rate=1000",
        "--set=schedule={name='step', step-size=500, gamma=0.1}",
    ];
    let (findings, code) = doctor(&place, &[&SOUND[..], &ill].concat());
    assert_eq!(code, 1);
    for check in ["normalization", "learning-rate", "schedule"] {
        assert_eq!(findings[check]["level"], "problem", "{}", findings[check]);
        assert!(findings[check]["remedy"].is_string());
    }
    assert!(!place.path("runs").exists());
}

#[test]
fn doctor_sees_that_a_run_no_longer_fits_its_recipe_and_changes_nothing() {
    let place = Place::new();
    place.train(&["--epochs=3", "--set=optimizer.learning-rate=0.1"]).ok();
    let (weights, config) = (place.weights("run"), place.path("run/config.toml"));
    let (findings, _) = doctor(&place, &["--run=run"]);
    for check in ["checkpoint-length", "checkpoint-accuracy"] {
        assert_eq!(findings[check]["level"], "ok", "{}", findings[check]);
    }
    let changed = fs::read_to_string(&config).unwrap().replace("epochs = 3", "epochs = 4");
    fs::write(&config, changed).unwrap();
    let (findings, code) = doctor(&place, &["--run=run"]);
    assert_eq!((&findings["checkpoint-length"]["level"], code), (&"problem".into(), 1));
    assert_eq!(place.weights("run"), weights);
}
