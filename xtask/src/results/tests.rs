use super::*;

/// A finished run of `name` from `seed`, in a folder of its own.
fn run_folder(dir: &Path, name: &str, seed: u64, complete: bool) -> PathBuf {
    let run = dir.join(format!("{name}-{seed}"));
    fs::create_dir_all(&run).unwrap();
    let config = format!("name = \"{name}\"\nseed = {seed}\nepochs = 8\n");
    fs::write(run.join("config.toml"), config).unwrap();
    let summary = serde_json::json!({
        "recipe": name, "model": "airnet94", "seed": seed, "precision": "bf16",
        "parameters": 1_972_792, "epochs": 8, "complete": complete,
        "test_accuracy": 0.94 + seed as f64 / 1000.0, "images_per_second": 1300.4,
        "duration_s": 310.2, "peak_rss_bytes": 2_100_000_000_u64, "git_commit": "fe4fcb4a4a9b",
    });
    fs::write(run.join("summary.json"), summary.to_string()).unwrap();
    run
}

fn results(dir: &Path, seeds: &[u64]) -> Results {
    let runs = seeds.iter().map(|&seed| summary(&run_folder(dir, "airnet94", seed, true)).unwrap());
    let runs: Vec<_> = runs.collect();
    Results {
        command: "cifar train --recipe airnet94".into(),
        machine: "M5".into(),
        recipe: runs[0].1.clone(),
        runs: runs.into_iter().map(|run| run.2).collect(),
    }
}

#[test]
fn the_tables_have_mean_and_spread() {
    let dir = tempfile::tempdir().unwrap();
    let mut both = results(dir.path(), &[0, 1]);
    both.runs[0].single_view_accuracy = Some(0.93);
    let all = [("airnet94".to_owned(), both)];
    let row = tables::short(&all).lines().last().unwrap().to_owned();
    let command = "`cifar train --recipe airnet94 --seeds 0..2`";
    assert_eq!(
        row,
        format!("| `airnet94`, 8 epochs | 1,972,792 | 94.05 ± 0.07 % | 2 | {command} |")
    );
    let row = tables::long(&all).lines().last().unwrap().to_owned();
    assert_eq!(
        row,
        format!(
            "| `airnet94`, 8 epochs, bf16 | 0: 94.00 %, 1: 94.10 % | 94.05 ± 0.07 % | 93.00 % | 2 | 310 \
             | 1,300 | 2,100 | {command} | M5 |"
        )
    );
}

#[test]
fn what_stands_between_the_marks_is_replaced_and_nothing_else() {
    let document = "before\n<!-- results -->\n| 93.99 |\n<!-- /results -->\nafter\n";
    let new = with_table(document, "| 94.01 |\n").unwrap();
    assert_eq!(new, document.replace("93.99", "94.01"));
    assert_eq!(with_table(&new, "| 94.01 |\n").unwrap(), new);
    let error = with_table("no marks", "").unwrap_err().to_string();
    assert!(error.contains("<!-- results -->"), "{error}");
}

#[test]
fn settings_are_compared_but_for_the_seed() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second] = [0, 1].map(|seed| run_folder(dir.path(), "a", seed, true));
    assert_eq!(summary(&first).unwrap().1, summary(&second).unwrap().1);
    fs::write(second.join("config.toml"), "name = \"a\"\nseed = 1\nepochs = 9\n").unwrap();
    assert_ne!(summary(&first).unwrap().1, summary(&second).unwrap().1);
}

#[test]
fn a_run_that_is_not_finished_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = run_folder(dir.path(), "a", 0, false);
    let error = summary(&run).unwrap_err().to_string();
    assert!(error.contains("--resume") && error.contains("a-0"), "{error}");
    fs::remove_file(run.join("summary.json")).unwrap();
    let error = summary(&run).unwrap_err().to_string();
    assert!(error.contains("no summary"), "{error}");
}

