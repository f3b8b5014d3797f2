use super::*;
use crate::probe::{assert_centred, assert_margin_is_blank, ink, texts};
use crate::theme::PAPER;

fn header(title: &str) -> Header<'_> {
    Header { title, subtitle: String::new() }
}

/// Pictures of one grey each, so that every one is recognised by its colour.
fn greys(n_pictures: u8) -> Vec<Vec<u8>> {
    (0..n_pictures).map(|index| vec![10 * index; PICTURE_BYTES]).collect()
}

fn with_caption<'a>(pixels: &'a [Vec<u8>], caption: &str) -> Vec<Picture<'a>> {
    pixels.iter().map(|pixels| Picture { pixels, caption: caption.to_owned() }).collect()
}

#[test]
fn pictures_go_row_by_row_with_their_captions_centred_below() {
    let data = greys(7);
    let pictures = with_caption(&data, "automobile");
    let image = picture_grid("Samples", &pictures, 3).to_image();
    let layout = Layout::new(&header("Samples"), 7, 1, 3);
    let side = 32 * 5;
    assert_eq!(image.width(), 2 * MARGIN + 3 * side + 2 * CELL_GAP);
    for index in 0..7 {
        let cell = layout.cell(index);
        assert_eq!((cell.width, cell.height), (side, side));
        assert_eq!(cell.x, MARGIN + index % 3 * (side + CELL_GAP));
        let grey = image::Rgb([10 * index as u8; 3]);
        assert_eq!(ink(&image, cell, grey), None, "picture {index} fills its cell");

        let below = Rect::new(cell.x - 8, cell.bottom(), side + 16, ROW);
        let caption = ink(&image, below, PAPER).expect("a caption under the picture");
        assert_centred(caption, cell);
    }
    assert_eq!(layout.cell(3).x, layout.cell(0).x);
    assert!(layout.cell(3).y >= layout.caption(0, 0).bottom());
    assert_margin_is_blank(&image);
}

#[test]
fn a_long_caption_stays_under_its_picture() {
    let data = greys(20);
    let pictures = with_caption(&data, "a caption that is longer than its picture is wide");
    let image = picture_grid("", &pictures, 10).to_image();
    let layout = Layout::new(&header(""), 20, 1, 10);
    for index in 0..9 {
        let (caption, next) = (layout.caption(index, 0), layout.caption(index + 1, 0));
        let between =
            Rect::new(caption.right(), caption.y, next.x - caption.right(), caption.height);
        assert!(ink(&image, caption, PAPER).is_some());
        assert_eq!(ink(&image, between, PAPER), None, "between {index} and its neighbour");
    }
}

#[test]
fn the_title_is_never_cut_by_a_narrow_grid() {
    let data = greys(1);
    let title = "Forty characters do not fit one picture.";
    let image = picture_grid(title, &with_caption(&data, ""), 5).to_image();
    assert_eq!(image.width(), 2 * MARGIN + crate::theme::TITLE.width_of(title));
    let title_row = Rect::new(0, 0, image.width(), MARGIN + 32);
    assert!(ink(&image, title_row, PAPER).unwrap().right() > image.width() - MARGIN - 11);
    assert_margin_is_blank(&image);
}

#[test]
fn a_title_beyond_all_measure_is_shortened() {
    let image = picture_grid(&"word ".repeat(100), &[], 1).to_image();
    assert_eq!(image.width(), 2 * MARGIN + 960);
    assert_margin_is_blank(&image);
}

#[test]
fn fewer_columns_are_enlarged_more_and_empty_captions_take_no_room() {
    let data = greys(20);
    let scale = |columns| Layout::new(&header(""), 20, 1, columns).scale;
    assert_eq!([1, 5, 6, 8, 10, 20].map(scale), [5, 5, 4, 3, 3, 3]);
    let height = |caption| picture_grid("", &with_caption(&data, caption), 10).height();
    assert_eq!(height("cat") - height(""), 2 * ROW);
}

#[test]
fn a_prediction_tells_both_classes_and_a_wrong_one_looks_different() {
    let data = greys(2);
    let prediction =
        |pixels, predicted| Prediction { pixels, truth: "cat", predicted, probability: 0.874 };
    let drawing =
        prediction_grid("Run", &[prediction(&data[0], "cat"), prediction(&data[1], "dog")], 6);
    assert_eq!(
        texts(&drawing),
        [
            "Run",
            "1 of 2 right; below each the true class",
            "cat 87%",
            "is cat",
            "dog 87%",
            "is cat"
        ]
    );
    let image = drawing.to_image();
    let has = |colour| image.pixels().any(|&pixel| pixel == colour);
    assert!(has(DATA) && has(SECOND));
    assert_margin_is_blank(&image);
}

#[test]
fn nothing_is_cut_off_in_any_shape() {
    let data = greys(11);
    for n_pictures in 0..=11 {
        for columns in [1, 2, 5, 7, 12] {
            let pictures = with_caption(&data[..n_pictures], "automobile");
            assert_margin_is_blank(&picture_grid("Samples", &pictures, columns).to_image());
        }
    }
}

#[test]
#[should_panic = "at least one column"]
fn no_columns_are_refused() {
    picture_grid("", &[], 0);
}

#[test]
#[should_panic = "picture 1 has a wrong number of bytes"]
fn a_picture_of_another_size_is_refused() {
    let (right, wrong) = (vec![0; PICTURE_BYTES], vec![0; PICTURE_BYTES - 1]);
    let pictures = [&right, &wrong].map(|pixels| Picture { pixels, caption: String::new() });
    picture_grid("", &pictures, 2);
}
