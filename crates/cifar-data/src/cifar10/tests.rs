use super::*;
use crate::numpy::writer::{self, Dialect};
use crate::records::RECORD_LEN;
use cifar_testkit::write_synthetic;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::TempDir;

/// Pictures in each batch of the small sets below.
const N: usize = 20;

fn synthetic() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let folder = write_synthetic(dir.path(), N, 1).unwrap();
    (dir, folder)
}

/// Writes the batches of `binary` as the Python version, in `dir/cifar-10-batches-py`.
fn as_python(binary: &Path, dir: &Path, dialect: Dialect) -> PathBuf {
    let folder = dir.join("cifar-10-batches-py");
    fs::create_dir(&folder).unwrap();
    for name in BATCH_NAMES {
        let records = fs::read(binary.join(format!("{name}.bin"))).unwrap();
        fs::write(folder.join(name), writer::batch(dialect, &records)).unwrap();
    }
    fs::write(folder.join("batches.meta"), writer::meta(dialect, &CLASS_NAMES)).unwrap();
    fs::copy(binary.join("dataset.json"), folder.join("dataset.json")).unwrap();
    folder
}

/// Packs the files of `folder`, the test batch first and number 1 last, as the published Python
/// archive is in disorder too.
fn pack(folder: &Path, archive: &Path) {
    let encoder = GzEncoder::new(File::create(archive).unwrap(), Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    files.reverse();
    builder.append_dir(folder.file_name().unwrap(), folder).unwrap();
    for file in files {
        let name = Path::new(folder.file_name().unwrap()).join(file.file_name().unwrap());
        builder.append_path_with_name(&file, name).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap();
}

fn real_data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/cifar-10-batches-bin");
    if !folder.is_dir() {
        println!("skipped: {} is not there; `cargo xtask fetch-data` brings it", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn a_synthetic_set_is_opened_and_read() {
    let (dir, folder) = synthetic();
    let there = Cifar10::open(dir.path()).unwrap();
    assert_eq!((there.format(), there.path()), (Format::Binary, &*folder));
    there.verify().unwrap();
    let (train, test) = (there.train().unwrap(), there.test().unwrap());
    assert_eq!(train.class_counts(), [5 * N / 10; 10]);
    assert_eq!(test.class_counts(), [N / 10; 10]);
    let second = fs::read(folder.join("data_batch_2.bin")).unwrap();
    let record = &second[3 * RECORD_LEN..][..RECORD_LEN];
    assert_eq!((train.label(N + 3), train.image(N + 3)), (record[0], &record[1..]));
    assert_eq!(Cifar10::open(&folder).unwrap().train().unwrap(), train);
}

#[test]
fn every_form_holds_the_same_pictures() {
    let (dir, binary) = synthetic();
    let reference = Cifar10::open(&binary).unwrap();
    let facts = reference.facts().clone();
    let (train, test) = (reference.train().unwrap(), reference.test().unwrap());
    let check = |there: Cifar10, format: Format| {
        assert_eq!(there.format(), format);
        assert!(there.train().unwrap() == train, "{format} train");
        assert!(there.test().unwrap() == test, "{format} test");
        there.verify().unwrap();
    };
    let archive = dir.path().join("cifar-10-binary.tar.gz");
    pack(&binary, &archive);
    check(Cifar10::in_archive(&archive, facts.clone()).unwrap(), Format::BinaryArchive);
    for (i, dialect) in Dialect::ALL.into_iter().enumerate() {
        let dir = dir.path().join(i.to_string());
        fs::create_dir(&dir).unwrap();
        let python = as_python(&binary, &dir, dialect);
        check(Cifar10::open(&dir).unwrap(), Format::Python);
        check(Cifar10::open(&python).unwrap(), Format::Python);
        let archive = dir.join("cifar-10-python.tar.gz");
        pack(&python, &archive);
        check(Cifar10::in_archive(&archive, facts.clone()).unwrap(), Format::PythonArchive);
    }
}

#[test]
fn a_folder_with_just_an_archive_is_opened() {
    let (dir, binary) = synthetic();
    let archive = dir.path().join("cifar-10-binary.tar.gz");
    pack(&binary, &archive);
    assert_eq!(Cifar10::open(dir.path()).unwrap().format(), Format::Binary);
    fs::remove_dir_all(binary).unwrap();
    let there = Cifar10::open(dir.path()).unwrap();
    assert_eq!((there.format(), there.path()), (Format::BinaryArchive, &*archive));
    // The small batches are not the official ones, and an archive cannot say that it is small.
    let text = there.train().unwrap_err().to_string();
    assert!(text.contains(".bin has 61460 bytes, expected 30730000"), "{text}");
}

#[test]
fn an_empty_folder_names_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("not-there")] {
        let error = Cifar10::open(&path).unwrap_err();
        assert!(matches!(error, DataError::NotFound { .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(&*path.to_string_lossy()) && text.contains("fetch-data"), "{text}");
    }
}

#[test]
fn a_missing_batch_is_named() {
    for name in ["data_batch_1.bin", "data_batch_4.bin", "test_batch.bin"] {
        let (dir, folder) = synthetic();
        fs::remove_file(folder.join(name)).unwrap();
        let error = Cifar10::open(dir.path()).unwrap_err();
        assert!(matches!(&error, DataError::Missing { path } if *path == folder.join(name)));
    }
}

#[test]
fn a_truncated_batch_is_named_with_its_size() {
    let (dir, folder) = synthetic();
    let path = folder.join("data_batch_5.bin");
    File::options().write(true).open(&path).unwrap().set_len(50_000).unwrap();
    let text = Cifar10::open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("data_batch_5.bin has 50000 bytes, expected 61460"), "{text}");
}

#[test]
fn a_truncated_official_batch_is_no_small_one() {
    let (dir, folder) = synthetic();
    fs::remove_file(folder.join("dataset.json")).unwrap();
    let text = Cifar10::open(dir.path()).unwrap_err().to_string();
    assert!(text.contains("data_batch_1.bin has 61460 bytes, expected 30730000"), "{text}");
}

#[test]
fn label_10_is_named_with_its_record() {
    let (dir, folder) = synthetic();
    let path = folder.join("data_batch_3.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[7 * RECORD_LEN] = 10;
    fs::write(&path, bytes).unwrap();
    let there = Cifar10::open(dir.path()).unwrap();
    let text = there.train().unwrap_err().to_string();
    assert!(text.contains("data_batch_3.bin: record 7 has label 10, expected 0..=9"), "{text}");
    assert!(matches!(there.verify().unwrap_err(), DataError::Checksum { .. }));
    assert_eq!(there.test().unwrap().len(), N);
}

#[test]
fn classes_in_another_order_are_refused() {
    let (dir, folder) = synthetic();
    let mut names = CLASS_NAMES;
    fs::write(folder.join("batches.meta.txt"), names.join("\n") + "\n\n").unwrap();
    Cifar10::open(dir.path()).unwrap();
    names.swap(0, 1);
    fs::write(folder.join("batches.meta.txt"), names.join("\n")).unwrap();
    let error = Cifar10::open(dir.path()).unwrap_err();
    assert!(matches!(error, DataError::ClassNames { .. }), "{error:?}");
}

#[cfg(unix)]
#[test]
fn a_folder_without_rights_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, folder) = synthetic();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o000)).unwrap();
    let binds = fs::read_dir(&folder).is_err();
    let result = Cifar10::open(&folder);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    drop(dir);
    if !binds {
        println!("skipped: this user may read everything");
        return;
    }
    let error = result.unwrap_err();
    assert!(matches!(&error, DataError::Read { path, .. } if *path == folder), "{error:?}");
}

