use cifar_metrics::ConfusionMatrix;

use crate::canvas::Canvas;
use crate::drawing::Drawing;
use crate::header::Header;
use crate::rect::Rect;
use crate::text::{Align, grouped};
use crate::theme::{
    AXIS_TITLE, GAP, LABEL, MARGIN, MUTED, ROW, SPACE, TICK, share_colour, text_on,
};

/// Height of a cell, and its least width.
const CELL_HEIGHT: u32 = 56;
const MIN_CELL_WIDTH: u32 = 56;
/// White between two cells.
const CELL_GAP: u32 = 2;
/// Longest class name that is written out, in characters.
const MAX_NAME: u32 = 16;
/// Width of the legend's strip of colours.
const STRIP_WIDTH: u32 = 16;
const LEGEND_PERCENTS: [u32; 5] = [0, 25, 50, 75, 100];

/// What stands in the cells of a confusion matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellText {
    /// The number of samples.
    Count,
    /// Their share of the true class in percent.
    Percent,
}

/// A confusion matrix: a row per true class, a column per predicted class, the count or the percent
/// of the row in every cell, coloured by its share of the row, with a legend; the accuracy stands
/// under the title.
///
/// # Panics
/// If there are not as many `class_names` as classes in `matrix`.
pub fn confusion_matrix(
    title: &str,
    class_names: &[String],
    matrix: &ConfusionMatrix,
    text: CellText,
) -> Drawing {
    assert_eq!(class_names.len(), matrix.n_classes(), "one name per class of the matrix");
    let header = Header { title, subtitle: subtitle(matrix) };
    let layout = Layout::new(&header, class_names, matrix);
    let mut canvas = header.sheet(layout.width, layout.height);
    draw_axes(&mut canvas, &layout, class_names);
    draw_cells(&mut canvas, &layout, matrix, text);
    draw_legend(&mut canvas, layout.legend);
    canvas.into_drawing()
}

fn subtitle(matrix: &ConfusionMatrix) -> String {
    let (right, total) = (matrix.trace(), matrix.total());
    if total == 0 {
        return "no samples".to_owned();
    }
    let percent = 100.0 * matrix.accuracy();
    format!("accuracy {percent:.2}%: {} of {} right", grouped(right), grouped(total))
}

fn draw_axes(canvas: &mut Canvas, layout: &Layout, class_names: &[String]) {
    let plot = layout.plot;
    let truth = Rect { x: MARGIN, width: ROW, ..plot };
    canvas.text_upward(truth, "true class", Align::Centre, AXIS_TITLE);
    let predicted = Rect { y: plot.bottom() + GAP + ROW, height: ROW, ..plot };
    canvas.text(predicted, "predicted class", Align::Centre, AXIS_TITLE);
    for (class, name) in (0..).zip(class_names) {
        canvas.text(layout.row_name(class), name, Align::End, LABEL);
        canvas.text(layout.column_name(class), name, Align::Centre, LABEL);
    }
}

fn draw_cells(canvas: &mut Canvas, layout: &Layout, matrix: &ConfusionMatrix, text: CellText) {
    for (truth, row) in (0..).zip(matrix.rows()) {
        // A class without samples has no shares; its counts are all 0.
        let total = row.iter().sum::<u64>().max(1);
        for (predicted, &count) in (0..).zip(row) {
            let cell = layout.cell(truth, predicted);
            let share = count as f64 / total as f64;
            let background = share_colour(share);
            canvas.fill(cell, background);
            let colour = if count == 0 { MUTED } else { text_on(background) };
            let text = match text {
                CellText::Percent if count > 0 => format!("{:.1}%", 100.0 * share),
                CellText::Count | CellText::Percent => grouped(count),
            };
            canvas.text(cell, &text, Align::Centre, LABEL.in_colour(colour));
        }
    }
}

/// A strip from 0 % at the bottom to 100 % at the top, its numbers, and what it shows.
fn draw_legend(canvas: &mut Canvas, legend: Rect) {
    let strip = Rect { width: STRIP_WIDTH, ..legend };
    for row in 0..strip.height {
        let share = 1.0 - f64::from(row) / f64::from(strip.height - 1);
        canvas.line(Rect { y: strip.y + row, ..strip }, share_colour(share));
    }
    for percent in LEGEND_PERCENTS {
        let middle = strip.bottom() - strip.height * percent / 100;
        let place = Rect::new(strip.right() + GAP, middle - ROW / 2, tick_width(), ROW);
        canvas.text(place, &format!("{percent}%"), Align::End, TICK);
    }
    let title = Rect { x: legend.right() - ROW, width: ROW, ..legend };
    canvas.text_upward(title, "share of the true class", Align::Centre, AXIS_TITLE);
}

fn tick_width() -> u32 {
    TICK.width_of("100%")
}

struct Layout {
    /// Of the whole picture.
    width: u32,
    height: u32,
    /// The area of the cells.
    plot: Rect,
    /// The legend to the right of it.
    legend: Rect,
    n_classes: u32,
    names_width: u32,
}

impl Layout {
    fn new(header: &Header, class_names: &[String], matrix: &ConfusionMatrix) -> Self {
        let longest_name = class_names.iter().map(|name| LABEL.width_of(name)).max().unwrap_or(0);
        let names_width = longest_name.min(MAX_NAME * LABEL.char_width());
        let counts = matrix.rows().flatten().map(|&count| LABEL.width_of(&grouped(count)));
        let longest = counts.max().unwrap_or(0).max(names_width);
        let cell_width = (longest + LABEL.char_width()).max(MIN_CELL_WIDTH);
        let left = ROW + GAP + names_width + GAP;
        let legend_width = STRIP_WIDTH + GAP + tick_width() + GAP + ROW;
        let n_classes = matrix.n_classes() as u32;
        let cells_width = (n_classes * cell_width)
            .max(header.width().saturating_sub(left + SPACE + legend_width));
        let (x, y) = (MARGIN + left, header.bottom());
        let plot = Rect::new(x, y, cells_width, n_classes.max(3) * CELL_HEIGHT);
        let legend = Rect { x: plot.right() + SPACE, width: legend_width, ..plot };
        Self {
            width: legend.right() + MARGIN,
            height: plot.bottom() + GAP + 2 * ROW + MARGIN,
            plot,
            legend,
            n_classes,
            names_width,
        }
    }

    fn cell(&self, truth: u32, predicted: u32) -> Rect {
        let plot = self.plot;
        let (left, right) = self.edges(plot.width, predicted);
        let (top, bottom) = self.edges(plot.height, truth);
        let (width, height) = (right - left - CELL_GAP, bottom - top - CELL_GAP);
        Rect::new(plot.x + left, plot.y + top, width, height)
    }

    /// Where a class begins and ends along an axis of `length` pixels (gap included).
    fn edges(&self, length: u32, class: u32) -> (u32, u32) {
        // One gap more than there is room for: the last cell ends with the plot.
        let edge = |class| (length + CELL_GAP) * class / self.n_classes;
        (edge(class), edge(class + 1))
    }

    fn row_name(&self, class: u32) -> Rect {
        let cell = self.cell(class, 0);
        Rect { x: self.plot.x - GAP - self.names_width, width: self.names_width, ..cell }
    }

    fn column_name(&self, class: u32) -> Rect {
        Rect { y: self.plot.bottom() + GAP, height: ROW, ..self.cell(0, class) }
    }
}

#[cfg(test)]
mod tests;
