use cifar_metrics::ClassMetrics;
use image::Rgb;

use crate::axis::Axis;
use crate::canvas::Canvas;
use crate::drawing::Drawing;
use crate::frame::{Frame, X_AXIS_HEIGHT};
use crate::header::Header;
use crate::legend::{self, Entry, Sample};
use crate::rect::Rect;
use crate::text::Align;
use crate::theme::{DATA, GAP, LABEL, MARGIN, PAGE_WIDTH, SECOND, THIRD, TICK};

/// Height of a bar, and from one class to the next.
const BAR: u32 = 14;
const PITCH: u32 = 3 * BAR + 14;
/// Longest class name that is written out, in characters.
const MAX_NAME: u32 = 16;

/// One of a class's figures, where it is defined.
type Figure = fn(&ClassMetrics) -> Option<f64>;

/// Precision, recall and F1 of every class as bars from 0 to 100 %, each with its figure; their
/// means over the classes stand under the title. A figure that is undefined is a dash.
///
/// # Panics
/// If there are not as many `classes` as `class_names`.
pub fn class_bars(title: &str, class_names: &[String], classes: &[ClassMetrics]) -> Drawing {
    assert_eq!(classes.len(), class_names.len(), "one entry per class name");
    let figures: [(&str, Rgb<u8>, Figure); 3] = [
        ("precision", DATA, |class| class.precision),
        ("recall", SECOND, |class| class.recall),
        ("F1", THIRD, |class| class.f1),
    ];
    let means =
        figures.map(|(name, _, figure)| format!("{name} {}", percent(mean(classes, figure))));
    let header =
        Header { title, subtitle: format!("means over the classes: {}", means.join(", ")) };
    let entries = figures
        .map(|(name, colour, _)| Entry { sample: Sample::Block(colour), text: name.to_owned() });
    let width = PAGE_WIDTH - 2 * MARGIN;
    let names = class_names.iter().map(|name| LABEL.width_of(name)).max().unwrap_or(0);
    let left = names.min(MAX_NAME * LABEL.char_width()) + GAP;
    // Room for the figure of a bar that reaches 100 %.
    let right = GAP + TICK.width_of("100.0%");
    let plot = Rect::new(
        MARGIN + left,
        header.bottom() + legend::height(&entries, width),
        width - left - right,
        PITCH * classes.len().max(1) as u32,
    );
    let mut canvas = header.sheet(PAGE_WIDTH, plot.bottom() + X_AXIS_HEIGHT + MARGIN);
    legend::draw(&mut canvas, &entries, MARGIN, header.bottom(), width);
    let x = Axis::linear("percent", [0.0, 100.0].into_iter());
    let frame = Frame { plot, right: PAGE_WIDTH - MARGIN, x, y: Axis::unmarked() };
    frame.draw(&mut canvas, MARGIN);
    for (index, (name, class)) in (0..).zip(class_names.iter().zip(classes)) {
        let group = Rect { y: plot.y + index * PITCH, height: PITCH, ..plot };
        let place = Rect { x: MARGIN, width: left - GAP, ..group };
        canvas.text(place, name, Align::End, LABEL);
        for (row, (_, colour, figure)) in (0..).zip(figures) {
            let bar = Rect { y: group.y + 7 + row * BAR, height: BAR - 2, ..group };
            draw_bar(&mut canvas, bar, figure(class), colour);
        }
    }
    canvas.into_drawing()
}

/// A bar that would fill `full` at 100 %, with its figure at its end.
fn draw_bar(canvas: &mut Canvas, full: Rect, value: Option<f64>, colour: Rgb<u8>) {
    let length = (value.unwrap_or(0.0).clamp(0.0, 1.0) * f64::from(full.width)).round() as u32;
    canvas.fill(Rect { width: length, ..full }, colour);
    let label = percent(value);
    let place = Rect { x: full.x + length + GAP / 2, width: TICK.width_of(&label), ..full };
    canvas.text(place, &label, Align::Start, TICK);
}

fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{:.1}%", 100.0 * value))
}

/// Over the classes that have the figure.
fn mean(classes: &[ClassMetrics], figure: Figure) -> Option<f64> {
    let values: Vec<f64> = classes.iter().filter_map(figure).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests;
