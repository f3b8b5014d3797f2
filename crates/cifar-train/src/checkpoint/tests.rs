use std::iter;

use super::*;

fn snapshot(step: usize) -> Snapshot {
    let tensor = Tensor::full(step as f32, (2, 3), &Device::Cpu).unwrap();
    let named =
        |name: &str| iter::once((name.to_owned(), tensor.clone())).collect::<BTreeMap<_, _>>();
    let mut state = TrainState::new("tiny", 10);
    state.step = step;
    // A number whose shortest decimal form needs exact parsing.
    state.train_loss = Some(0.1 + 0.2);
    let example_losses = ExampleLosses::default();
    let (model, optimizer) = (named("w"), named("momentum_buffer.w"));
    Snapshot { model, ema: None, optimizer, example_losses, state }
}

fn step_of(store: &CheckpointStore) -> usize {
    let snapshot = store.load(Slot::Last).unwrap();
    let weight = snapshot.model["w"].to_vec2::<f32>().unwrap()[0][0];
    assert_eq!(weight as usize, snapshot.state.step);
    snapshot.state.step
}

#[test]
fn reads_back_what_it_wrote_to_the_last_bit() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(dir.path().join("checkpoints"));
    store.save(Slot::Last, &snapshot(3)).unwrap();
    let path = store.save(Slot::Last, &snapshot(4)).unwrap();
    let loaded = store.load(Slot::Last).unwrap();
    assert_eq!(loaded.state, snapshot(4).state);
    assert_eq!(step_of(&store), 4);
    assert_eq!(cifar_testkit::names_in(&path), [MODEL, OPTIMIZER, STATE]);
    assert_eq!(fs::read_dir(dir.path().join("checkpoints")).unwrap().count(), 1);
}

#[test]
fn whatever_a_killed_process_leaves_a_whole_checkpoint_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointStore::new(dir.path());
    store.save(Slot::Last, &snapshot(1)).unwrap();

    // Killed while writing the new folder.
    fs::create_dir(store.fresh(Slot::Last)).unwrap();
    fs::write(store.fresh(Slot::Last).join(MODEL), b"half").unwrap();
    assert_eq!(step_of(&store), 1);
    store.save(Slot::Last, &snapshot(2)).unwrap();
    assert_eq!(step_of(&store), 2);

    // Killed between the two renames.
    fs::rename(store.path(Slot::Last), store.retired(Slot::Last)).unwrap();
    assert!(store.contains(Slot::Last));
    assert_eq!(step_of(&store), 2);

    // Killed before the old folder was removed.
    fs::create_dir(store.retired(Slot::Last)).unwrap();
    store.save(Slot::Last, &snapshot(3)).unwrap();
    assert_eq!(step_of(&store), 3);
}

#[test]
fn a_file_cut_in_half_is_named_with_the_remedy() {
    for name in [MODEL, OPTIMIZER, STATE] {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        let file = store.save(Slot::Last, &snapshot(1)).unwrap().join(name);
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        let error = store.load(Slot::Last).unwrap_err().to_string();
        assert!(
            error.contains(name) && error.contains("damaged") && error.contains("restore"),
            "{error}"
        );
    }
}

#[test]
fn a_missing_checkpoint_says_when_there_would_be_one() {
    let dir = tempfile::tempdir().unwrap();
    let error = CheckpointStore::new(dir.path()).load(Slot::Best).unwrap_err().to_string();
    assert!(error.contains("best") && error.contains("first epoch"), "{error}");
}
