use std::io::ErrorKind;

use cifar_testkit::names_in;

use super::*;
use crate::canvas::Canvas;
use crate::rect::Rect;
use crate::theme::DATA;

fn picture(seed: u8) -> Drawing {
    let mut canvas = Canvas::new("", 40, 30);
    canvas.fill(Rect::new(u32::from(seed), 3, 5, 8), DATA);
    canvas.into_drawing()
}

#[test]
fn saves_what_can_be_read_back_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    picture(1).save(&path, Format::Png).unwrap();
    assert_eq!(image::open(&path).unwrap().to_rgb8(), picture(1).to_image());
    picture(2).save(&path, Format::Png).unwrap();
    assert_eq!(
        image::open(&path).unwrap().to_rgb8(),
        picture(2).to_image(),
        "the old picture is replaced"
    );
    assert_eq!(names_in(folder.path()), ["picture.png"]);
}

#[test]
fn a_place_that_cannot_be_written_to_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent/picture.png");
    let places = [
        (folder.path(), ErrorKind::IsADirectory, "name a file in it"),
        (Path::new("/"), ErrorKind::IsADirectory, "name a file in it"),
        (Path::new(""), ErrorKind::IsADirectory, "name a file in it"),
        (&absent, ErrorKind::NotFound, "create it first"),
    ];
    for (path, kind, remedy) in places {
        let error = picture(0).save(path, Format::Png).unwrap_err();
        assert_eq!((error.path.as_path(), error.source.kind()), (path, kind));
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        assert!(error.source.to_string().contains(remedy), "{error:?}");
    }
    assert_eq!(names_in(folder.path()), [""; 0]);
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // No file system takes such a name.
    let path = folder.path().join("x".repeat(300));
    let error = picture(0).save(&path, Format::Png).unwrap_err();
    assert_eq!(error.source.kind(), ErrorKind::InvalidFilename);
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(names_in(folder.path()), [""; 0]);
}
