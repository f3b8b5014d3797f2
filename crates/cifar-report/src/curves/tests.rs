use super::*;
use crate::drawing::Mark;
use crate::probe::{assert_margin_is_blank, paths, texts};

fn steps(n: usize, value: impl Fn(usize) -> f64) -> Vec<StepPoint> {
    let step = |step| StepPoint {
        step,
        loss: value(step),
        accuracy: 0.5,
        learning_rate: 0.01,
        gradient_norm: value(step),
    };
    (1..=n).map(step).collect()
}

fn epoch(epoch: u32, accuracy: f64) -> EpochPoint {
    EpochPoint { epoch, step: 200 * epoch as usize, loss: 1.5, accuracy }
}

fn names(drawing: &Drawing) -> Vec<&str> {
    paths(drawing).iter().map(|path| path.name.as_str()).collect()
}

/// Everything is on the page, in pixels that are numbers.
fn assert_sound(drawing: &Drawing) {
    let on_page = |&(x, y): &Point| {
        let inside = |value: f64, end: u32| (0.0..=f64::from(end)).contains(&value);
        inside(x, drawing.width()) && inside(y, drawing.height())
    };
    assert!(paths(drawing).iter().all(|path| path.points.iter().all(on_page)));
    for mark in &drawing.marks {
        assert!(!matches!(mark, Mark::Dot { centre, .. } if !on_page(centre)));
    }
    assert_margin_is_blank(&drawing.to_image());
}

#[test]
fn the_history_has_two_panels_one_legend_and_the_best_epoch() {
    let validation = [epoch(1, 0.4), epoch(2, 0.6), epoch(3, 0.6)];
    let drawing = training_history("Run", &steps(600, |s| 2.0 / s as f64), &validation);
    let legend =
        ["training, each step", "mean of 13 steps", "validation, each epoch", "best epoch (2)"];
    let loss =
        ["best epoch (2)", "training, each step", "mean of 13 steps", "validation, each epoch"];
    let accuracy = ["best epoch (2)", "mean of 13 steps", "validation, each epoch"];
    assert_eq!(names(&drawing), [&legend[..], &loss, &accuracy].concat());
    let texts = texts(&drawing);
    assert_eq!(texts[..2], ["Run", "best validation accuracy 60.00% after epoch 2"]);
    for title in ["loss (nats)", "accuracy (%)", "optimiser steps"] {
        assert!(texts.contains(&title), "{title} in {texts:?}");
    }
    assert!(legend.iter().all(|entry| texts.contains(entry)));
    // The samples of the legend lie above all data.
    let paths = paths(&drawing);
    let top = |index: usize| paths[index].points.iter().map(|p| p.1).fold(f64::MAX, f64::min);
    assert!((0..4).all(|entry| (4..paths.len()).all(|data| top(entry) < top(data))));
    assert_sound(&drawing);
}

#[test]
fn without_validation_there_is_no_best_epoch() {
    let drawing = training_history("Run", &steps(20, |s| s as f64), &[]);
    assert_eq!(names(&drawing), ["training, each step"; 3], "in the legend and in both panels");
    assert!(texts(&drawing).contains(&"no validation images were held out"));
    assert_sound(&drawing);
}

#[test]
fn the_learning_rate_starts_its_axis_at_zero_and_a_norm_is_logarithmic() {
    let drawing = learning_rate("Run", &steps(50, |_| 1.0));
    assert_eq!(names(&drawing), ["learning rate"; 2]);
    let at_step = paths(&drawing)[1].points.len();
    assert!(at_step >= 50 && texts(&drawing).contains(&"0.010"), "{:?}", texts(&drawing));

    let drawing = gradient_norm("Run", &steps(50, |s| 10_f64.powi(s as i32 % 4)));
    assert!(["1", "10", "100", "1,000"].iter().all(|tick| texts(&drawing).contains(tick)));
    assert_sound(&drawing);
}

#[test]
fn degenerate_runs_draw_something_sensible() {
    let n_dots = |drawing: &Drawing| {
        drawing.marks.iter().filter(|mark| matches!(mark, Mark::Dot { .. })).count()
    };
    for (n, value) in
        [(0, 1.0), (1, 2.3), (2, 0.0), (300, 0.0), (300, f64::NAN), (9, f64::INFINITY)]
    {
        for validation in [&[][..], &[epoch(1, 0.0)], &[epoch(1, f64::NAN)]] {
            let steps = steps(n, |_| value);
            let drawings = [
                training_history("Run", &steps, validation),
                learning_rate("Run", &steps),
                gradient_norm("Run", &steps),
            ];
            drawings.iter().for_each(assert_sound);
        }
    }
    assert_eq!(n_dots(&training_history("Run", &steps(1, |_| 2.3), &[])), 2, "a step is a dot");
    let zeros = gradient_norm("Run", &steps(300, |_| 0.0));
    assert!(texts(&zeros).contains(&"before clipping; 300 steps with a norm of 0 or none"));
}
