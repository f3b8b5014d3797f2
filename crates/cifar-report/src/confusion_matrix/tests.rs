use image::RgbImage;

use super::*;
use crate::probe::{assert_centred, assert_margin_is_blank, ink, texts};
use crate::theme::{PAPER, luminance};

const CIFAR: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

/// A row of the matrix is `(truth, [(predicted, count)])`.
fn matrix(n_classes: usize, rows: &[(usize, &[(usize, usize)])]) -> ConfusionMatrix {
    let mut matrix = ConfusionMatrix::new(n_classes);
    for &(truth, counts) in rows {
        for &(predicted, count) in counts {
            (0..count).for_each(|_| matrix.add(truth, predicted));
        }
    }
    matrix
}

fn draw(class_names: &[&str], matrix: &ConfusionMatrix) -> (RgbImage, Layout) {
    let class_names: Vec<String> = class_names.iter().map(|&name| name.to_owned()).collect();
    let image = confusion_matrix("Test set", &class_names, matrix, CellText::Count).to_image();
    let header = Header { title: "Test set", subtitle: subtitle(matrix) };
    let layout = Layout::new(&header, &class_names, matrix);
    (image, layout)
}

/// The colour of a cell, taken from its corner, where no text is.
fn colour(image: &RgbImage, cell: Rect) -> image::Rgb<u8> {
    *image.get_pixel(cell.x, cell.y)
}

#[test]
fn rows_are_the_true_class_and_a_bigger_share_is_darker() {
    let matrix = matrix(3, &[(0, &[(0, 6), (1, 3), (2, 1)]), (1, &[(1, 60)]), (2, &[(0, 1)])]);
    let (image, layout) = draw(&["cat", "dog", "frog"], &matrix);
    let at = |truth, predicted| luminance(colour(&image, layout.cell(truth, predicted)));
    assert!(at(0, 0) < at(0, 1) && at(0, 1) < at(0, 2));
    assert!(at(1, 1) < at(0, 0), "60 of 60 is a bigger share than 6 of 10");
    assert_eq!(at(2, 0), at(1, 1), "1 of 1 is the same share as 60 of 60");
    assert_eq!(at(1, 0), luminance(share_colour(0.0)));

    assert!(layout.cell(0, 2).x > layout.cell(0, 1).x, "predictions go to the right");
    assert!(layout.cell(2, 0).y > layout.cell(1, 0).y, "true classes go down");
}

#[test]
fn every_cell_holds_a_legible_count_in_its_middle() {
    let rows: Vec<(usize, usize, usize)> =
        (0..10).flat_map(|t| (0..10).map(move |p| (t, p, t * p * p))).collect();
    let mut all = ConfusionMatrix::new(10);
    for (truth, predicted, count) in rows {
        (0..count).for_each(|_| all.add(truth, predicted));
    }
    let (image, layout) = draw(&CIFAR, &all);
    for truth in 0..10 {
        for predicted in 0..10 {
            let cell = layout.cell(truth, predicted);
            let background = colour(&image, cell);
            let number = ink(&image, cell, background).expect("a count");
            assert_centred(number, cell);
            let n_digits = all.count(truth as usize, predicted as usize).to_string().len() as u32;
            let width = LABEL.char_width() * n_digits;
            assert!(number.width <= width && number.width + 5 >= width, "{truth}, {predicted}");
            let best = (cell.y..cell.bottom())
                .flat_map(|y| (cell.x..cell.right()).map(move |x| (x, y)))
                .map(|(x, y)| crate::theme::contrast(*image.get_pixel(x, y), background))
                .fold(0.0, f64::max);
            assert!(best >= 4.5, "contrast {best} at {truth}, {predicted}");
        }
    }
}