/// A root with the results of two runs and documents that say so.
fn written(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir.join("models/results"))?;
    fs::create_dir_all(dir.join("docs"))?;
    let json = serde_json::to_string(&results(dir, &[0, 1]))?;
    fs::write(dir.join("models/results/airnet94.json"), json)?;
    for (name, _) in DOCUMENTS {
        fs::write(dir.join(name), "# A\n\n<!-- results -->\n<!-- /results -->\n")?;
    }
    for Stale { name, text } in stale(dir)? {
        replace(&dir.join(name), &text)?;
    }
    Ok(())
}

#[test]
fn a_changed_digit_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path()).unwrap();
    require_none(&stale(dir.path()).unwrap()).unwrap();
    for (changed, (digits, others)) in
        [("README.md", ("94.05", "94.06")), ("docs/benchmarks.md", ("0.07", "0.06"))]
    {
        let path = dir.path().join(changed);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(digits), "{text}");
        fs::write(&path, text.replace(digits, others)).unwrap();
        let error = require_none(&stale(dir.path()).unwrap()).unwrap_err().to_string();
        assert!(error.contains(changed) && error.contains("run `cargo xtask results`"), "{error}");
        fs::write(&path, text).unwrap();
    }
    // So is one in the results themselves.
    let path = dir.path().join("models/results/airnet94.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"test_accuracy\":0.94,", "\"test_accuracy\":0.95,")).unwrap();
    let error = require_none(&stale(dir.path()).unwrap()).unwrap_err().to_string();
    assert!(error.contains("README.md and docs/benchmarks.md"), "{error}");
}

#[test]
fn more_seeds_join_and_the_command_follows() {
    let dir = tempfile::tempdir().unwrap();
    let (few, more) = (results(dir.path(), &[0, 1]), results(dir.path(), &[1, 2, 5]));
    let all = few.joined(more).unwrap();
    assert_eq!(all.runs.iter().map(|run| run.seed).collect::<Vec<_>>(), [0, 1, 2, 5]);
    let command = "cifar train --recipe airnet94";
    assert_eq!(
        all.commands(),
        [format!("{command} --seeds 0..3"), format!("{command} --seeds 5..6")]
    );
}

#[test]
fn runs_of_other_settings_or_machines_do_not_join() {
    let dir = tempfile::tempdir().unwrap();
    let (there, new) = (results(dir.path(), &[0]), results(dir.path(), &[1]));
    let other = Results { recipe: "epochs = 9\n".into(), ..new.clone() };
    let error = there.clone().joined(other).unwrap_err().to_string();
    assert!(error.contains("settings") && error.contains("delete the file"), "{error}");
    let other = Results { machine: "M4".into(), ..new };
    let error = there.joined(other).unwrap_err().to_string();
    assert!(error.contains("made on M4, the runs there on M5"), "{error}");
}

#[test]
fn a_command_is_published_with_its_recipe_and_without_its_seed() {
    let command = "cifar train --recipe a --epochs 2 --seed 1 --set b=3";
    let words = without_seed(command, "a", 1).unwrap();
    assert_eq!(words, "cifar train --recipe a --epochs 2 --set b=3");
    let error = without_seed("cifar train --recipe a --seed 12", "a", 1).unwrap_err().to_string();
    assert!(error.contains("has no seed 1"), "{error}");
    for other in ["cifar train --recipe runs/a/config.toml", "cifar train --recipe ab --seed 1"] {
        let error = without_seed(other, "a", 1).unwrap_err().to_string();
        assert!(error.contains("no recipe in models") && error.contains(other), "{error}");
    }
}

/// The committed files can be read, each has runs, and its command leaves the seeds to them.
#[test]
fn published_results_are_whole() {
    for (name, results) in read_all(&workspace::root().join("models/results")).unwrap() {
        assert!(!results.runs.is_empty(), "{name}");
        assert!(!results.command.contains("--seed"), "{name}: {}", results.command);
    }
}
