//! What went on during training, over its optimiser steps.

use image::Rgb;

use crate::axis::Axis;
use crate::chart::{Chart, HALF_HEIGHT, Marker, Panel, WHOLE_HEIGHT, values};
use crate::drawing::{Drawing, Point, Stroke};
use crate::frame::BOLD;
use crate::header::Header;
use crate::series::{Series, smooth, smoothing_window};
use crate::text::grouped;
use crate::theme::{DATA, MUTED, PAGE_WIDTH, SECOND, pale};

/// One optimiser step. A figure that is not finite is left out of the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepPoint {
    /// Steps done, this one included.
    pub step: usize,
    /// Mean loss of the batch, in nats.
    pub loss: f64,
    /// Fraction of the batch classified right.
    pub accuracy: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Global norm of the gradient.
    pub gradient_norm: f64,
}

/// The validation after an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochPoint {
    /// The epoch, counted from 1.
    pub epoch: u32,
    /// Steps done at its end.
    pub step: usize,
    /// Mean loss on the validation images, in nats.
    pub loss: f64,
    /// Fraction of the validation images classified right.
    pub accuracy: f64,
}

pub(crate) const STEPS: &str = "optimiser steps";
const BEST: Stroke = Stroke { colour: MUTED, width: 1.5, dashed: true };

/// Loss and accuracy, one above the other: the batches' loss pale with its running mean, the
/// validation after each epoch where there was one, and the epoch with the best accuracy.
pub fn training_history(title: &str, steps: &[StepPoint], validation: &[EpochPoint]) -> Drawing {
    history_chart(title, steps, validation).draw(PAGE_WIDTH)
}

pub(crate) fn history_chart<'a>(
    title: &'a str,
    steps: &[StepPoint],
    validation: &[EpochPoint],
) -> Chart<'a> {
    let loss = points(steps, |step| step.loss);
    let accuracy = points(steps, |step| 100.0 * step.accuracy);
    let window = smoothing_window(steps.len());
    let mean = |points: &[Point]| Series {
        name: mean_name(window),
        stroke: line(DATA),
        dots: false,
        points: smooth(points, window),
    };
    let validated = |value: fn(&EpochPoint) -> f64| Series {
        name: "validation, each epoch".to_owned(),
        stroke: line(SECOND),
        dots: true,
        points: validation.iter().map(|epoch| (epoch.step as f64, value(epoch))).collect(),
    };
    let mut loss_series = vec![mean(&loss)];
    if window > 1 {
        loss_series.insert(0, each_step("training, each step", loss));
    }
    let mut accuracy_series = vec![mean(&accuracy)];
    if !validation.is_empty() {
        loss_series.push(validated(|epoch| epoch.loss));
        accuracy_series.push(validated(|epoch| 100.0 * epoch.accuracy));
    }
    let panels = [
        Panel { y: Axis::linear("loss (nats)", values(&loss_series)), series: loss_series },
        Panel {
            y: Axis::linear("accuracy (%)", values(&accuracy_series)),
            series: accuracy_series,
        },
    ];
    let subtitle = match best(validation) {
        Some(best) => format!(
            "best validation accuracy {:.2}% after epoch {}",
            100.0 * best.accuracy,
            best.epoch
        ),
        None => "no validation images were held out".to_owned(),
    };
    let marker = best(validation).map(|best| Marker {
        at: best.step as f64,
        text: format!("best epoch ({})", best.epoch),
        stroke: BEST,
    });
    Chart {
        header: Header { title, subtitle },
        x_title: STEPS,
        last: last(steps),
        panels: panels.into(),
        panel_height: HALF_HEIGHT,
        marker,
    }
}

/// The learning rate of every step.
pub fn learning_rate(title: &str, steps: &[StepPoint]) -> Drawing {
    rate_chart(title, steps).draw(PAGE_WIDTH)
}

pub(crate) fn rate_chart<'a>(title: &'a str, steps: &[StepPoint]) -> Chart<'a> {
    let rates = points(steps, |step| step.learning_rate);
    let series =
        Series { name: "learning rate".to_owned(), stroke: line(DATA), dots: false, points: rates };
    let finite = series.points.iter().map(|point| point.1).filter(|rate| rate.is_finite());
    let peak = finite.fold(0.0, f64::max);
    // From 0, so that a constant looks constant and a decay to nothing ends at the bottom; with
    // some room above the peak.
    let y = Axis::linear("learning rate", [0.0, 1.05 * peak].into_iter());
    let header = Header { title, subtitle: format!("highest {}", four_digits(peak)) };
    Chart {
        header,
        x_title: STEPS,
        last: last(steps),
        panels: vec![Panel { y, series: vec![series] }],
        panel_height: WHOLE_HEIGHT,
        marker: None,
    }
}

/// The global norm of every step's gradient on a logarithmic axis, pale, with its running mean.
pub fn gradient_norm(title: &str, steps: &[StepPoint]) -> Drawing {
    norm_chart(title, steps).draw(PAGE_WIDTH)
}

pub(crate) fn norm_chart<'a>(title: &'a str, steps: &[StepPoint]) -> Chart<'a> {
    let norms = points(steps, |step| step.gradient_norm);
    let n_drawn = norms.iter().filter(|norm| norm.1 > 0.0 && norm.1.is_finite()).count();
    let n_absent = norms.len() - n_drawn;
    let subtitle = match n_absent {
        0 => "before clipping".to_owned(),
        _ => {
            format!("before clipping; {} steps with a norm of 0 or none", grouped(n_absent as u64))
        }
    };
    let window = smoothing_window(steps.len());
    let mean = Series {
        name: mean_name(window),
        stroke: line(DATA),
        dots: false,
        points: smooth(&norms, window),
    };
    let mut series = vec![mean];
    if window > 1 {
        series.insert(0, each_step("each step", norms));
    }
    let y = Axis::logarithmic("gradient norm", values(&series));
    Chart {
        header: Header { title, subtitle },
        x_title: STEPS,
        last: last(steps),
        panels: vec![Panel { y, series }],
        panel_height: WHOLE_HEIGHT,
        marker: None,
    }
}

/// `value` rounded to four significant digits.
fn four_digits(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn last(steps: &[StepPoint]) -> usize {
    steps.iter().map(|step| step.step).max().unwrap_or(0)
}

fn points(steps: &[StepPoint], value: impl Fn(&StepPoint) -> f64) -> Vec<Point> {
    steps.iter().map(|step| (step.step as f64, value(step))).collect()
}

pub(crate) fn line(colour: Rgb<u8>) -> Stroke {
    Stroke { colour, width: BOLD, dashed: false }
}

fn each_step(name: &str, points: Vec<Point>) -> Series {
    let stroke = Stroke { colour: pale(DATA), width: 1.0, dashed: false };
    Series { name: name.to_owned(), stroke, dots: false, points }
}

fn mean_name(window: usize) -> String {
    match window {
        1 => "training, each step".to_owned(),
        _ => format!("mean of {window} steps"),
    }
}

/// The first of the epochs with the highest accuracy.
fn best(validation: &[EpochPoint]) -> Option<&EpochPoint> {
    let finite = validation.iter().filter(|epoch| epoch.accuracy.is_finite());
    finite.reduce(|best, epoch| if epoch.accuracy > best.accuracy { epoch } else { best })
}

#[cfg(test)]
mod tests;
