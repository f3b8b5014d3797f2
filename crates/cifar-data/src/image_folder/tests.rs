use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;
use crate::DataSource;
use crate::facts::CLASS_NAMES;
use tempfile::TempDir;

/// A data set whose picture `i` is of class `labels[i]`, all its values being `i`.
fn dataset(labels: &[u8], class_names: &[&str]) -> Dataset {
    let images = (0..labels.len()).flat_map(|i| [i as u8; IMAGE_LEN]).collect();
    let class_names = class_names.iter().map(|&name| name.to_owned()).collect();
    Dataset::new(images, labels.to_vec(), class_names).unwrap()
}

/// Three cats and two dogs.
fn pets() -> (TempDir, Dataset) {
    let dir = tempfile::tempdir().unwrap();
    let pets = dataset(&[1, 0, 0, 1, 0], &["cat", "dog"]);
    write_image_folder(&pets, dir.path()).unwrap();
    (dir, pets)
}

fn message(error: impl Into<DataError>) -> String {
    error.into().to_string()
}

fn names(folder: &ImageFolder) -> Vec<String> {
    let below = |path: &PathBuf| path.strip_prefix(folder.root()).unwrap().display().to_string();
    folder.files().iter().map(below).collect()
}

#[test]
fn what_was_written_is_read_bit_for_bit() {
    let (dir, pets) = pets();
    let folder = ImageFolder::open(dir.path()).unwrap();
    assert_eq!(
        names(&folder),
        ["cat/00001.png", "cat/00002.png", "cat/00004.png", "dog/00000.png", "dog/00003.png"]
    );
    let read = folder.read().unwrap();
    assert_eq!((read.labels(), read.class_names()), (&[0, 0, 0, 1, 1][..], pets.class_names()));
    for (at, index) in [1, 2, 4, 0, 3].into_iter().enumerate() {
        assert_eq!(read.image(at), pets.image(index));
    }
}

