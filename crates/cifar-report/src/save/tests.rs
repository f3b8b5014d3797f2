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
fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent").join("picture.png");
    let error = picture(0).save(&path, Format::Png).unwrap_err();
    assert!(matches!(error, ReportError::MissingFolder { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()) && text.contains("create it first"), "{text}");
    assert_eq!(names_in(folder.path()), [""; 0]);
}

#[test]
fn a_path_that_is_a_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), Path::new("/"), Path::new("")] {
        let error = picture(0).save(path, Format::Png).unwrap_err();
        assert!(matches!(error, ReportError::IsFolder { .. }), "{error:?}");
    }
    assert_eq!(names_in(folder.path()), [""; 0]);
}

#[test]
fn a_failed_write_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    // No file system takes such a name.
    let path = folder.path().join("x".repeat(300));
    let error = picture(0).save(&path, Format::Png).unwrap_err();
    assert!(matches!(error, ReportError::Write { .. }), "{error:?}");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(names_in(folder.path()), [""; 0]);
}
