//! Curves over the steps of the run.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType, Paragraph};

use super::{BLUE, ORANGE};
use crate::dashboard::state::State;
use crate::tables::grouped;

/// Rows below which an axis for the steps would leave no curve.
const WITH_STEPS: u16 = 7;

pub(super) fn loss(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let text = |value: f64| format!("{value:.3}");
    let train = Figure::new("training", BLUE, state.train_loss.points());
    let validation = Figure::new("validation", ORANGE, state.validation_loss.clone());
    draw(frame, area, "Loss", &[train, validation], None, &text);
}

pub(super) fn accuracy(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let text = |value: f64| format!("{:.1}%", 100.0 * value);
    let train = Figure::new("training", BLUE, state.train_accuracy.points());
    let validation = Figure::new("validation", ORANGE, state.validation_accuracy.clone());
    draw(frame, area, "Accuracy", &[train, validation], None, &text);
}

pub(super) fn learning_rate(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let text = |value: f64| format!("{value:.1e}");
    let rate = Figure::new("", BLUE, state.learning_rate.points());
    draw(frame, area, "Learning rate", &[rate], Some(0.0), &text);
}

/// One figure over the steps: the first of a chart is a line, further ones are points.
struct Figure {
    name: &'static str,
    color: Color,
    points: Vec<(f64, f64)>,
}

impl Figure {
    fn new(name: &'static str, color: Color, points: Vec<(f64, f64)>) -> Self {
        Self { name, color, points }
    }
}

/// Draws `figures`, on an axis that reaches down to `lowest`.
fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    title: &'static str,
    figures: &[Figure],
    lowest: Option<f64>,
    text: &dyn Fn(f64) -> String,
) {
    let latest = figures.first().and_then(|figure| figure.points.last());
    let latest = Line::raw(latest.map_or_else(String::new, |&(_, value)| text(value)));
    let mut title = legend(title, figures);
    // Frame, and a space between the two.
    if title.width() + latest.width() + 3 > usize::from(area.width) {
        title.spans.truncate(1);
    }
    let block = Block::bordered().title(title).title(latest.right_aligned());
    let points = || figures.iter().flat_map(|figure| &figure.points).copied();
    let values = points().map(|(_, value)| value).chain(lowest);
    let last = points().map(|(step, _)| step).reduce(f64::max);
    let (Some(last), Some(values)) = (last, range(values)) else {
        frame.render_widget(Paragraph::new("no step yet").block(block), area);
        return;
    };
    let [low, high] = widened(values);
    let middle = (low + high) / 2.0;
    let x_axis = Axis::default().bounds([0.0, last]);
    let x_axis = if area.height >= WITH_STEPS {
        x_axis.labels(["0".to_owned(), grouped(last as u64)])
    } else {
        x_axis
    };
    let y_axis = Axis::default().bounds([low, high]).labels([low, middle, high].map(text));
    let datasets = figures.iter().enumerate().map(dataset).collect();
    let chart = Chart::new(datasets).block(block).x_axis(x_axis).y_axis(y_axis);
    frame.render_widget(chart.legend_position(None), area);
}

fn dataset((index, figure): (usize, &Figure)) -> Dataset<'_> {
    let (marker, graph) = match index {
        0 => (Marker::Braille, GraphType::Line),
        _ => (Marker::Dot, GraphType::Scatter),
    };
    let style = Style::new().fg(figure.color);
    Dataset::default().marker(marker).graph_type(graph).style(style).data(&figure.points)
}

/// The title, and the mark of each figure where there is more than one.
fn legend(title: &'static str, figures: &[Figure]) -> Line<'static> {
    let mut spans = vec![Span::raw(title)];
    if figures.len() > 1 {
        for (figure, mark) in figures.iter().zip(["━", "•"]) {
            spans.push(Span::styled(format!(" {mark} "), Style::new().fg(figure.color)));
            spans.push(Span::raw(figure.name));
        }
    }
    Line::from(spans)
}

/// The smallest and the largest of `values`; none where there is no finite one.
fn range(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    values.filter(|value| value.is_finite()).fold(None, |range, value| match range {
        None => Some([value, value]),
        Some([low, high]) => Some([low.min(value), high.max(value)]),
    })
}

/// A range with some air, never empty. Nothing that is drawn is below 0.
fn widened([low, high]: [f64; 2]) -> [f64; 2] {
    let air = match high - low {
        0.0 if high == 0.0 => 1.0,
        0.0 => 0.05 * high.abs(),
        width => 0.05 * width,
    };
    [(low - air).max(0.0), high + air]
}