/// `ImageFolder(root).samples` of torchvision 0.29.2 for these files, with GIFs allowed, but for the
/// hidden ones, which it takes for pictures of their class and for a class.
#[test]
fn classes_and_files_stand_in_torchvisions_order() {
    let dir = tempfile::tempdir().unwrap();
    for name in [
        "b/z.PNG",
        "b/sub/x/f.png",
        "b/a.jpeg",
        "b/sub/c.webp",
        "b/sub-2/d.gif",
        "b/note.txt",
        "b/.hidden.png",
        "b/.thumbs/e.png",
        "B/1.bmp",
        "a b/ü.png",
        ".git/x.png",
        "stray.png",
    ] {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    fs::create_dir(dir.path().join("b/folder.png")).unwrap();
    let folder = ImageFolder::open(dir.path()).unwrap();
    assert_eq!(folder.class_names(), ["B", "a b", "b"]);
    assert_eq!(
        names(&folder),
        [
            "B/1.bmp",
            "a b/ü.png",
            "b/a.jpeg",
            "b/z.PNG",
            "b/sub/c.webp",
            "b/sub-2/d.gif",
            "b/sub/x/f.png"
        ]
    );
    assert_eq!(folder.labels(), [0, 1, 2, 2, 2, 2, 2]);
}

#[test]
fn given_classes_number_the_labels() {
    let (dir, _) = pets();
    let known = ["bird", "dog", "cat"].map(str::to_owned);
    let folder = ImageFolder::open_as(dir.path(), &known).unwrap();
    assert_eq!((folder.labels(), folder.class_names()), (&[1, 1, 2, 2, 2][..], &known[..]));
    let error = message(ImageFolder::open_as(dir.path(), &known[..2]).unwrap_err());
    for words in ["cat: `cat` is none of the classes bird, dog", "rename the folder"] {
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn folders_that_are_no_classes_are_refused_by_name() {
    let refused = |make: &dyn Fn(&Path), words: &[&str]| {
        let dir = tempfile::tempdir().unwrap();
        make(dir.path());
        let error = message(ImageFolder::open(dir.path()).unwrap_err());
        for word in words {
            assert!(error.contains(word), "no `{word}` in: {error}");
        }
    };
    let class = |root: &Path, name: &str| {
        fs::create_dir(root.join(name)).unwrap();
        fs::write(root.join(name).join("1.png"), "").unwrap();
    };
    refused(
        &|root| fs::write(root.join("1.png"), "").unwrap(),
        &["no folders of classes", "cat/1.png"],
    );
    refused(&|root| fs::remove_dir(root).unwrap(), &["cannot read", "check that it exists"]);
    refused(
        &|root| {
            class(root, "cat");
            fs::create_dir(root.join("dog")).unwrap();
            fs::write(root.join("dog/notes.txt"), "").unwrap();
        },
        &["the class ", "dog has no picture", "take the class away"],
    );
    refused(
        &|root| (0..=MAX_CLASSES).for_each(|i| class(root, &i.to_string())),
        &["257 folders", "at most 256"],
    );
    refused(
        &|root| {
            class(root, "cat");
            symlink("..", root.join("cat/up")).unwrap();
        },
        &["cat/up/cat leads to the same folder as", "remove one of them"],
    );
    refused(
        &|root| {
            class(root, "cat");
            symlink("cat", root.join("dog")).unwrap();
        },
        &["dog leads to the same folder as", "/cat; remove"],
    );
    refused(
        &|root| fs::create_dir(root.join(std::ffi::OsStr::from_bytes(b"c\xff"))).unwrap(),
        &["is not UTF-8; rename the folder"],
    );
}

#[test]
fn links_to_files_and_to_other_folders_are_followed() {
    let (dir, _) = pets();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::copy(dir.path().join("cat/00001.png"), elsewhere.path().join("more.png")).unwrap();
    symlink(elsewhere.path(), dir.path().join("cat/elsewhere")).unwrap();
    symlink("00000.png", dir.path().join("dog/again.png")).unwrap();
    assert_eq!(ImageFolder::open(dir.path()).unwrap().read().unwrap().class_counts(), [4, 3]);
}

/// Every link doubles the ways to what lies behind it.
#[test]
fn a_lattice_of_links_costs_no_more_than_its_folders() {
    let dir = tempfile::tempdir().unwrap();
    for level in 0..40 {
        let folder = dir.path().join(level.to_string());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("1.png"), "").unwrap();
        for name in ["a", "b"] {
            symlink(format!("../{}", level + 1), folder.join(name)).unwrap();
        }
    }
    let Listing { pictures, problems } = list_pictures(&dir.path().join("0"));
    // The links of the last level lead nowhere.
    assert_eq!((pictures.len(), problems.len()), (40, 39));
}

#[test]
fn a_picture_that_cannot_be_read_is_named_with_the_number_of_others() {
    let (dir, _) = pets();
    for name in ["cat/00002.png", "dog/00003.png"] {
        fs::write(dir.path().join(name), "no picture").unwrap();
    }
    // A name that is not UTF-8 is a name.
    let odd = dir.path().join("dog").join(std::ffi::OsStr::from_bytes(b"\xff.png"));
    fs::copy(dir.path().join("dog/00000.png"), odd).unwrap();
    let error = ImageFolder::open(dir.path()).unwrap().read().unwrap_err();
    assert!(message_of_both(&error).contains("2 of the pictures in"), "{error}");
    assert!(message_of_both(&error).contains("cat/00002.png is no picture of a known format"));
}

fn message_of_both(error: &DataError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string);
    format!("{error}: {}", source.unwrap_or_default())
}

#[test]
fn parts_are_found_by_their_names_and_a_class_may_be_called_train() {
    let (dir, pets) = pets();
    let names = pets.class_names().to_vec();
    let root = tempfile::tempdir().unwrap();
    assert_eq!(ClassFolders::find(root.path()), None);
    assert!(matches!(DataSource::open(root.path()), Err(DataError::NotFound { .. })));

    // Class folders alone are to test with.
    let alone = ClassFolders::find(dir.path()).unwrap();
    assert_eq!(alone.read_test(&names).unwrap().len(), 5);
    let error = message(alone.class_names().unwrap_err());
    for words in ["has no train images", "train/cat/1.png", "beside `test`"] {
        assert!(error.contains(words), "{error}");
    }

    write_image_folder(&pets, &root.path().join("train")).unwrap();
    let folders = ClassFolders::find(root.path()).unwrap();
    assert_eq!(folders.class_names().unwrap(), names);
    let error = message(folders.read_test(&names).unwrap_err());
    assert!(error.contains("has no test images") && error.contains("beside `train`"), "{error}");
    write_image_folder(&dataset(&[1], &["cat", "dog"]), &root.path().join("val")).unwrap();
    fs::remove_dir(root.path().join("val/cat")).unwrap();
    let found = DataSource::open(root.path()).unwrap();
    assert_eq!(found.own_class_names().unwrap(), Some(names.clone()));
    assert_eq!(found.train(&names).unwrap().labels(), [0, 0, 0, 1, 1]);
    assert_eq!(found.test(&names).unwrap().labels(), [1]);
    write_image_folder(&pets, &root.path().join("test")).unwrap();
    assert_eq!(DataSource::open(root.path()).unwrap().test(&names).unwrap().len(), 5);

    // All classes of a run must be there to train on.
    let more = [&names[..], &["eel".to_owned()]].concat();
    let error = message(found.train(&more).unwrap_err());
    assert!(error.contains("train/eel has no picture"), "{error}");

    let vehicles = tempfile::tempdir().unwrap();
    write_image_folder(&dataset(&[0, 1], &["car", "train"]), vehicles.path()).unwrap();
    let folders = ClassFolders::find(vehicles.path()).unwrap();
    assert_eq!(folders.read_test(&["car", "train"].map(str::to_owned)).unwrap().len(), 2);
}

#[test]
fn cifar_10_serves_no_other_classes() {
    let dir = tempfile::tempdir().unwrap();
    cifar_testkit::write_synthetic(dir.path(), 10, 3).unwrap();
    let found = DataSource::open(dir.path()).unwrap();
    assert_eq!(found.own_class_names().unwrap(), None);
    assert_eq!(found.train(&CLASS_NAMES.map(str::to_owned)).unwrap().len(), 50);
    let error = found.test(&["cat", "dog"].map(str::to_owned)).unwrap_err().to_string();
    for words in ["holds CIFAR-10, but the classes are cat, dog", "--data-dir"] {
        assert!(error.contains(words), "{error}");
    }
}
