use super::*;

fn recipe() -> Recipe {
    let text = include_str!("../../../../models/simplenet.toml");
    Recipe::from_toml(text, &[]).unwrap()
}

#[test]
fn a_new_run_holds_its_recipe_and_nothing_temporary_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("runs").join("a");
    let run = RunFolder::create(&path, &recipe()).unwrap();
    assert_eq!(run.recipe().unwrap(), recipe());
    assert_eq!(RunFolder::open(&path).unwrap().path(), path);
    assert_eq!(fs::read_dir(dir.path().join("runs")).unwrap().count(), 1);
}

#[test]
fn a_taken_folder_and_a_folder_without_a_run_are_refused_with_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("x"), "x").unwrap();
    let taken = RunFolder::create(dir.path(), &recipe()).unwrap_err().to_string();
    assert!(taken.contains("already exists") && taken.contains("--resume"), "{taken}");
    let none = RunFolder::open(dir.path()).unwrap_err().to_string();
    assert!(none.contains("config.toml") && none.contains(dir.path().to_str().unwrap()), "{none}");
}

#[test]
fn json_is_replaced_whole() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunFolder::create(&dir.path().join("a"), &recipe()).unwrap();
    run.write_json("summary.json", &[1, 2]).unwrap();
    let path = run.write_json("summary.json", &[3]).unwrap();
    assert_eq!(serde_json::from_str::<Vec<i32>>(&fs::read_to_string(path).unwrap()).unwrap(), [3]);
    assert_eq!(fs::read_dir(run.path()).unwrap().count(), 2);
}

#[test]
fn a_run_is_trained_by_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let run = RunFolder::create(&dir.path().join("a"), &recipe()).unwrap();
    let lock = run.lock().unwrap();
    let error = RunFolder::open(run.path()).unwrap().lock().unwrap_err().to_string();
    assert!(error.contains("another process") && error.contains("wait"), "{error}");
    drop(lock);
    run.lock().unwrap();
}
