//! The state as a picture of character cells.

mod chart;
mod panes;

use ratatui::Frame;
use ratatui::layout::{Alignment, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Gauge, Paragraph, Wrap};

use super::place::{SMALLEST, places};
use super::state::{State, Stopping};
use crate::host::Memory;
use crate::tables::grouped;

/// What the system tells, beside the state.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resources {
    /// Seconds since the dashboard opened.
    pub(super) elapsed_secs: f64,
    pub(super) memory: Option<Memory>,
}

/// A blue and an orange that colour-blind readers tell apart, on dark and on light ground; the
/// marks differ too. From the palette of 256, which more terminals have than all colours.
const BLUE: Color = Color::Indexed(33);
const ORANGE: Color = Color::Indexed(208);

pub(super) fn draw(frame: &mut Frame<'_>, state: &State, resources: Resources) {
    let area = frame.area();
    let Some(places) = places(area) else { return draw_too_small(frame, state, area) };
    header(frame, state, places.header);
    frame.render_widget(Paragraph::new(footer(state)), places.footer);
    chart::loss(frame, state, places.loss);
    if let Some(area) = places.accuracy {
        chart::accuracy(frame, state, area);
    }
    if let Some(area) = places.learning_rate {
        chart::learning_rate(frame, state, area);
    }
    if let Some(area) = places.classes {
        panes::classes(frame, state, area);
    }
    if let Some(area) = places.resources {
        panes::resources(frame, state, resources, area);
    }
    if let Some(area) = places.log {
        panes::log(frame, state, area);
    }
}

fn draw_too_small(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let (width, height) = SMALLEST;
    let mut lines = vec![footer(state)];
    lines.push(Line::raw(format!(
        "This terminal is too small for the dashboard: {}x{}, needed {width}x{height}. \
         The run goes on.",
        area.width, area.height
    )));
    let text = Paragraph::new(lines).wrap(Wrap { trim: true }).alignment(Alignment::Left);
    frame.render_widget(text, area);
}

/// Two lines: what runs, and how far it is.
fn header(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let about = &state.about;
    let line = Line::from(vec![
        Span::styled(about.recipe.as_str(), Style::new().add_modifier(Modifier::BOLD)),
        Span::raw(format!(
            "  {}, {} parameters, {}",
            about.model,
            grouped(about.n_parameters as u64),
            about.device
        )),
    ]);
    let [first, second] = [area.y, area.y + 1].map(|y| Rect { y, height: 1, ..area });
    frame.render_widget(line, first);
    let (done, total) = state.steps();
    let share = if total == 0 { 0.0 } else { (done as f64 / total as f64).min(1.0) };
    let gauge = Gauge::default()
        .ratio(share)
        .label(progress_label(state))
        .use_unicode(true)
        .gauge_style(Style::new().fg(BLUE));
    frame.render_widget(gauge, second);
}

fn progress_label(state: &State) -> String {
    let Some(start) = state.start else { return "starting".to_owned() };
    let (done, total) = state.steps();
    let epoch =
        state.last.map_or(done as u32 / start.steps_per_epoch.max(1) as u32 + 1, |last| last.epoch);
    let mut label = format!(
        "epoch {}/{}  step {}/{}",
        epoch.min(start.epochs),
        start.epochs,
        grouped(done as u64),
        grouped(total as u64)
    );
    if let Some(stop) = state.about.stop_at.filter(|&stop| stop < total) {
        label += &format!(", stops at {}", grouped(stop as u64));
    }
    if state.ends_epoch {
        label += if state.about.validates { ", validating" } else { ", saving" };
    }
    label
}

/// The keys, or the question that waits for one.
fn footer(state: &State) -> Line<'static> {
    let question = Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD);
    match state.stopping {
        Stopping::No => Line::raw("q: stop; the run is saved and can go on later"),
        Stopping::Asked => Line::styled("Stop the run, saved? y/n", question),
        Stopping::Confirmed => Line::styled("Stopping after this step", question),
    }
}

#[cfg(test)]
mod tests;
