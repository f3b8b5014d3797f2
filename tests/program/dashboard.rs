//! `cifar train --tui` in a terminal: the pseudo-terminal that `script` of util-linux opens.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use crate::place::{Place, Ran, program};

const OPENS: &str = "\x1b[?1049h";
const CLOSES: &str = "\x1b[?1049l";

#[test]
fn it_is_refused_where_nobody_would_see_it() {
    let place = Place::new();
    place.train(&["--tui"]).refused(&["--tui", "standard output", "leave --tui out"]);
    place.train(&["--tui", "--json"]).refused(&["--tui with --json", "standard error"]);
    assert!(!place.path("run").exists());
}

#[test]
fn it_gives_the_terminal_back_and_leaves_the_usual_lines() {
    if !has_script() {
        return;
    }
    let place = Place::new();
    let ran = finish(train(&place, "--epochs 2"), String::new());
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    let (dashboard, after) = halves(&ran.out);
    assert!(dashboard.contains("Resources") && dashboard.contains("Accuracy"), "{dashboard}");
    assert!(after.contains("Epoch 2/2: training loss"), "{after}");
    assert!(after.contains("test accuracy"), "{after}");
}

#[test]
fn q_and_y_stop_the_run_saved() {
    if !has_script() {
        return;
    }
    let place = Place::new();
    let mut child = train(&place, "--epochs 10000");
    let mut seen = String::new();
    let mut keys = child.stdin.take().unwrap();
    read_until(&mut child, &mut seen, OPENS);
    keys.write_all(b"q").unwrap();
    read_until(&mut child, &mut seen, "y/n");
    keys.write_all(b"y").unwrap();
    let ran = finish(child, seen);
    assert_eq!(ran.code, Some(130), "{}", ran.out);
    let (_, after) = halves(&ran.out);
    assert!(after.contains("Stopped by request") && after.contains("--resume run"), "{after}");
    assert!(place.path("run/checkpoints/last").is_dir());
}

#[test]
fn it_gives_the_terminal_back_before_an_error_is_told() {
    if !has_script() {
        return;
    }
    let place = Place::new();
    let ran =
        finish(train(&place, "--epochs 100 --set optimizer.learning-rate=1e9"), String::new());
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(halves(&ran.out).1.contains("error: "), "{}", ran.out);
}

/// Starts a training in a terminal of 100 columns.
fn train(place: &Place, arguments: &str) -> Child {
    let train = "train --tui --recipe simplenet --set batch-size=20 --threads 1 --out run";
    let command = format!("stty cols 100 rows 30; {} {train} {arguments}", program().display());
    Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(place.path("."))
        .env_remove("RUST_LOG")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn has_script() -> bool {
    let output = Command::new("script").arg("--version").output();
    let there = output.is_ok_and(|o| String::from_utf8_lossy(&o.stdout).contains("util-linux"));
    if !there {
        println!("skipped: needs `script` of util-linux");
    }
    there
}

/// Reads what the terminal is sent until `text` is there.
fn read_until(child: &mut Child, seen: &mut String, text: &str) {
    let out = child.stdout.as_mut().unwrap();
    let mut bytes = [0; 4096];
    while !seen.contains(text) {
        let n = out.read(&mut bytes).unwrap();
        assert!(n > 0, "ended without {text:?}: {seen}");
        *seen += &String::from_utf8_lossy(&bytes[..n]);
    }
}

/// Waits for the end; `seen` is what was read before.
fn finish(mut child: Child, seen: String) -> Ran {
    // `script` would type an end of file for a closed input.
    let keys = child.stdin.take();
    let mut rest = Vec::new();
    child.stdout.as_mut().unwrap().read_to_end(&mut rest).unwrap();
    drop(keys);
    let code = child.wait().unwrap().code();
    Ran { code, out: seen + &String::from_utf8_lossy(&rest), err: String::new() }
}

/// What was written while the dashboard was there, and what after it.
fn halves(out: &str) -> (&str, &str) {
    let (_, shown) = out.split_once(OPENS).unwrap();
    shown.split_once(CLOSES).unwrap()
}
