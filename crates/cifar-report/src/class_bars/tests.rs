use super::*;
use crate::drawing::Mark;
use crate::probe::{assert_margin_is_blank, texts};

fn bars(classes: &[ClassMetrics]) -> (Drawing, Vec<String>) {
    let names: Vec<String> = (0..classes.len()).map(|class| format!("class {class}")).collect();
    (class_bars("Run", &names, classes), names)
}

#[test]
fn every_class_has_three_bars_as_long_as_their_figures() {
    let class =
        ClassMetrics { precision: Some(0.25), recall: Some(1.0), f1: Some(0.4), support: 9 };
    let absent = ClassMetrics { precision: None, recall: None, f1: None, support: 0 };
    let (drawing, names) = bars(&[class, absent]);
    let width = |wanted| {
        let of_colour = |mark: &Mark| match mark {
            Mark::Fill { rect, colour } if *colour == wanted => Some(rect.width),
            _ => None,
        };
        // The first is the legend's.
        drawing.marks.iter().filter_map(of_colour).skip(1).collect::<Vec<_>>()
    };
    let full = width(SECOND)[0];
    assert_eq!(width(SECOND), [full, 0]);
    assert_eq!(width(DATA), [(f64::from(full) * 0.25).round() as u32, 0]);
    let texts = texts(&drawing);
    assert_eq!(texts[1], "means over the classes: precision 25.0%, recall 100.0%, F1 40.0%");
    assert_eq!(texts.iter().filter(|&&text| text == "-").count(), 3, "undefined is not zero");
    for wanted in ["precision", "recall", "F1", "percent", "100.0%", &names[0], &names[1]] {
        assert!(texts.contains(&wanted), "{wanted} in {texts:?}");
    }
    assert_margin_is_blank(&drawing.to_image());
}

#[test]
fn no_class_at_all_is_drawn_too() {
    let (drawing, _) = bars(&[]);
    assert_eq!(texts(&drawing)[1], "means over the classes: precision -, recall -, F1 -");
    assert_margin_is_blank(&drawing.to_image());
}
