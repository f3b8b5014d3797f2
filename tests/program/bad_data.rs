//! Data that are not what they should be. No run is begun with them.

use std::fs;

use md5::{Digest, Md5};

use crate::place::Place;

#[test]
fn a_truncated_batch() {
    let place = Place::new();
    let file = fs::File::options().write(true).open(place.batch("data_batch_2")).unwrap();
    file.set_len(40 * 3073 - 100).unwrap();
    place.train(&[]).refused(&["data_batch_2.bin", "122820 bytes", "122920", "fetch-data"]);
    assert!(!place.path("run").exists());
}

#[test]
fn a_flipped_byte() {
    let place = Place::new();
    let path = place.batch("data_batch_3");
    let mut bytes = fs::read(&path).unwrap();
    bytes[1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    place.train(&[]).refused(&["data_batch_3.bin", "MD5", "fetch-data"]);
    place.train(&["--no-download"]).refused(&["data_batch_3.bin", "MD5", "fetch-data"]);
    assert!(!place.path("run").exists());
}

#[test]
fn a_label_10() {
    let place = Place::new();
    let path = place.batch("data_batch_1");
    let mut bytes = fs::read(&path).unwrap();
    let old = hexadecimal(&bytes);
    bytes[3 * 3073] = 10;
    fs::write(&path, &bytes).unwrap();
    // With its MD5 in order, so that the label itself is what is wrong.
    let facts = path.with_file_name("dataset.json");
    let text = fs::read_to_string(&facts).unwrap();
    fs::write(&facts, text.replace(&old, &hexadecimal(&bytes))).unwrap();
    place.train(&[]).refused(&["data_batch_1.bin", "record 3", "label 10", "0..=9", "fetch-data"]);
    assert!(!place.path("run").exists());
}

#[test]
fn an_empty_folder() {
    let place = Place::empty();
    fs::create_dir(place.path("data")).unwrap();
    let words = ["data", "cifar-10-batches-bin", "fetch-data", "--data-dir"];
    place.train(&["--no-download"]).refused(&words);
    place.run(&["data", "show", "--no-download"]).refused(&words);
    assert_eq!(fs::read_dir(place.path("data")).unwrap().count(), 0);
    assert!(!place.path("run").exists());
}

#[test]
fn a_folder_that_is_not_there() {
    let place = Place::empty();
    place.train(&["--no-download", "--data-dir", "nowhere"]).refused(&[
        "nowhere",
        "fetch-data",
        "--data-dir",
    ]);
    assert!(!place.path("nowhere").exists());
}

#[test]
fn an_archive_cut_in_half() {
    let place = Place::empty();
    fs::write(place.path("half.tar.gz"), [0x1f, 0x8b, 8, 0, 0, 0]).unwrap();
    place
        .train(&["--no-download", "--data-dir", "half.tar.gz"])
        .refused(&["half.tar.gz", "tar.gz"]);
    assert!(!place.path("run").exists());
}

fn hexadecimal(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
