//! `cifar report` and `cifar compare`: runs as web pages, whatever is left of them.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::place::{Place, program};

/// Reports on `run`, and returns the JSON document with the page.
fn report(place: &Place, arguments: &[&str]) -> (Value, String) {
    let ran = place.run(&[&["report", "run", "--json"], arguments].concat()).ok();
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    let page = fs::read_to_string(place.path(document["file"].as_str().unwrap())).unwrap();
    (document, page)
}

fn missing(document: &Value) -> Vec<&str> {
    document["missing"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect()
}

#[test]
fn a_run_becomes_one_page() {
    let place = Place::new();
    place.train(&["--epochs=2", "--set=data.validation=20"]).ok();
    let (document, page) = report(&place, &[]);
    assert_eq!(document["file"], "run/report.html");
    assert!(missing(&document).is_empty(), "{document}");
    assert_eq!(document["test"]["n"], 40);
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>"));
    for part in [
        "simplenet, seed 0",
        "best validation accuracy",
        "validation</th>",
        "of the pictures, the first of each gallery, lies a heat map",
        "conv1.weight",
        "maps of 16x16",
        "Shares of the time: data ",
        "highest mean loss over 2 epochs",
        ": a picture with label ",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let mistakes = document["surest_mistakes"].as_array().unwrap();
    let wrong = 40.0 * (1.0 - document["test"]["top1"].as_f64().unwrap());
    assert_eq!(mistakes.len(), (wrong.round() as usize).min(36));
    assert!(mistakes.iter().all(|mistake| mistake["truth"] != mistake["predicted"]));
}

#[test]
fn the_command_of_a_report_gives_the_same_weights_when_pasted() {
    let place = Place::new();
    place.train(&["--seed=5", "--set=optimizer.momentum=0.9", "--max-steps=7"]).ok();
    let (document, page) = report(&place, &[]);
    let command = document["command"].as_str().unwrap();
    assert!(command.contains("--seed 5") && command.contains("--max-steps 7"), "{command}");
    assert!(page.contains(&command.replace('"', "&quot;")), "{command}");
    let path = std::env::var("PATH").unwrap();
    let folder = program().parent().unwrap().display();
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{command} --out again")]).current_dir(place.path(""));
    let ran = shell.env("PATH", format!("{folder}:{path}")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    assert_eq!(place.weights("run"), place.weights("again"));
    let config = |run: &str| fs::read_to_string(place.path(run).join("config.toml")).unwrap();
    assert_eq!(config("run"), config("again"));
}

#[test]
fn whatever_is_missing_is_said() {
    let place = Place::new();
    place.train(&["--epochs=1"]).ok();
    let (document, page) = report(&place, &["--data-dir", "nowhere"]);
    let sentences = missing(&document);
    assert_eq!(sentences.len(), 2, "{sentences:?}");
    assert!(
        sentences[0].contains("No pictures of predictions") && sentences[0].contains("nowhere")
    );
    assert!(sentences[1].contains("No statistics of the data"));
    assert!(page.contains("What is missing") && page.contains("class=\"matrix\""));

    fs::remove_dir_all(place.path("run/checkpoints")).unwrap();
    let (document, page) = report(&place, &[]);
    assert!(missing(&document)[0].contains("no checkpoint"), "{document}");
    assert!(page.contains("class=\"matrix\"") && !page.contains("<template"));

    for file in ["evaluation.json", "summary.json"] {
        fs::remove_file(place.path("run").join(file)).unwrap();
    }
    let log = place.path("run/metrics.jsonl");
    let whole = fs::read_to_string(&log).unwrap();
    let with_nan = whole.replacen("\"loss\":2.", "\"loss\":null,\"was\":2.", 1);
    fs::write(&log, with_nan + "{\"event\":\"step\",\"st").unwrap();
    let (document, page) = report(&place, &[]);
    let sentences = missing(&document);
    assert_eq!(sentences.len(), 2, "{sentences:?}");
    assert!(sentences[0].contains("summary.json is not there"), "{sentences:?}");
    assert!(sentences[1].contains("No figures of the test"), "{sentences:?}");
    assert!(page.contains("The loss of 1 of 10 steps is not a finite number"));
    assert!(document["command"].as_str().unwrap().contains("--max-steps 10"), "{document}");

    fs::remove_file(log).unwrap();
    let (document, page) = report(&place, &[]);
    assert!(missing(&document)[0].contains("No curves"), "{document}");
    assert!(page.contains("No optimiser step was logged"));
}

#[test]
fn a_hostile_name_stays_a_name() {
    let place = Place::new();
    place.train(&["--set=name=</script><script>alert(1)</script>", "--epochs=1"]).ok();
    let (document, page) = report(&place, &[]);
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("&lt;script&gt;alert(1)"));
    assert!(document["command"].as_str().unwrap().contains("run/config.toml"));
}

#[test]
fn runs_are_compared_in_a_table_and_a_page() {
    let place = Place::new();
    place.train(&["--epochs=1"]).ok();
    fs::rename(place.path("run"), place.path("plain")).unwrap();
    place.train(&["--epochs=1", "--seed=3", "--set=optimizer.momentum=0.9"]).ok();
    let ran = place.run(&["compare", "plain", "run"]).ok();
    for part in
        ["plain", "test accuracy", "optimizer.momentum", "0.9", "backward", "Wrote compare.html"]
    {
        assert!(ran.out.contains(part), "{part} in {}", ran.out);
    }
    let page = fs::read_to_string(place.path("compare.html")).unwrap();
    assert!(page.contains("2 runs compared") && page.contains("optimizer.momentum"));

    // A summary from before times were kept.
    let summary = place.path("plain/summary.json");
    let mut told: Value = serde_json::from_slice(&fs::read(&summary).unwrap()).unwrap();
    told["times"] = Value::Null;
    fs::write(&summary, told.to_string()).unwrap();
    let ran = place.run(&["compare", "plain"]).ok();
    assert!(ran.out.contains("plain") && !ran.out.contains("backward"), "{}", ran.out);
    place.run(&["report", "plain"]).ok();

    fs::remove_file(place.path("run/summary.json")).unwrap();
    let ran = place.run(&["compare", "plain", "run", "--out", "c.html", "--json"]).ok();
    let document: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&document["runs"][1]["seed"], &document["file"]), (&3.into(), &"c.html".into()));
    assert_eq!(document["runs"][1]["test_accuracy"], Value::Null);
    assert_eq!(document["differences"][0][0], "optimizer.momentum");
    assert!(missing(&document)[0].starts_with("run: No result"), "{document}");
}

#[test]
fn what_cannot_be_reported_names_the_file_and_the_remedy() {
    let place = Place::new();
    place.run(&["report", "nowhere"]).refused(&["nowhere", "holds no run", "runs/<name>"]);
    place.run(&["compare", "nowhere"]).refused(&["nowhere", "holds no run"]);
    place.train(&["--epochs=1"]).ok();
    place.run(&["report", "run", "--out", "absent/x.html"]).refused(&["absent", "create it"]);
    place.run(&["report", "run", "--out", "run"]).refused(&["run", "folder", "name a file"]);
}
