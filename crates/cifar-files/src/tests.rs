use std::fs;

use cifar_testkit::names_in;

use super::*;

#[test]
fn a_file_is_replaced_at_once_and_nothing_else_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("figures");
    write(&path, b"old").unwrap();
    let mut file = PendingFile::create(&path).unwrap();
    file.write_all(b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(fs::read(file.hidden()).unwrap(), b"new");
    assert!(names_in(folder.path())[0].starts_with(".figures."));
    file.commit().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(names_in(folder.path()), ["figures"]);
}

#[test]
fn what_is_not_committed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("figures");
    write(&path, b"old").unwrap();
    let mut file = PendingFile::create(&path).unwrap();
    file.write_all(b"new").unwrap();
    drop(file);
    // A folder cannot be replaced by a file: the last step fails.
    let taken = folder.path().join("taken");
    let file = PendingFile::create(&taken).unwrap();
    fs::create_dir(&taken).unwrap();
    file.commit().unwrap_err();
    assert_eq!(names_in(folder.path()), ["figures", "taken"]);
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn a_place_that_is_none_is_refused_with_what_helps() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), Path::new("/"), Path::new("")] {
        let error = write(path, b"").unwrap_err();
        assert_eq!(error.to_string(), "that is a folder, name a file in it");
    }
    let error = write(&folder.path().join("none/figures"), b"").unwrap_err().to_string();
    assert!(error.contains("/none does not exist, create it first"), "{error}");
    assert_eq!(names_in(folder.path()), [""; 0]);
}

#[test]
fn writers_of_one_path_do_not_mix_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("figures");
    std::thread::scope(|scope| {
        for writer in 0..8u8 {
            let path = &path;
            scope.spawn(move || write(path, &[writer; 100_000]).unwrap());
        }
    });
    let found = fs::read(&path).unwrap();
    assert!(found.len() == 100_000 && found.iter().all(|byte| *byte == found[0]));
    assert_eq!(names_in(folder.path()), ["figures"]);
}

#[cfg(unix)]
#[test]
fn a_file_is_as_open_to_others_as_any_new_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let mode = |name: &str| {
        let path = folder.path().join(name);
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    write(&folder.path().join("ours"), b"").unwrap();
    fs::write(folder.path().join("any"), b"").unwrap();
    assert_eq!(mode("ours"), mode("any"));
}

#[test]
fn a_bare_file_name_lies_in_the_current_folder() {
    assert_eq!(folder_of(Path::new("figures")), Path::new("."));
    assert_eq!(folder_of(Path::new("runs/figures")), Path::new("runs"));
}