#[test]
fn names_stand_beside_the_rows_and_below_the_columns() {
    let (image, layout) = draw(&CIFAR, &matrix(10, &[(0, &[(0, 1)])]));
    for (class, name) in (0..).zip(CIFAR) {
        let row = ink(&image, layout.row_name(class), PAPER).expect("a row name");
        assert!(layout.plot.x - row.right() <= GAP + 2, "{name} ends at the matrix");
        assert!(layout.row_name(class).width >= LABEL.width_of(name));

        let cell = layout.cell(0, class);
        let below = Rect { y: layout.plot.bottom() + GAP, height: ROW, ..cell };
        let column = ink(&image, below, PAPER).expect("a column name");
        assert_centred(column, cell);
        assert!(column.x > cell.x && column.right() < cell.right(), "{name} stays in its column");
    }
    let titles = [
        Rect::new(MARGIN, layout.plot.y, ROW, layout.plot.height),
        Rect::new(layout.plot.x, layout.plot.bottom() + GAP + ROW, layout.plot.width, ROW),
        Rect::new(layout.legend.right() - ROW, layout.plot.y, ROW, layout.plot.height),
    ];
    for title in titles {
        assert!(ink(&image, title, PAPER).is_some(), "an axis title in {title:?}");
    }
}

#[test]
fn the_legend_runs_from_light_to_dark_over_the_height_of_the_matrix() {
    let (image, layout) = draw(&CIFAR, &matrix(10, &[(0, &[(0, 1)])]));
    let (x, plot) = (layout.legend.x, layout.plot);
    assert!(x >= plot.right() + GAP);
    assert_eq!(*image.get_pixel(x, plot.y), share_colour(1.0));
    assert_eq!(*image.get_pixel(x, plot.bottom() - 1), share_colour(0.0));
    assert_eq!(*image.get_pixel(x, plot.bottom()), PAPER);
}

#[test]
fn the_cells_fill_the_area_exactly() {
    for n_classes in 1..=12 {
        let (_, layout) = draw(&vec!["cat"; n_classes], &ConfusionMatrix::new(n_classes));
        let last = layout.cell(n_classes as u32 - 1, n_classes as u32 - 1);
        assert_eq!((last.right(), last.bottom()), (layout.plot.right(), layout.plot.bottom()));
        assert_eq!((layout.cell(0, 0).x, layout.cell(0, 0).y), (layout.plot.x, layout.plot.y));
    }
}

#[test]
fn the_accuracy_stands_under_the_title() {
    let two_thirds = matrix(2, &[(0, &[(0, 1000), (1, 500)])]);
    assert_eq!(subtitle(&two_thirds), "accuracy 66.67%: 1,000 of 1,500 right");
    assert_eq!(subtitle(&ConfusionMatrix::new(2)), "no samples");
    let (image, _) = draw(&["cat", "dog"], &two_thirds);
    let row = Rect::new(MARGIN, MARGIN + 32, image.width() - 2 * MARGIN, ROW);
    assert!(ink(&image, row, PAPER).is_some());
}

#[test]
fn nothing_is_cut_off_in_any_shape() {
    for n_classes in 0..=12 {
        for (name, count) in [("x", 0), ("automobile", 1000), ("a very long class name", 12_345)] {
            let mut all = ConfusionMatrix::new(n_classes);
            (0..n_classes).for_each(|class| (0..count).for_each(|_| all.add(class, 0)));
            let (image, layout) = draw(&vec![name; n_classes], &all);
            assert_margin_is_blank(&image);
            for class in 1..n_classes as u32 {
                let (left, right) = (layout.column_name(class - 1), layout.column_name(class));
                let between = Rect::new(left.right() - 1, left.y, CELL_GAP + 2, ROW);
                assert_eq!(left.right() + CELL_GAP, right.x);
                assert_eq!(ink(&image, between, PAPER), None, "names {class} touch");
            }
        }
    }
}

#[test]
#[should_panic = "one name per class"]
fn a_matrix_without_names_is_refused() {
    confusion_matrix("", &[], &ConfusionMatrix::new(2), CellText::Count);
}

#[test]
fn percents_are_of_the_row() {
    let matrix = matrix(2, &[(0, &[(0, 2), (1, 1)]), (1, &[(1, 40)])]);
    let names = ["cat", "dog"].map(String::from);
    let drawing = confusion_matrix("", &names, &matrix, CellText::Percent);
    let texts: Vec<_> = texts(&drawing).into_iter().filter(|text| text.contains('.')).collect();
    assert_eq!(texts, ["accuracy 97.67%: 42 of 43 right", "66.7%", "33.3%", "100.0%"]);
}
