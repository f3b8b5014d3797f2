//! Training on pictures of one's own, in a folder for each class.

use std::fs;

use cifar_data::image_folder::{ImageFolder, write_image_folder};
use cifar_data::{Cifar10, Dataset, IMAGE_LEN};
use serde_json::Value;

use crate::place::{Place, Ran};

const CLASSES: [&str; 3] = ["chalk", "cheese", "coal"];

/// The pictures of the first three classes, under other names.
fn three_classes(all: &Dataset) -> Dataset {
    let chosen: Vec<usize> = (0..all.len()).filter(|&i| all.label(i) < 3).collect();
    let images: Vec<u8> = chosen.iter().flat_map(|&i| all.image(i).to_vec()).collect();
    assert_eq!(images.len(), chosen.len() * IMAGE_LEN);
    let labels = chosen.iter().map(|&i| all.label(i)).collect();
    Dataset::new(images, labels, CLASSES.map(str::to_owned).to_vec()).unwrap()
}

/// A place with `own/train` and `own/test`.
fn place() -> Place {
    let place = Place::new();
    let data = Cifar10::open(&place.path("data")).unwrap();
    write_image_folder(&three_classes(&data.train().unwrap()), &place.path("own/train")).unwrap();
    write_image_folder(&three_classes(&data.test().unwrap()), &place.path("own/test")).unwrap();
    place
}

