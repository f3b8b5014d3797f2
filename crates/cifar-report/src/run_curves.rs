//! The same figure of several runs on common axes.

use crate::axis::Axis;
use crate::chart::{Chart, Panel, WHOLE_HEIGHT, values};
use crate::curves::{EpochPoint, STEPS, StepPoint};
use crate::drawing::Stroke;
use crate::frame::BOLD;
use crate::header::Header;
use crate::series::{Series, smooth, smoothing_window};
use crate::theme::{DATA, FIFTH, FOURTH, SECOND, THIRD};

/// What one of several runs logged.
#[derive(Debug, Clone, PartialEq)]
pub struct RunCurves {
    /// What the legend calls it.
    pub name: String,
    /// Its optimiser steps.
    pub steps: Vec<StepPoint>,
    /// Its validations, where there were any.
    pub validation: Vec<EpochPoint>,
}

/// The loss of each run's batches, as the mean over a fiftieth of its steps.
pub(crate) fn loss_overlay<'a>(title: &'a str, runs: &[RunCurves]) -> Chart<'a> {
    by_step(title, "training loss (nats)", runs, |step| step.loss)
}

/// The accuracy of each run's batches, as the mean over a fiftieth of its steps.
pub(crate) fn accuracy_overlay<'a>(title: &'a str, runs: &[RunCurves]) -> Chart<'a> {
    by_step(title, "training accuracy (%)", runs, |step| 100.0 * step.accuracy)
}

/// The validation accuracy of each run after every epoch.
pub(crate) fn validation_overlay<'a>(title: &'a str, runs: &[RunCurves]) -> Chart<'a> {
    let series: Vec<Series> = series_of(runs, true, |run| {
        let point = |epoch: &EpochPoint| (f64::from(epoch.epoch), 100.0 * epoch.accuracy);
        run.validation.iter().map(point).collect()
    });
    let last = runs.iter().flat_map(|run| &run.validation).map(|epoch| epoch.epoch).max();
    let y = Axis::linear("validation accuracy (%)", values(&series));
    chart(title, "epochs", last.unwrap_or(0) as usize, Panel { y, series })
}

fn by_step<'a>(
    title: &'a str,
    y_title: &'static str,
    runs: &[RunCurves],
    value: impl Fn(&StepPoint) -> f64,
) -> Chart<'a> {
    let series = series_of(runs, false, |run| {
        let points: Vec<_> = run.steps.iter().map(|step| (step.step as f64, value(step))).collect();
        smooth(&points, smoothing_window(points.len()))
    });
    let last = runs.iter().flat_map(|run| &run.steps).map(|step| step.step).max();
    let y = Axis::linear(y_title, values(&series));
    chart(title, STEPS, last.unwrap_or(0), Panel { y, series })
}

fn series_of(
    runs: &[RunCurves],
    dots: bool,
    points: impl Fn(&RunCurves) -> Vec<(f64, f64)>,
) -> Vec<Series> {
    let series = |(index, run): (usize, &RunCurves)| Series {
        name: run.name.clone(),
        stroke: stroke(index),
        dots,
        points: points(run),
    };
    runs.iter().enumerate().map(series).collect()
}

/// Colours first, then the same colours dashed.
fn stroke(index: usize) -> Stroke {
    let colours = [DATA, SECOND, THIRD, FOURTH, FIFTH];
    let (round, index) = (index / colours.len(), index % colours.len());
    Stroke { colour: colours[index], width: BOLD, dashed: round % 2 == 1 }
}

fn chart<'a>(title: &'a str, x_title: &'static str, last: usize, panel: Panel) -> Chart<'a> {
    let header = Header { title, subtitle: String::new() };
    Chart { header, x_title, last, panels: vec![panel], panel_height: WHOLE_HEIGHT, marker: None }
}
