//! The commands of the guide (`docs/guide`), in the order of its chapters, run as a reader would
//! type them: in one folder, beside a synthetic data set.
//!
//! What is done with the commands of a fenced block stands behind its language:
//!
//! | fence | its commands |
//! |---|---|
//! | `sh` | are run and must succeed |
//! | `sh,exit-1` | are run and must end with exit code 1 |
//! | `sh,one-step` | are run with `--max-steps 1`, being trainings of minutes or hours |
//! | `sh,parse` | are only parsed: they need what is not there, or too long, or other pictures |
//!
//! A command in the middle of a sentence is only parsed, too.

use std::fs;
use std::path::Path;

use crate::place::{Place, Ran, program};

/// Enough for the 5,000 validation images that recipes hold out, and some to train on.
const RECORDS_PER_BATCH: usize = 1100;

/// Few, as the larger networks are asked about all of them time and again.
const TEST_RECORDS: usize = 110;

/// What is done with a command.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trial {
    Run { code: i32 },
    OneStep,
    Parse,
}

/// A command of a chapter, without its comment.
#[derive(Debug, PartialEq)]
struct Line {
    /// Counted from 1.
    number: usize,
    text: String,
    trial: Trial,
}

/// What a fence that opens with `info` wants done; `None` if it holds no commands.
fn trial(info: &str) -> Result<Option<Trial>, String> {
    match info.split_once(',').unwrap_or((info, "")) {
        ("sh", "") => Ok(Some(Trial::Run { code: 0 })),
        ("sh", "exit-1") => Ok(Some(Trial::Run { code: 1 })),
        ("sh", "one-step") => Ok(Some(Trial::OneStep)),
        ("sh", "parse") => Ok(Some(Trial::Parse)),
        ("text" | "toml" | "python", "") => Ok(None),
        _ => Err(format!(
            "a block is `sh` (or exit-1, one-step, parse), `text`, `toml`, `python`: {info:?}"
        )),
    }
}

/// The commands of a chapter.
fn commands(chapter: &str) -> Result<Vec<Line>, String> {
    let mut found = Vec::new();
    // In a fence: what is done with its commands.
    let mut fence: Option<Option<Trial>> = None;
    for (number, line) in (1..).zip(chapter.lines()) {
        let add = |text: &str, trial| Line { number, text: text.to_owned(), trial };
        match (line.strip_prefix("```"), fence) {
            (Some(info), None) => fence = Some(trial(info)?),
            (Some(_), Some(_)) => fence = None,
            (None, Some(None)) => {}
            (None, Some(Some(trial))) => {
                let command = line.split("  #").next().unwrap_or_default().trim_end();
                if !command.starts_with("cifar ") {
                    return Err(format!("line {number} is no command of cifar: {line:?}"));
                }
                found.push(add(command, trial));
            }
            (None, None) => {
                let spans = line.split('`').skip(1).step_by(2);
                let mentioned = spans.filter(|span| span.starts_with("cifar "));
                found.extend(mentioned.map(|span| add(span, Trial::Parse)));
            }
        }
    }
    Ok(found)
}

/// Does what each command of `chapter` asks for; returns the numbers of those run and those only
/// parsed.
fn try_chapter(place: &Place, name: &str, chapter: &str) -> Result<(usize, usize), String> {
    let (mut n_run, mut n_parsed) = (0, 0);
    for Line { number, text, trial } in commands(chapter).map_err(|e| format!("{name}: {e}"))? {
        let (command, expected) = match trial {
            Trial::Run { code } => (text, code),
            // Few images are held out, unless the command itself says how many: the later one wins.
            Trial::OneStep => {
                let quick = text.replacen(" --", " --set data.validation=110 --", 1);
                (format!("{quick} --max-steps 1"), 0)
            }
            Trial::Parse => (format!("{text} --help"), 0),
        };
        let ran = shell(place, &command);
        if ran.code != Some(expected) {
            let Ran { code, out, err } = ran;
            return Err(format!(
                "{name}:{number}: {command}\nexit code {code:?}, expected {expected}\n{out}{err}"
            ));
        }
        *(if trial == Trial::Parse { &mut n_parsed } else { &mut n_run }) += 1;
    }
    Ok((n_run, n_parsed))
}

/// Runs `command` in a shell that finds the program by its name.
fn shell(place: &Place, command: &str) -> Ran {
    let mut folders = vec![program().parent().unwrap().to_owned()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    let mut shell = place.command_of("sh", &["-c", command]);
    shell.env("PATH", std::env::join_paths(folders).unwrap()).output().unwrap().into()
}

/// The chapters of the guide in reading order, as the summary has them: file names and texts.
fn chapters() -> Vec<(String, String)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let links = summary.lines().filter_map(|line| line.split_once("](guide/"));
    let names: Vec<_> = links.map(|(_, end)| end.trim_end_matches(')').to_owned()).collect();
    let mut listed = names.clone();
    listed.sort();
    let folder = docs.join("guide");
    assert_eq!(
        listed,
        cifar_testkit::names_in(&folder),
        "SUMMARY.md lists each file of docs/guide once"
    );
    let read = |name: String| {
        let text = fs::read_to_string(folder.join(&name)).unwrap();
        (name, text)
    };
    names.into_iter().map(read).collect()
}

#[test]
fn every_command_of_the_guide_does_what_it_says() {
    let place = Place::empty();
    let mut batches = cifar_testkit::synthetic(RECORDS_PER_BATCH, 7);
    batches[5] = cifar_testkit::batch(TEST_RECORDS, 7, 5);
    cifar_testkit::write_batches(&place.path("data"), &batches).unwrap();
    let (mut n_run, mut n_parsed) = (0, 0);
    for (name, text) in chapters() {
        let (run, parsed) = try_chapter(&place, &name, &text).unwrap_or_else(|e| panic!("{e}"));
        assert!(run > 0, "{name} has no command that a reader could try");
        assert!(text.contains("\n## Exercises\n"), "{name} has no exercises");
        (n_run, n_parsed) = (n_run + run, n_parsed + parsed);
    }
    println!("{n_run} commands of the guide were run, {n_parsed} only parsed");
}

#[test]
fn a_chapter_whose_commands_cannot_be_run_is_named_with_the_line() {
    let place = Place::empty();
    let failure = |text: &str| try_chapter(&place, "bad.md", text).unwrap_err();
    for (text, words) in [
        ("Words.\n\n```sh\ncifar eval --run nowhere\n```\n", "bad.md:4: cifar eval --run nowhere"),
        ("```sh,exit-1\ncifar models\n```\n", "exit code Some(0), expected 1"),
        ("```sh,parse\ncifar train --recipee x  # a comment\n```\n", "unexpected argument"),
        ("```sh,one-step\ncifar models\n```\n", "--max-steps"),
        ("```sh\ncargo run\n```\n", "no command of cifar"),
        ("```sh,later\ncifar models\n```\n", "sh,later"),
        ("Use `cifar evaluate` then.\n", "unrecognized subcommand"),
    ] {
        assert!(failure(text).contains(words), "{text}: {}", failure(text));
    }
    let good =
        "```text\n44 %\n```\nAs `cifar models` has it:\n```sh\ncifar models simplenet\n```\n";
    assert_eq!(try_chapter(&place, "good.md", good), Ok((1, 1)));
}
