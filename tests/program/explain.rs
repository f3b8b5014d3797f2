//! `cifar explain`: what a network sees in a picture.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::place::Place;

/// A place with a trained run.
fn trained() -> Place {
    let place = Place::new();
    place.train(&[]).ok();
    place
}

/// Test image `index`, planes red, green, blue, and its label.
fn test_image(place: &Place, index: usize) -> (Vec<u8>, u8) {
    let batch = fs::read(place.batch("test_batch")).unwrap();
    let record = &batch[index * 3073..][..3073];
    (record[1..].to_vec(), record[0])
}

/// A BMP of 32 x 32 pixels: a header, then rows from the bottom up, blue, green, red.
fn bmp(planes: &[u8]) -> Vec<u8> {
    let mut bytes = b"BM".to_vec();
    for field in [54 + 3072u32, 0, 54, 40, 32, 32] {
        bytes.extend(field.to_le_bytes());
    }
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    for y in (0..32).rev() {
        for x in 0..32 {
            bytes.extend([2, 1, 0].map(|plane| planes[plane * 1024 + y * 32 + x]));
        }
    }
    bytes
}

fn report(place: &Place, arguments: &[&str]) -> Value {
    let ran = place.run(&[&["explain", "--json", "--run", "run"], arguments].concat()).ok();
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn a_test_image_becomes_two_pictures() {
    let place = trained();
    let report = report(&place, &["--index", "7"]);
    assert_eq!(report["image"], "test image 7");
    let label = usize::from(test_image(&place, 7).1);
    assert_eq!(report["true_class"], cifar_data::CLASS_NAMES[label]);
    assert_eq!(report["explained_class"], report["predictions"][0]["class"]);
    assert_eq!(report["predictions"].as_array().unwrap().len(), 5);
    let stages = report["stages"].as_array().unwrap();
    let names: Vec<&str> = stages.iter().map(|stage| stage["name"].as_str().unwrap()).collect();
    assert_eq!((names, &stages[1]["layer"]), (vec!["conv1", "conv2"], &Value::from("relu2")));
    for name in ["test-7.png", "test-7-features.png"] {
        let png = fs::read(place.path("run/explain").join(name)).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{name}");
    }
}

#[test]
fn a_file_of_the_same_image_is_explained_alike() {
    let place = trained();
    fs::write(place.path("ship.bmp"), bmp(&test_image(&place, 7).0)).unwrap();
    let (from_file, from_data) = (report(&place, &["ship.bmp"]), report(&place, &["--index", "7"]));
    assert_eq!(from_file["predictions"], from_data["predictions"], "it passes bit for bit");
    assert_eq!((&from_file["image"], &from_file["true_class"]), (&"ship.bmp".into(), &Value::Null));
}

#[test]
fn class_format_and_place_are_the_users() {
    let place = trained();
    let frog = ["--index=0", "--class=frog", "--out=a.svg"];
    let report = report(&place, &frog);
    assert_eq!(report["explained_class"], "frog");
    assert_eq!(report["files"], serde_json::json!(["a.svg", "a-features.svg"]));
    let page = fs::read_to_string(place.path("a.svg")).unwrap();
    for text in ["what speaks for frog", ">conv1<", ">conv2<", "saliency: what sways frog"] {
        assert!(page.contains(text), "{text}");
    }
    let maps = fs::read_to_string(place.path("a-features.svg")).unwrap();
    assert!(maps.contains("conv1: 16 maps of 32x32"), "{maps}");
    place.run(&[&["explain", "--run=run", "--format=both"], &frog[..]].concat()).ok();
    assert!(place.path("a.png").is_file() && place.path("a-features.png").is_file());
}

#[test]
fn what_is_no_picture_is_told_by_name() {
    let place = trained();
    let whole = bmp(&[9; 3072]);
    let mut huge = whole.clone();
    huge[18..26].copy_from_slice(&[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    let files: [(&str, &[u8], &[&str]); 4] = [
        ("empty.png", b"", &["empty.png", "0 bytes", "again"]),
        ("notes.jpg", b"to do: buy bread", &["notes.jpg", "746f20646f", "save it as PNG, JPEG"]),
        ("half.bmp", &whole[..1500], &["half.bmp", "damaged BMP", "again"]),
        ("huge.bmp", &huge, &["huge.bmp", "65535x65535", "16384", "scale it down"]),
    ];
    for (name, bytes, words) in files {
        fs::write(place.path(name), bytes).unwrap();
        place.run(&["explain", name, "--run", "run"]).refused(words);
    }
    place.run(&["explain", "none.png", "--run", "run"]).refused(&["none.png", "check that it"]);
    place.run(&["explain", "run", "--run", "run"]).refused(&["run is a folder", "name a picture"]);
}

#[test]
fn what_cannot_be_explained_names_the_remedy() {
    let place = trained();
    let run = |arguments: &[&str]| place.run(&[&["explain", "--run=run"], arguments].concat());
    run(&["--index=40"]).refused(&["no test image 40", "0 to 39"]);
    run(&["--index=0", "--class=tiger"]).refused(&["`tiger`", "airplane, automobile", "truck"]);
    run(&["--index=0", "--checkpoint=best"]).refused(&["checkpoints/best", "no checkpoint"]);
    run(&["--index=0", "--out=none/a.png"]).refused(&["none/a.png", "create it first"]);
    run(&["--index=0", "--out=run"]).refused(&["run is a folder", "name a file in it"]);
    run(&["--index=0", "--data-dir=none", "--no-download"]).refused(&["none", "--data-dir"]);
    place.run(&["explain", "--index=0", "--run=data"]).refused(&["data", "holds no run"]);
    for arguments in [&[][..], &["a.png", "--index=0"]] {
        assert_eq!(run(arguments).code, Some(2), "one picture, from one place");
    }
    spoil(&place.path("run/checkpoints/last/model.safetensors"));
    let words = ["checkpoints/last/model.safetensors", "not finite (NaN)", "lower learning rate"];
    run(&["--index=0"]).refused(&words);
}

/// Turns every weight into NaN. The file begins with the length of its header.
fn spoil(weights: &Path) {
    let mut bytes = fs::read(weights).unwrap();
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    bytes[8 + header..].fill(0xff);
    fs::write(weights, bytes).unwrap();
}
