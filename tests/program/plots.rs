//! `cifar plot`: a run as pictures.

use std::fs;

use serde_json::Value;

use crate::place::Place;

const CURVES: [&str; 3] = ["history", "learning_rate", "gradient_norm"];
const FIGURES: [&str; 4] =
    ["class_metrics", "confusion_counts", "confusion_percent", "reliability"];
const IMAGES: [&str; 2] = ["predictions", "mistakes"];

/// The files in `folder` without their ending, sorted.
fn files(place: &Place, folder: &str, ending: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(folder)).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let names = entries.map(|entry| name(entry.unwrap()));
    let mut names: Vec<_> =
        names.filter_map(|name| Some(name.strip_suffix(ending)?.to_owned())).collect();
    names.sort();
    names
}

fn sorted(groups: &[&[&str]]) -> Vec<String> {
    let mut names: Vec<_> = groups.concat().into_iter().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_run_becomes_pictures_in_both_formats() {
    let place = Place::new();
    place.train(&["--epochs=2", "--set=data.validation=20"]).ok();
    let ran = place.run(&["plot", "run", "--format", "both", "--json"]).ok();
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let all = sorted(&[&CURVES, &FIGURES, &IMAGES]);
    assert_eq!(report["files"].as_array().unwrap().len(), 2 * all.len());
    assert_eq!(report["missing"], Value::Null);
    assert_eq!(
        (files(&place, "run/plots", ".png"), files(&place, "run/plots", ".svg")),
        (all.clone(), all)
    );
    let history = fs::read_to_string(place.path("run/plots/history.svg")).unwrap();
    assert!(history.contains("best validation accuracy") && history.ends_with("</svg>\n"));
    let png = fs::read(place.path("run/plots/reliability.png")).unwrap();
    assert!(png.starts_with(b"\x89PNG"));
}

#[test]
fn without_the_data_it_draws_what_the_run_stored() {
    let place = Place::new();
    place.train(&[]).ok();
    let ran = place.run(&["plot", "run", "--data-dir", "nowhere", "--out", "figures"]).ok();
    assert!(
        ran.out.contains("no pictures of predictions") && ran.out.contains("nowhere"),
        "{}",
        ran.out
    );
    assert_eq!(files(&place, "figures", ".png"), sorted(&[&CURVES, &FIGURES]));

    fs::remove_file(place.path("run/evaluation.json")).unwrap();
    let ran = place.run(&["plot", "run", "--data-dir", "nowhere", "--out", "curves"]).ok();
    assert!(ran.out.contains("no pictures of the test"), "{}", ran.out);
    assert_eq!(files(&place, "curves", ".png"), sorted(&[&CURVES]));
}

#[test]
fn a_run_of_one_step_is_drawn() {
    let place = Place::new();
    place.train(&["--max-steps=1"]).ok();
    place.run(&["plot", "run"]).ok();
}

#[test]
fn what_cannot_be_drawn_names_the_file_and_the_remedy() {
    let place = Place::new();
    place.run(&["plot", "nowhere"]).refused(&["nowhere", "holds no run", "runs/<name>"]);
    place.train(&[]).ok();
    fs::write(place.path("run/evaluation.json"), "{}").unwrap();
    let stored = ["plot", "run", "--data-dir", "nowhere"];
    place.run(&stored).refused(&["evaluation.json", "delete it", "--data-dir"]);
    fs::write(place.path("run/metrics.jsonl"), "nonsense\n").unwrap();
    place.run(&["plot", "run"]).refused(&["metrics.jsonl", "line 1", "delete that line"]);
    fs::write(place.path("run/metrics.jsonl"), "").unwrap();
    place.run(&["plot", "run"]).refused(&["metrics.jsonl", "no step", "cifar train --resume"]);
}