fn train(place: &Place, arguments: &[&str]) -> Ran {
    let own = ["--data-dir", "own", "--epochs=3", "--no-tensorboard"];
    place.train(&[&own[..], arguments].concat())
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_run_on_own_classes_keeps_their_names_and_is_evaluated_by_them() {
    let place = place();
    train(&place, &["--set=data.validation=9"]).ok();
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    for class in CLASSES {
        assert!(config.contains(&format!("\"{class}\"")), "{config}");
    }
    let summary = json(&fs::read_to_string(place.path("run/summary.json")).unwrap());
    assert_eq!(summary["dataset"], "folders of own");
    let at_own =
        |command: &[&str]| place.run(&[command, &["--data-dir", "own", "--json"]].concat()).ok();
    let eval = json(&at_own(&["eval", "--run", "run"]).out);
    assert_eq!((&eval["top1"], &eval["class_names"]), (&summary["test_accuracy"], &CLASSES.into()));
    assert!(eval["top1"].as_f64().unwrap() > 0.6, "{eval}");
    let validation = json(&at_own(&["eval", "--run", "run", "--split", "validation"]).out);
    assert_eq!((&validation["n"], &validation["top1"]), (&9.into(), &summary["val_accuracy"]));
    let predicted = place.run(&["predict", "--run", "run", "own/test", "--json"]).ok();
    assert_eq!(json(&predicted.out)["evaluation"]["top1"], eval["top1"]);

    // A copy of the run's recipe trains to the same weights.
    let again = ["train", "--recipe", "run/config.toml", "--out", "again", "--data-dir", "own"];
    place.run(&[&again[..], &["--threads=2", "--no-tensorboard"]].concat()).ok();
    assert!(place.weights("run") == place.weights("again"));
    // What else reads a run.
    let report = json(&at_own(&["report", "run"]).out);
    assert_eq!(report["missing"], Value::Array(Vec::new()), "{report}");
    assert_eq!(json(&at_own(&["plot", "run"]).out)["missing"], Value::Null);
    let stored = place.run(&["plot", "run", "--data-dir", "nowhere", "--json"]).ok();
    assert!(json(&stored.out)["missing"].as_str().unwrap().contains("predictions"));
    let explained = json(&at_own(&["explain", "--index", "0", "--run", "run"]).out);
    assert_eq!(explained["true_class"], "chalk");
    at_own(&["data", "show", "--out", "shown", "--recipe", "run/config.toml"]);
}

#[test]
fn a_stopped_run_goes_on_to_the_same_weights() {
    let place = place();
    train(&place, &[]).ok();
    let wanted = place.weights("run");
    fs::rename(place.path("run"), place.path("whole")).unwrap();
    train(&place, &["--max-steps=4"]).ok();
    let ran = place.run(&["train", "--resume", "run", "--no-tensorboard", "--no-download"]);
    ran.refused(&["holds CIFAR-10, but the classes are chalk, cheese, coal", "--data-dir"]);
    place.run(&["train", "--resume", "run", "--data-dir", "own", "--no-tensorboard"]).ok();
    assert!(place.weights("run") == wanted);
}

#[test]
fn the_recipe_may_ask_for_the_statistics_of_the_pictures() {
    let place = place();
    train(&place, &["--measure-normalization", "--max-steps=1"]).ok();
    let config = fs::read_to_string(place.path("run/config.toml")).unwrap();
    let train = ImageFolder::open(&place.path("own/train")).unwrap().read().unwrap();
    let config: cifar_train::Recipe = cifar_train::Recipe::from_toml(&config, &[]).unwrap();
    let measured = train.channel_statistics();
    assert_eq!(config.data.normalization.mean, measured.mean.map(|value| value as f32));
    assert_eq!(config.data.normalization.std, measured.std.map(|value| value as f32));
}

#[test]
fn folders_that_do_not_serve_begin_no_run() {
    let place = place();
    // More are held out than there are.
    train(&place, &["--set=data.validation=5000"])
        .refused(&["data.validation", "choose fewer than"]);
    fs::write(place.path("own/test/coal/bad.png"), "no picture").unwrap();
    train(&place, &[]).refused(&["1 of the pictures in own/test", "coal/bad.png is no picture"]);
    fs::remove_file(place.path("own/test/coal/bad.png")).unwrap();
    fs::rename(place.path("own/test/coal"), place.path("own/test/soot")).unwrap();
    train(&place, &[])
        .refused(&["own/test/soot", "`soot` is none of the classes chalk, cheese, coal"]);
    fs::rename(place.path("own/test"), place.path("own/spare")).unwrap();
    train(&place, &[]).refused(&["own has no test images", "own/test/cat/1.png"]);
    place
        .train(&["--data-dir", "own/train"])
        .refused(&["own/train has no train images", "own/train/train/cat/1.png"]);
    fs::rename(place.path("own/spare"), place.path("own/test")).unwrap();
    for class in &CLASSES[1..] {
        fs::remove_dir_all(place.path("own/train").join(class)).unwrap();
    }
    train(&place, &[]).refused(&["`data.classes` is 1 names", "2 to 256"]);
    assert!(!place.path("run").exists());
}

#[test]
fn a_network_of_other_classes_is_not_evaluated_on_them() {
    let place = place();
    place.train(&["--no-tensorboard"]).ok();
    let eval = place.run(&["eval", "--run", "run", "--data-dir", "own"]);
    eval.refused(&["own/test/chalk", "none of the classes airplane", "trained on it"]);
}

#[test]
fn the_data_can_be_written_as_pictures_and_read_back() {
    let place = Place::new();
    let export = ["data", "export", "--out", "pictures/all"];
    let ran = place.run(&export).ok();
    assert!(ran.out.contains("Wrote 240 images to pictures/all"), "{}", ran.out);
    place.run(&export).refused(&["pictures/all already exists", "--out"]);
    let data = Cifar10::open(&place.path("data")).unwrap();
    let read = ImageFolder::open(&place.path("pictures/all/train")).unwrap().read().unwrap();
    assert_eq!(read.class_counts().iter().sum::<usize>(), 200);
    assert_eq!(read.channel_statistics(), data.train().unwrap().channel_statistics());
    place.run(&["data", "export", "--out", "half", "--only", "test"]).ok();
    assert!(place.path("half/test/cat").is_dir() && !place.path("half/train").exists());
}