#[test]
fn a_damaged_archive_is_named() {
    let (dir, binary) = synthetic();
    let facts = Cifar10::open(&binary).unwrap().facts().clone();
    let archive = dir.path().join("a.tar.gz");
    pack(&binary, &archive);
    let len = fs::metadata(&archive).unwrap().len();
    File::options().write(true).open(&archive).unwrap().set_len(len / 2).unwrap();
    let error = Cifar10::in_archive(&archive, facts).unwrap().train().unwrap_err();
    let text = error.to_string();
    assert!(text.contains("a.tar.gz"), "{text}");
    fs::write(&archive, "this is no gzip").unwrap();
    let error = Cifar10::open(&archive).unwrap_err();
    assert!(matches!(&error, DataError::Archive { path, .. } if *path == archive), "{error:?}");
}

#[test]
fn an_archive_without_a_batch_is_named() {
    let (dir, binary) = synthetic();
    let facts = Cifar10::open(&binary).unwrap().facts().clone();
    let archive = dir.path().join("a.tar.gz");
    fs::remove_file(binary.join("data_batch_2.bin")).unwrap();
    pack(&binary, &archive);
    let error = Cifar10::in_archive(&archive, facts).unwrap().train().unwrap_err();
    assert!(matches!(&error, DataError::Missing { path } if path.ends_with("data_batch_2.bin")));
    let other = dir.path().join("cifar-100-binary");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("train.bin"), "").unwrap();
    pack(&other, &archive);
    assert!(matches!(Cifar10::open(&archive), Err(DataError::OtherArchive { .. })));
}

/// The published constants, rounded as they are usually quoted.
#[test]
fn statistics_of_the_training_pictures_are_the_published_ones() {
    let Some(folder) = real_data() else { return };
    let train = Cifar10::open(&folder).unwrap().train().unwrap();
    assert_eq!(train.class_counts(), [5_000; 10]);
    let got = train.channel_statistics();
    for (got, want) in got.mean.iter().zip([0.4914, 0.4822, 0.4465]) {
        assert!((got - want).abs() < 5e-5, "mean {got}, want {want}");
    }
    for (got, want) in got.std.iter().zip([0.2470, 0.2435, 0.2616]) {
        assert!((got - want).abs() < 5e-5, "std {got}, want {want}");
    }
}

/// The first pictures of the published set: a frog, two trucks, a deer, an automobile.
#[test]
fn the_real_batches_verify() {
    let Some(folder) = real_data() else { return };
    let there = Cifar10::open(&folder).unwrap();
    there.verify().unwrap();
    assert_eq!(there.train().unwrap().labels()[..5], [6, 9, 9, 4, 1]);
    assert_eq!(there.test().unwrap().class_counts(), [1_000; 10]);
}
