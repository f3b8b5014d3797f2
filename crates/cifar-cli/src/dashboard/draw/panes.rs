//! Panes of text: classes, resources, log.

use std::collections::VecDeque;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};

use super::{BLUE, Resources};
use crate::dashboard::state::State;
use crate::tables::duration;

/// Columns of ` 100%` behind a bar.
const PERCENT_COLUMNS: usize = 5;

/// The share of each class that the last validation found.
pub(super) fn classes(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let Some(recalls) = &state.recalls else {
        let text = if state.about.validates {
            "The share of each class that is found: here after the first validation of this \
             sitting, at the end of an epoch."
        } else {
            "The recipe holds no images out (data.validation = 0), so there is no validation \
             whose classes could be shown."
        };
        let block = Block::bordered().title("Recall by class");
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }).block(block), area);
        return;
    };
    let block = Block::bordered().title(format!("Recall, epoch {}", recalls.epoch));
    let inner = block.inner(area);
    let names = &state.about.class_names;
    let name_columns = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let bar_columns = usize::from(inner.width).saturating_sub(name_columns + 1 + PERCENT_COLUMNS);
    let lines: Vec<Line<'_>> = names
        .iter()
        .zip(&recalls.of_class)
        .map(|(name, recall)| {
            let percent = recall.map_or("-".to_owned(), |r| format!("{:.0}%", 100.0 * r));
            let bar = bar(recall.unwrap_or(0.0), bar_columns);
            Line::from(vec![
                Span::raw(format!("{name:<name_columns$} ")),
                Span::styled(format!("{bar:<bar_columns$}"), Style::new().fg(BLUE)),
                Span::raw(format!("{percent:>PERCENT_COLUMNS$}")),
            ])
        })
        .collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// A bar of `share` of `columns`, to an eighth of a column.
fn bar(share: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share * (8 * columns) as f64).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// Speed, memory, time and threads.
pub(super) fn resources(frame: &mut Frame<'_>, state: &State, now: Resources, area: Rect) {
    let unknown = || "-".to_owned();
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let speed =
        state.images_per_second().map_or_else(unknown, |rate| format!("{rate:.0} images/s"));
    let memory = now.memory.map_or_else(unknown, |memory| {
        format!("{} MiB, peak {}", mib(memory.current_bytes), mib(memory.peak_bytes))
    });
    let elapsed = duration(now.elapsed_secs);
    let left = state.secs_left().map_or_else(unknown, duration);
    let rows = [
        format!("speed  {speed}"),
        format!("memory {memory}"),
        format!("time   {elapsed}, {} threads", state.about.threads),
        format!("to go  {left}"),
    ];
    let text: Vec<Line<'_>> = rows.into_iter().map(Line::raw).collect();
    frame.render_widget(Paragraph::new(text).block(Block::bordered().title("Resources")), area);
}

/// The last lines of the log.
pub(super) fn log(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let block = Block::bordered().title("Log");
    let inner = block.inner(area);
    let (columns, rows) = (usize::from(inner.width), usize::from(inner.height));
    let mut shown = VecDeque::new();
    for line in state.log.iter().rev() {
        for row in wrapped(&line.text, columns).into_iter().rev() {
            if shown.len() == rows {
                break;
            }
            shown.push_front(Line::raw(row));
        }
    }
    frame.render_widget(Paragraph::new(Vec::from(shown)).block(block), area);
}

/// `text` in rows of at most `columns` characters, broken at spaces where there are any, what
/// follows the first indented.
fn wrapped(text: &str, columns: usize) -> Vec<String> {
    const INDENT: &str = "  ";
    let columns = columns.max(INDENT.len() + 1);
    let mut rows = Vec::new();
    let mut rest = text.to_owned();
    while let Some((limit, _)) = rest.char_indices().nth(columns) {
        let end = rest[..limit].rfind(' ').filter(|&end| end > INDENT.len()).unwrap_or(limit);
        let tail = format!("{INDENT}{}", rest[end..].trim_start());
        rest.truncate(end);
        rows.push(std::mem::replace(&mut rest, tail));
    }
    rows.push(rest);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(0.0, 10), "");
        assert_eq!(bar(0.5, 10), "█████");
        assert_eq!(bar(0.55, 10), "█████▌");
        assert_eq!(bar(1.0, 10), "█".repeat(10));
    }

    #[test]
    fn wrapping_loses_nothing_and_never_overflows() {
        let text =
            "Epoch 3/10: training loss 1.2345, accuracy 55.00 %; averylongwordwithoutbreaks ü";
        let bare = |text: &str| text.replace(' ', "");
        for columns in 3..100 {
            let rows = wrapped(text, columns);
            assert_eq!(bare(&rows.concat()), bare(text), "{columns}");
            assert!(rows.iter().all(|row| row.chars().count() <= columns), "{columns}: {rows:?}");
        }
        assert_eq!(wrapped("one two three", 8), ["one two", "  three"]);
    }
}
