use cifar_metrics::{Calibration, CalibrationBin};

use crate::axis::Axis;
use crate::canvas::Canvas;
use crate::drawing::{Drawing, Stroke};
use crate::frame::{BOLD, Frame, X_AXIS_HEIGHT, y_axis_width};
use crate::header::Header;
use crate::legend::{self, Entry, Sample};
use crate::rect::Rect;
use crate::theme::{DATA, INK, MARGIN, MUTED, PAGE_WIDTH, ROW, SECOND, SPACE, pale};

const HEIGHT: u32 = 340;
const HISTOGRAM_HEIGHT: u32 = 120;
/// Thickness of the line at a bin's accuracy.
const EDGE: u32 = 3;
const DIAGONAL: Stroke = Stroke { colour: MUTED, width: BOLD, dashed: true };

/// How often predictions of each confidence are right, beside the diagonal on which the two agree
/// (Guo et al. 2017, arXiv:1706.04599), over a histogram of the confidences; the expected
/// calibration error stands under the title.
pub fn reliability_diagram(title: &str, calibration: &Calibration) -> Drawing {
    reliability_at(PAGE_WIDTH, title, calibration)
}

/// The diagram on a sheet `sheet_width` pixels wide.
pub(crate) fn reliability_at(sheet_width: u32, title: &str, calibration: &Calibration) -> Drawing {
    let n: u64 = calibration.bins.iter().map(|bin| bin.n).sum();
    let subtitle = match n {
        0 => "no samples".to_owned(),
        _ => format!(
            "expected calibration error {:.2}% ({} bins)",
            100.0 * calibration.ece,
            calibration.bins.len()
        ),
    };
    let header = Header { title, subtitle };
    let entries = [
        (Sample::Block(DATA), "accuracy, up to the bold line"),
        (Sample::Block(pale(SECOND)), "gap to the mean confidence"),
        (Sample::Line { stroke: DIAGONAL, dot: false }, "perfect agreement"),
    ]
    .map(|(sample, text)| Entry { sample, text: text.to_owned() });
    let percents = |title| Axis::linear(title, [0.0, 100.0].into_iter());
    let share = |bin: &CalibrationBin| 100.0 * bin.n as f64 / n.max(1) as f64;
    let shares = Axis::linear("samples (%)", calibration.bins.iter().map(share).chain([0.0]));

    let width = sheet_width - 2 * MARGIN;
    let accuracies = percents("accuracy (%)");
    let left = y_axis_width(&accuracies).max(y_axis_width(&shares));
    let top = header.bottom() + legend::height(&entries, width);
    let plot = Rect::new(MARGIN + left, top, width - left - ROW / 2, HEIGHT);
    let below = plot.bottom() + X_AXIS_HEIGHT + SPACE;
    let histogram = Rect { y: below, height: HISTOGRAM_HEIGHT, ..plot };
    let mut canvas = header.sheet(sheet_width, histogram.bottom() + X_AXIS_HEIGHT + MARGIN);
    legend::draw(&mut canvas, &entries, MARGIN, header.bottom(), width);

    let right = MARGIN + width;
    let frame = Frame { plot, right, x: percents("confidence (%)"), y: accuracies };
    frame.draw(&mut canvas, MARGIN);
    for (index, bin) in (0..).zip(&calibration.bins) {
        draw_bin(&mut canvas, slot(plot, index, calibration.bins.len()), bin);
    }
    let ends = [(0.0, 0.0), (100.0, 100.0)].iter().filter_map(|&end| frame.place(end)).collect();
    canvas.path("perfect agreement", ends, DIAGONAL);

    let frame = Frame { plot: histogram, right, x: percents("confidence (%)"), y: shares };
    frame.draw(&mut canvas, MARGIN);
    for (index, bin) in (0..).zip(&calibration.bins) {
        let slot = slot(histogram, index, calibration.bins.len());
        canvas.fill(level(slot, 0.0, frame.y.at(share(bin)).unwrap_or(0.0)), DATA);
    }
    canvas.into_drawing()
}

fn draw_bin(canvas: &mut Canvas, slot: Rect, bin: &CalibrationBin) {
    let (Some(accuracy), Some(confidence)) = (bin.accuracy, bin.confidence) else { return };
    canvas.fill(level(slot, 0.0, accuracy), DATA);
    canvas.fill(level(slot, accuracy.min(confidence), accuracy.max(confidence)), pale(SECOND));
    let edge = level(slot, 0.0, accuracy);
    canvas.fill(Rect { height: EDGE, ..edge }, INK);
}

/// The stretch of `plot` that belongs to a bin, with a gap to the next.
fn slot(plot: Rect, index: u32, n_bins: usize) -> Rect {
    let edge = |index: u32| plot.width * index / n_bins.max(1) as u32;
    Rect { x: plot.x + edge(index) + 1, width: edge(index + 1) - edge(index) - 2, ..plot }
}

/// The part of `slot` between two shares of its height.
fn level(slot: Rect, from: f64, to: f64) -> Rect {
    let up = |share: f64| slot.bottom() - (share * f64::from(slot.height)).round() as u32;
    Rect { y: up(to), height: up(from) - up(to), ..slot }
}

#[cfg(test)]
mod tests;
