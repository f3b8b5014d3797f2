//! The same recipe from several seeds, and the list of runs.

use std::fs;

use serde_json::Value;

use crate::place::{Place, Ran};

fn series(place: &Place, arguments: &[&str]) -> Ran {
    let series = ["train", "--recipe", "simplenet", "--set", "batch-size=20", "--threads", "1"];
    place.run(&[&series, arguments].concat())
}

#[test]
fn a_series_trains_every_seed_and_prints_mean_and_spread() {
    let place = Place::new();
    let ran = series(&place, &["--seeds", "3..5", "--out", "both", "--json"]).ok();
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    let runs = document["runs"].as_array().unwrap();
    assert_eq!(runs.iter().map(|run| run["seed"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 4]);
    let accuracies = [0, 1].map(|at| runs[at]["test_accuracy"].as_f64().unwrap());
    let mean = document["test_accuracy"]["mean"].as_f64().unwrap();
    assert!((mean - (accuracies[0] + accuracies[1]) / 2.0).abs() < 1e-12);
    assert_eq!(document["test_accuracy"]["n"], 2);
    // A run of the series is what a run by itself is.
    place.train(&["--seed", "4"]).ok();
    assert_eq!(place.weights("run"), place.weights("both/seed-4"));
}

#[test]
fn a_series_goes_on_where_it_was() {
    let place = Place::new();
    let seeds = ["--seeds", "0..2", "--out", "few"];
    series(&place, &[&seeds[..], &["--max-steps", "4"]].concat()).ok();
    let first = fs::metadata(place.path("few/seed-0/summary.json")).unwrap().modified().unwrap();
    // Both have their four steps: nothing is trained again.
    let ran = series(&place, &[&seeds[..], &["--max-steps", "4"]].concat()).ok();
    assert!(ran.out.contains("in few/seed-0 already"), "{}", ran.out);
    let again = fs::metadata(place.path("few/seed-0/summary.json")).unwrap().modified().unwrap();
    assert_eq!(first, again);
    // Without that limit both go on to their ends, one of them from nothing.
    fs::remove_dir_all(place.path("few/seed-1")).unwrap();
    let ran = series(&place, &seeds).ok();
    assert!(ran.out.contains("(mean ± sd, n 2)"), "{}", ran.out);
    place.train(&["--seed", "0"]).ok();
    assert_eq!(place.weights("run"), place.weights("few/seed-0"));

    let other = series(&place, &[&seeds[..], &["--epochs", "2"]].concat());
    other.refused(&["few/seed-0 is a run of other settings"]);
    for (seeds, says) in [("5..5", "the range is empty"), ("5", "expected A..B")] {
        let ran = series(&place, &["--seeds", seeds]);
        assert!(ran.code == Some(2) && ran.err.contains(says), "{}", ran.err);
    }
}

#[test]
fn runs_are_listed_with_what_came_of_them() {
    let place = Place::new();
    let none = place.run(&["runs", "."]).ok();
    assert!(none.out.starts_with("No runs in ."), "{}", none.out);
    series(&place, &["--seeds", "0..1", "--out", "all"]).ok();
    place.train(&["--max-steps", "3"]).ok();
    let ran = place.run(&["runs", ".", "--json"]).ok();
    let runs: Value = serde_json::from_str(&ran.out).unwrap();
    let told = |at: usize| {
        [&runs[at]["run"], &runs[at]["state"], &runs[at]["steps"]].map(Value::to_string)
    };
    assert_eq!(told(0), ["\"./all/seed-0\"", "\"done\"", "10"]);
    assert_eq!(told(1), ["\"./run\"", "\"stopped\"", "3"]);
    let command = runs[1]["command"].as_str().unwrap();
    assert!(command.starts_with("cifar train --recipe simplenet "), "{command}");
    assert!(command.contains("--batch-size 20") && command.contains("--max-steps 3"), "{command}");
    let missing = place.run(&["runs", "nowhere"]);
    missing.refused(&["cannot list nowhere", "name a folder of runs"]);
}
