//! What `predict` makes of files, folders and standard input, good and bad.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use cifar_data::Cifar10;
use cifar_data::image_folder::write_image_folder;
use serde_json::Value;

use crate::place::{Place, Ran};

/// A trained run, and the 40 test pictures as `pictures/CLASS/*.png`.
fn trained() -> Place {
    let place = Place::new();
    place.train(&["--no-tensorboard"]).ok();
    let test = Cifar10::open(&place.path("data")).unwrap().test().unwrap();
    write_image_folder(&test, &place.path("pictures")).unwrap();
    place
}

fn predict(place: &Place, arguments: &[&str]) -> Ran {
    place.run(&[&["predict", "--run", "run"], arguments].concat())
}

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn class_folders_get_the_accuracy_of_eval() {
    let place = trained();
    let eval = document(&place.run(&["eval", "--run", "run", "--json"]).ok());
    let predicted = document(&predict(&place, &["pictures", "--json"]).ok());
    for key in ["n", "top1", "top5", "confusion", "per_class"] {
        assert_eq!(predicted["evaluation"][key], eval[key], "{key}");
    }
    // The sum of the losses is rounded in another order.
    let loss = |report: &Value| report["loss"].as_f64().unwrap();
    assert!((loss(&predicted["evaluation"]) - loss(&eval)).abs() < 1e-12);
    assert_eq!(predicted["images"].as_array().unwrap().len(), 40);
    let weights = ["--weights", "run/checkpoints/last/model.safetensors", "--model", "simplenet"];
    let by_file = place.run(&[&["predict", "pictures", "--json"], &weights[..]].concat()).ok();
    assert_eq!(document(&by_file)["evaluation"], predicted["evaluation"]);
    // The same through a data set that lies in such folders.
    let folders = ["eval", "--run", "run", "--data-dir", "pictures", "--json"];
    assert_eq!(document(&place.run(&folders).ok())["top1"], eval["top1"]);

    let table = predict(&place, &["pictures", "--top-k", "2"]).ok().out;
    for words in ["true class", "Confusion matrix", "Most confused", "40 images", "pictures/cat/"] {
        assert!(table.contains(words), "no `{words}` in: {table}");
    }
}

/// What a fresh clone can do without training: the weights in `models/` say something of any picture.
#[test]
fn published_weights_are_ready_for_use() {
    let place = Place::new();
    let test = Cifar10::open(&place.path("data")).unwrap().test().unwrap();
    write_image_folder(&test, &place.path("pictures")).unwrap();
    let models = concat!(env!("CARGO_MANIFEST_DIR"), "/../models");
    for name in ["simplenet", "airnet94"] {
        let weights = format!("{models}/{name}.safetensors");
        let arguments = ["predict", "pictures", "--json", "--model", name, "--weights", &weights];
        let predicted = document(&place.run(&arguments).ok());
        assert_eq!(predicted["images"].as_array().unwrap().len(), 40, "{name}");
        let manifest = fs::read_to_string(format!("{weights}.manifest.json")).unwrap();
        assert!(manifest.contains(name), "{manifest}");
    }
}

#[test]
fn the_forms_agree_and_a_flat_folder_has_no_accuracy() {
    let place = trained();
    fs::create_dir(place.path("flat")).unwrap();
    let first = fs::read_dir(place.path("pictures/cat")).unwrap().next().unwrap().unwrap().path();
    for name in ["b.png", "a,\"b\".png"] {
        fs::copy(&first, place.path("flat").join(name)).unwrap();
    }
    let report = document(&predict(&place, &["flat", "--json", "--top-k=20"]).ok());
    assert!(report["evaluation"].is_null() && report["most_confused"] == Value::Array(Vec::new()));
    let image = &report["images"][1];
    assert_eq!((&image["image"], &image["true_class"]), (&"flat/b.png".into(), &Value::Null));
    let predictions = image["predictions"].as_array().unwrap();
    let probabilities: Vec<f64> =
        predictions.iter().map(|p| p["probability"].as_f64().unwrap()).collect();
    assert_eq!(probabilities.len(), 10);
    assert!(probabilities.is_sorted_by(|a, b| a >= b));
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9);

    let csv = predict(&place, &["flat", "--csv", "--top-k=1"]).ok().out;
    let rows: Vec<&str> = csv.lines().collect();
    assert_eq!(rows[0], "image,true_class,class_1,probability_1,error");
    assert!(rows[1].starts_with("\"flat/a,\"\"b\"\".png\",,"), "{csv}");
    let class = predictions[0]["class"].as_str().unwrap();
    assert_eq!(rows[2], format!("flat/b.png,,{class},{:.6},", probabilities[0]));

    let mut child = place
        .command(&["predict", "--run", "run", "-", "--csv", "--top-k=1"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&fs::read(first).unwrap()).unwrap();
    let piped = Ran::from(child.wait_with_output().unwrap()).ok().out;
    let row = rows[2].replace("flat/b.png", "standard input");
    assert_eq!(piped.lines().nth(1), Some(row.as_str()));
}

