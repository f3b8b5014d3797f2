//! What is on the disk already, and disks that cannot be written.

use std::io::ErrorKind;
use std::process::Command;

use super::super::server::{Reply, Server};
use super::archives::official;
use super::*;
use crate::error::DataError;
use crate::verify::verify;

fn flip_a_byte(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[4000] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// States the facts of the small set in its own folder.
fn state_facts(world: &World) {
    let batches = BATCH_NAMES.iter().zip(&world.sources.facts.batches).map(|(name, facts)| {
        format!(r#""{name}": {{"records": {}, "md5": "{}"}}"#, facts.records, facts.md5)
    });
    let text = format!(r#"{{"batches": {{{}}}}}"#, batches.collect::<Vec<_>>().join(", "));
    fs::write(world.folder().join("dataset.json"), text).unwrap();
}

#[test]
fn the_checksum_list_states_the_official_facts() {
    let listed: Vec<String> =
        include_str!("../../../../../data/MD5SUMS").lines().map(str::to_owned).collect();
    let facts = Facts::official().batches;
    let expected: Vec<String> = (0..BATCH_NAMES.len())
        .map(|i| format!("{}  cifar-10-batches-bin/{}", facts[i].md5, batch_file(i)))
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn data_that_are_there_are_left_alone() {
    let mut world = World::new();
    world.place();
    world.options.download = false;
    let before = names_in(&world.folder());
    let expected = Fetched { source: ServedBy::Disk, path: world.folder() };
    assert_eq!(world.fetch().unwrap(), expected);
    assert_eq!(names_in(&world.folder()), before);
    assert_eq!(names_in(&world.options.data_dir), ["cifar-10-batches-bin"]);

    // The folder of the batches may be named itself.
    world.options.data_dir = world.folder();
    assert_eq!(world.fetch().unwrap(), expected_in(&world.options.data_dir));
}

fn expected_in(folder: &Path) -> Fetched {
    Fetched { source: ServedBy::Disk, path: folder.to_owned() }
}

#[test]
fn an_archive_in_the_place_of_the_folder_is_left_as_it_is() {
    let mut world = World::new();
    let bytes = official(&world.batches);
    let file = world.data_dir.path().join("local.tar.gz");
    fs::write(&file, &bytes).unwrap();
    world.options.data_dir = file.clone();
    assert_eq!(world.fetch().unwrap(), expected_in(&file));

    let folder = tempfile::tempdir().unwrap();
    let inside = folder.path().join("cifar-10-binary.tar.gz");
    fs::write(&inside, &bytes).unwrap();
    world.options.data_dir = folder.path().to_owned();
    assert_eq!(world.fetch().unwrap(), expected_in(&inside));
    assert_eq!(names_in(folder.path()), ["cifar-10-binary.tar.gz"]);
}

#[test]
fn only_what_is_damaged_or_missing_is_fetched_again() {
    let mut world = World::new();
    world.place();
    flip_a_byte(&world.batch(3));
    fs::remove_file(world.batch(5)).unwrap();
    let untouched = fs::metadata(world.batch(0)).unwrap().modified().unwrap();

    let server = Server::start(vec![Reply::whole(&official(&world.batches))]);
    world.sources.archive_url = server.url.clone();
    assert_eq!(world.fetch().unwrap().source, ServedBy::Toronto);
    world.assert_whole();
    let notes = world.notes();
    assert!(notes.contains("data_batch_4.bin is damaged"), "{notes}");
    assert!(notes.contains(&world.sources.facts.batches[3].md5), "{notes}");
    assert_eq!(fs::metadata(world.batch(0)).unwrap().modified().unwrap(), untouched);
}

#[test]
fn a_flipped_byte_is_found_and_named() {
    let world = World::new();
    world.place();
    state_facts(&world);
    verify(&world.folder()).unwrap();

    flip_a_byte(&world.batch(4));
    let error = verify(&world.folder()).unwrap_err();
    let DataError::Checksum { path, found, expected } = &error else {
        panic!("another error: {error}");
    };
    assert_eq!(*path, world.batch(4));
    assert_eq!(*found, md5_of(&fs::read(path).unwrap()));
    assert_eq!(*expected, world.sources.facts.batches[4].md5);

    fs::remove_file(world.batch(4)).unwrap();
    let error = verify(&world.folder()).unwrap_err();
    assert!(matches!(error, DataError::Missing { .. }), "{error}");
}

#[test]
fn another_set_is_checked_against_its_own_facts_and_never_replaced() {
    let mut world = World::new();
    world.place();
    state_facts(&world);
    // Facts that would refuse the small set if its own did not go before them.
    world.sources.facts = Facts::official();
    assert_eq!(world.fetch().unwrap().source, ServedBy::Disk);

    flip_a_byte(&world.batch(1));
    let damaged = fs::read(world.batch(1)).unwrap();
    let error = world.fetch().unwrap_err();
    assert!(matches!(error, FetchError::OwnData { .. }), "{error}");
    assert!(text_of(&error).contains("data_batch_2.bin"), "{}", text_of(&error));
    assert_eq!(fs::read(world.batch(1)).unwrap(), damaged);
}

#[test]
fn without_data_and_network_the_error_says_what_to_do() {
    let mut world = World::new();
    world.options.download = false;
    let text = text_of(&world.fetch().unwrap_err());
    assert!(text.contains("no CIFAR-10 in ") && text.contains("--archive FILE"), "{text}");
    assert_eq!(names_in(world.data_dir.path()), Vec::<String>::new());

    world.place();
    fs::remove_file(world.batch(1)).unwrap();
    let text = text_of(&world.fetch().unwrap_err());
    assert!(text.contains("data_batch_2.bin is missing"), "{text}");
}

#[test]
fn what_a_killed_process_left_is_written_over() {
    let mut world = World::new();
    world.place();
    fs::remove_file(world.batch(1)).unwrap();
    fs::write(world.batch(1).with_added_extension("part"), b"half").unwrap();
    let server = Server::start(vec![Reply::whole(&official(&world.batches))]);
    world.sources.archive_url = server.url.clone();
    world.fetch().unwrap();
    world.assert_whole();
}

#[test]
fn a_data_folder_that_cannot_be_made_is_named() {
    let mut world = World::new();
    let file = world.data_dir.path().join("file");
    fs::write(&file, b"not a folder, and no archive").unwrap();
    for path in [file.clone(), file.join("below")] {
        world.options.data_dir = path;
        let text = text_of(&world.fetch().unwrap_err());
        assert!(text.contains(world.options.data_dir.to_str().unwrap()), "{text}");
    }
    assert_eq!(fs::read(file).unwrap(), b"not a folder, and no archive");
}

/// A small file system, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// `None` where this process may not mount one.
    fn mount(kilobytes: usize) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"]);
        let is_mounted = mount.arg(folder.path()).output().is_ok_and(|o| o.status.success());
        is_mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_is_named_and_left_clean() {
    let mut world = World::new();
    let archive = official(&world.batches);
    // 60 kB of archive and as much of batches: full in the download, then in the unpacking.
    for (kilobytes, full_at) in [(40, "cifar-10-binary.tar.gz.part"), (100, ".bin")] {
        let Some(disk) = SmallDisk::mount(kilobytes) else {
            println!("skipped: this process may not mount a small file system");
            return;
        };
        let server = Server::start(vec![Reply::whole(&archive)]);
        world.sources.archive_url = server.url.clone();
        world.options.data_dir = disk.0.path().to_owned();
        let error = world.fetch().unwrap_err();
        let FetchError::Write { path, source } = &error else {
            panic!("another error: {error}");
        };
        assert_eq!(source.kind(), ErrorKind::StorageFull);
        assert!(path.to_str().unwrap().ends_with(full_at), "{}", path.display());
        assert!(error.to_string().contains("free 400 MB"), "{error}");
        // Whole batches may stay, halves and downloads may not.
        for name in names_in(disk.0.path()) {
            assert_eq!(name, "cifar-10-batches-bin");
            for name in names_in(&world.folder()) {
                let i = (0..6).find(|i| batch_file(*i) == name).expect("only batches");
                assert_eq!(fs::read(world.batch(i)).unwrap(), world.batches[i]);
            }
        }
    }
}
