use image::{Rgb, RgbImage};

use super::*;
use crate::probe::{assert_centred, assert_margin_is_blank, ink};

const CIFAR: [&str; 10] =
    ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"];

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn draw(class_names: &[&str], counts: &[usize]) -> (RgbImage, Layout) {
    let class_names = names(class_names);
    let image = class_distribution("Training set", &class_names, counts).to_image();
    let counts: Vec<u64> = counts.iter().map(|&count| count as u64).collect();
    let header = Header { title: "Training set", subtitle: subtitle(&counts) };
    let layout = Layout::new(&header, &class_names, &counts);
    (image, layout)
}

/// Number of pixels of the data's colour in the middle column of a slot, and the topmost of them.
fn probe_bar(image: &RgbImage, slot: Rect) -> (u32, Option<u32>) {
    let x = slot.x + slot.width / 2;
    let rows: Vec<u32> = (0..image.height()).filter(|&y| *image.get_pixel(x, y) == DATA).collect();
    (rows.len() as u32, rows.first().copied())
}

#[test]
fn bars_are_as_high_as_their_counts() {
    let counts = [5000, 4230, 3, 0, 1200, 4999, 2500, 999, 3333, 12];
    let (image, layout) = draw(&CIFAR, &counts);
    for (class, count) in (0..).zip(counts) {
        let (height, top) = probe_bar(&image, layout.slot(class));
        let exact = f64::from(PLOT_HEIGHT) * count as f64 / 5000.0;
        if count == 0 {
            assert_eq!(height, 0);
        } else {
            assert!((f64::from(height) - exact).abs() <= 0.5 || height == 1, "{class}: {height}");
            assert_eq!(top, Some(layout.plot.bottom() - height), "stands on the axis");
        }
    }
}

#[test]
fn every_bar_has_its_count_above_and_its_name_below() {
    let counts = [5000, 4230, 3, 0, 1200, 4999, 2500, 999, 3333, 12];
    let (image, layout) = draw(&CIFAR, &counts);
    for (class, count) in (0..).zip(counts) {
        let slot = layout.slot(class);
        let bar_top = layout.bar(class, count as u64).y;
        let label = layout.count_label(class, count as u64, &grouped(count as u64));
        assert!(label.bottom() <= bar_top && bar_top - label.y <= ROW);
        assert_centred(ink(&image, label, PAPER).expect("a count"), slot);

        let below = Rect::new(slot.x, slot.bottom() + GAP, slot.width, ROW);
        let name = ink(&image, below, PAPER).expect("a name");
        assert_centred(name, slot);
        assert!(name.x > slot.x && name.right() < slot.right(), "{class} keeps off its neighbours");
    }
}

#[test]
fn the_ten_classes_fit_a_page_with_their_names_whole() {
    let (image, layout) = draw(&CIFAR, &[5000; 10]);
    assert!((800..=920).contains(&image.width()), "{}", image.width());
    for (class, name) in (0..).zip(CIFAR) {
        assert!(layout.name(class).width >= LABEL.width_of(name), "{name}");
    }
    assert_eq!(subtitle(&[5000; 10]), "50,000 images in 10 classes");
}

#[test]
fn ticks_stand_at_round_counts_next_to_their_lines() {
    let (image, layout) = draw(&CIFAR, &[4321; 10]);
    assert_eq!((layout.tick_step, layout.axis_top), (1000, 5000));
    for tick in (0..=5000_u64).step_by(1000) {
        let y = layout.plot.bottom() - (layout.plot.height * tick as u32) / 5000;
        let line: Rgb<u8> = *image.get_pixel(layout.plot.x, y);
        assert_eq!(line, if tick == 0 { AXIS } else { GRID }, "{tick}");
        let beside = Rect::new(MARGIN + ROW, y - 8, layout.plot.x - MARGIN - ROW, 16);
        let label = ink(&image, beside, PAPER).expect("a tick label");
        let width = TICK.width_of(&grouped(tick));
        assert!(label.width <= width && label.width + 4 >= width, "{tick}: {label:?}");
    }
    let title = Rect::new(MARGIN, layout.plot.y, ROW, layout.plot.height);
    assert!(ink(&image, title, PAPER).is_some(), "the axis says what it counts");
}

#[test]
fn ticks_are_few_and_round_and_reach_the_largest_count() {
    let cases =
        [(0, (1, 1)), (1, (1, 1)), (6, (1, 6)), (7, (2, 8)), (13, (5, 15)), (5000, (1000, 5000))];
    for (max, want) in cases {
        assert_eq!(ticks(max), want, "{max}");
    }
    for max in (0..200_000).step_by(37).chain([u64::MAX / 2]) {
        let (step, top) = ticks(max);
        assert!(top >= max && top % step == 0 && top / step <= u64::from(MAX_INTERVALS), "{max}");
        assert!(max == 0 || top - max < step, "{max}: no empty interval at the top");
    }
}

#[test]
fn a_long_name_is_shortened_within_its_slot() {
    let (image, layout) = draw(&["cat", "a very long class name indeed", "dog"], &[3, 7, 5]);
    for class in 0..3 {
        let slot = layout.slot(class);
        let edge = Rect::new(slot.x, slot.bottom() + GAP, 2, ROW);
        assert_eq!(ink(&image, edge, PAPER), None, "left edge of slot {class}");
    }
    assert_margin_is_blank(&image);
}

#[test]
fn nothing_is_cut_off_in_any_shape() {
    for n_classes in 0..=12 {
        for (name, count) in [("x", 0), ("automobile", 5000), ("a very long class name", 123_456)] {
            let (image, _) = draw(&vec![name; n_classes], &vec![count; n_classes]);
            assert_margin_is_blank(&image);
        }
    }
}

#[test]
#[should_panic = "one count per class name"]
fn counts_without_names_are_refused() {
    class_distribution("", &names(&["cat"]), &[1, 2]);
}