#[test]
fn a_bad_file_is_told_and_stops_no_other() {
    let place = trained();
    fs::write(place.path("pictures/cat/text.png"), "no picture").unwrap();
    let ran = predict(&place, &["pictures", "--json"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    for words in ["skipped: pictures/cat/text.png is no picture", "1 of 41 could not be read"] {
        assert!(ran.err.contains(words), "no `{words}` in: {}", ran.err);
    }
    let report = document(&ran);
    assert_eq!(
        (&report["evaluation"]["n"], &report["failures"].as_array().unwrap().len()),
        (&40.into(), &1)
    );
    let csv = predict(&place, &["pictures/cat/text.png", "nowhere.png", "--csv", "--top-k=1"]);
    assert_eq!(csv.code, Some(1), "{}", csv.out);
    assert!(
        csv.out.contains("pictures/cat/text.png,,,,\"pictures/cat/text.png is no"),
        "{}",
        csv.out
    );
    assert!(csv.err.contains("nowhere.png; check that it exists"), "{}", csv.err);
}

#[test]
fn hostile_folders_cost_little_and_end() {
    let place = trained();
    let folder = place.path("hostile");
    fs::create_dir(&folder).unwrap();
    let file = |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).unwrap();
    let whole = fs::read_dir(place.path("pictures/cat")).unwrap().next().unwrap().unwrap().path();
    let whole = fs::read(whole).unwrap();
    file("cut.png", &whole[..whole.len() / 2]);
    file("empty.jpg", b"");
    file("text.gif", b"not a picture");
    file("huge.gif", b"GIF89a\xff\xff\xff\xff\xf0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x01\0;");
    let mut bmp = vec![0; 54];
    bmp[..2].copy_from_slice(b"BM");
    (bmp[10], bmp[14], bmp[26], bmp[28]) = (54, 40, 1, 24);
    bmp[18..26].copy_from_slice(&[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    file("huge.bmp", &bmp);
    file(
        "huge.jpg",
        b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\x03\x01\x11\0\x02\x11\0\x03\x11\0\
        \xff\xda\0\x0c\x03\x01\0\x02\0\x03\0\0\x3f\0\xff\xd9",
    );
    let mut webp = b"RIFF\x20\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\xff\0\xfe\xff\0".to_vec();
    webp.extend(b"VP8L\x06\0\0\0\x2f\xff\xff\xff\x0f\0");
    file("huge.webp", &webp);
    // CRCs by zlib: of 65535 and of 8000 pixels a side.
    for (name, side, crc) in [
        ("huge.png", 65_535u32, [0x39, 0x67, 0x4e, 0x07]),
        ("dense.png", 8000, [0x89, 0x93, 0x3a, 0xa3]),
    ] {
        let side = side.to_be_bytes();
        let head = [b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR", &side[..], &side, &[8, 2, 0, 0, 0], &crc];
        file(name, &[&head.concat()[..], b"\0\0\0\x01IDATx\0\0\0\0"].concat());
    }
    symlink(".", folder.join("loop")).unwrap();
    symlink("self.png", folder.join("self.png")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.join("pipe.png")).status().unwrap().success());
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff\x1b[31m.png");
    fs::write(folder.join(odd), &whole).unwrap();

    let ran = predict(&place, &["hostile", "--json"]);
    assert_eq!(ran.code, Some(3), "{}", ran.err);
    for words in [
        "cut.png is a damaged PNG",
        "empty.jpg is empty",
        "text.gif is no picture",
        "huge.gif is 65535x65535",
        "huge.bmp is 65535x65535",
        "huge.jpg is 65535x65535",
        "huge.webp is 65535x65535",
        "huge.png is 65535x65535",
        "dense.png claims 8000x8000 pixels and has only 46 bytes",
        "hostile/loop leads to the same folder as hostile; remove",
        "cannot read hostile/self.png",
        "pipe.png is no ordinary file",
    ] {
        assert!(ran.err.contains(words), "no `{words}` in: {}", ran.err);
    }
    let report = document(&ran);
    assert_eq!(report["images"].as_array().unwrap().len(), 1);
    let peak = report["peak_rss_bytes"].as_u64().unwrap();
    assert!(peak < 200_000_000, "{peak} bytes");
    let table = predict(&place, &["hostile"]).out;
    assert!(table.contains("\\u{1b}[31m.png") && !table.contains('\u{1b}'), "{table}");
}

#[test]
fn what_cannot_be_predicted_is_refused() {
    let place = trained();
    fs::create_dir(place.path("nothing")).unwrap();
    predict(&place, &["nothing"]).refused(&["no picture in nothing", "PNG, JPEG"]);
    predict(&place, &["pictures", "--top-k=0"]).refused(&["--top-k is 0"]);
    predict(&place, &["-", "-"]).refused(&["more than once"]);
    let ran = place.run(&["predict", "pictures"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    // Folders whose names are not all those of classes.
    fs::rename(place.path("pictures/cat"), place.path("pictures/lynx")).unwrap();
    let ran = predict(&place, &["pictures"]).ok();
    assert!(
        ran.out.contains("`lynx` is no class of the network; it has no accuracy"),
        "{}",
        ran.out
    );
    fs::create_dir(place.path("other")).unwrap();
    fs::rename(place.path("pictures/lynx"), place.path("other/lynx")).unwrap();
    let ran = predict(&place, &["other"]).ok();
    assert!(ran.out.contains("no folder is called like a class") && !ran.out.contains("top-1"));
}
