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
        command: "cifar train --recipe airnet94 --seeds 0..2".into(),
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

/// The committed files can be read, and each has runs.
#[test]
fn published_results_are_whole() {
    for (name, results) in read_all(&workspace::root().join("models/results")).unwrap() {
        assert!(!results.runs.is_empty(), "{name}");
    }
}
