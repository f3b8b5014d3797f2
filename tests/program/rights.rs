//! Folders without rights. The superuser has all rights, so there the program runs as another.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::place::{Place, Ran, program};

fn set_mode(path: impl AsRef<std::path::Path>, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn is_superuser() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.trim_ascii() == b"0"
}

/// Runs the program as a user whom `rights` concern; `None` where that cannot be done.
fn run(place: &Place, arguments: &[&str]) -> Option<Ran> {
    if !is_superuser() {
        return Some(place.run(arguments));
    }
    // Where the build lies the other user may have no access.
    let copy = place.path("cifar");
    fs::copy(program(), &copy).unwrap();
    set_mode(&copy, 0o755);
    set_mode(place.path(""), 0o755);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&copy).args(arguments);
    match command.current_dir(place.path("")).output() {
        Ok(output) => Some(output.into()),
        Err(error) => {
            println!("skipped: running as another user needs `setpriv` ({error})");
            None
        }
    }
}

#[test]
fn a_data_folder_that_may_not_be_read() {
    let place = Place::new();
    set_mode(place.path("data"), 0o000);
    let ran = run(&place, &["train", "--recipe", "simplenet", "--no-download", "--out", "run"]);
    set_mode(place.path("data"), 0o755);
    if let Some(ran) = ran {
        ran.refused(&["cannot read", "data", "ermission denied", "check"]);
    }
    assert!(!place.path("run").exists());
}

#[test]
fn a_batch_that_may_not_be_read() {
    let place = Place::new();
    set_mode(place.batch("data_batch_4"), 0o000);
    let ran = run(&place, &["train", "--recipe", "simplenet", "--no-download", "--out", "run"]);
    if let Some(ran) = ran {
        ran.refused(&["cannot read", "data_batch_4.bin", "ermission denied"]);
    }
    assert!(!place.path("run").exists());
}

#[test]
fn a_folder_that_may_not_be_written() {
    let place = Place::new();
    fs::create_dir(place.path("locked")).unwrap();
    set_mode(place.path("locked"), 0o555);
    let ran = run(
        &place,
        &["train", "--recipe", "simplenet", "--batch-size", "20", "--out", "locked/run"],
    );
    set_mode(place.path("locked"), 0o755);
    if let Some(ran) = ran {
        ran.refused(&["cannot create", "locked", "ermission denied"]);
    }
    assert_eq!(fs::read_dir(place.path("locked")).unwrap().count(), 0);
}
