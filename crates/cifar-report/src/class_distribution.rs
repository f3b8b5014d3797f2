use crate::axis::nice_step;
use crate::canvas::Canvas;
use crate::drawing::Drawing;
use crate::header::Header;
use crate::rect::Rect;
use crate::text::{Align, grouped};
use crate::theme::{AXIS, AXIS_TITLE, DATA, GAP, GRID, LABEL, MARGIN, PAPER, ROW, TICK};

/// Height of the area of the bars.
const PLOT_HEIGHT: u32 = 320;
/// Bounds of the space a class takes along the axis.
const MIN_SLOT: u32 = 48;
const MAX_SLOT: u32 = 120;
/// Most intervals between the ticks of the axis.
const MAX_INTERVALS: u32 = 6;

/// Bars of the number of images per class, with the count above and the name below each bar.
///
/// The axis starts at 0, so heights are proportional to counts, except that a class with any image
/// shows at least a line. The picture takes up to 120 pixels of width per class.
///
/// # Panics
/// If there are not as many `counts` as `class_names`.
pub fn class_distribution(title: &str, class_names: &[String], counts: &[usize]) -> Drawing {
    assert_eq!(counts.len(), class_names.len(), "one count per class name");
    let counts: Vec<u64> = counts.iter().map(|&count| count as u64).collect();
    let header = Header { title, subtitle: subtitle(&counts) };
    let layout = Layout::new(&header, class_names, &counts);
    let height = layout.plot.bottom() + GAP + ROW + MARGIN;
    let mut canvas = header.sheet(layout.width, height);
    draw_axis(&mut canvas, &layout);
    for (class, (name, &count)) in (0..).zip(class_names.iter().zip(&counts)) {
        canvas.fill(layout.bar(class, count), DATA);
        let label = grouped(count);
        let place = layout.count_label(class, count, &label);
        canvas.fill(place, PAPER); // a grid line must not cross the number
        canvas.text(place, &label, Align::Centre, LABEL);
        canvas.text(layout.name(class), name, Align::Centre, LABEL);
    }
    canvas.line(Rect { y: layout.plot.bottom(), ..layout.plot }, AXIS);
    canvas.into_drawing()
}

fn subtitle(counts: &[u64]) -> String {
    format!("{} images in {} classes", grouped(counts.iter().sum()), counts.len())
}

fn draw_axis(canvas: &mut Canvas, layout: &Layout) {
    let plot = layout.plot;
    let title = Rect { x: MARGIN, width: ROW, ..plot };
    canvas.text_upward(title, "images per class", Align::Centre, AXIS_TITLE);
    let ticks_left = title.right() + GAP;
    for tick in (0..=layout.axis_top).step_by(layout.tick_step as usize) {
        let y = plot.bottom() - layout.bar_height(tick);
        canvas.line(Rect { y, ..plot }, GRID);
        let label = Rect::new(ticks_left, y - ROW / 2, plot.x - GAP - ticks_left, ROW);
        canvas.text(label, &grouped(tick), Align::End, TICK);
    }
}

struct Layout {
    /// Of the whole picture.
    width: u32,
    /// The area of the bars.
    plot: Rect,
    n_classes: u32,
    tick_step: u64,
    /// The count at the top of the plot: a multiple of `tick_step`.
    axis_top: u64,
}

impl Layout {
    fn new(header: &Header, class_names: &[String], counts: &[u64]) -> Self {
        let (tick_step, axis_top) = ticks(counts.iter().copied().max().unwrap_or(0));
        let axis_width = ROW + GAP + TICK.width_of(&grouped(axis_top)) + GAP;
        let labels = class_names.iter().map(|name| LABEL.width_of(name));
        let labels = labels.chain(counts.iter().map(|&count| LABEL.width_of(&grouped(count))));
        let slot = (labels.max().unwrap_or(0) + LABEL.char_width()).clamp(MIN_SLOT, MAX_SLOT);
        let n_classes = counts.len() as u32;
        let content_width = (axis_width + slot * n_classes).max(header.width());
        let plot = Rect::new(
            MARGIN + axis_width,
            header.bottom() + ROW,
            content_width - axis_width,
            PLOT_HEIGHT,
        );
        Self { width: content_width + 2 * MARGIN, plot, n_classes, tick_step, axis_top }
    }

    /// Proportional to `count`, but never nothing for something.
    fn bar_height(&self, count: u64) -> u32 {
        let height = count as f64 / self.axis_top as f64 * f64::from(self.plot.height);
        (height.round() as u32).max(u32::from(count > 0))
    }

    /// The stretch of the plot that belongs to a class.
    fn slot(&self, class: u32) -> Rect {
        // Differences of the rounded edges, so that the slots fill the plot exactly.
        let edge = |class| self.plot.width * class / self.n_classes;
        let (left, right) = (edge(class), edge(class + 1));
        Rect { x: self.plot.x + left, width: right - left, ..self.plot }
    }

    fn bar(&self, class: u32, count: u64) -> Rect {
        let slot = self.slot(class);
        let (width, height) = (slot.width * 5 / 8, self.bar_height(count));
        Rect::new(slot.x + (slot.width - width) / 2, slot.bottom() - height, width, height)
    }

    fn count_label(&self, class: u32, count: u64, label: &str) -> Rect {
        let slot = self.slot(class);
        let width = LABEL.width_of(label).min(slot.width);
        let y = self.bar(class, count).y - ROW;
        Rect::new(slot.x + (slot.width - width) / 2, y, width, ROW - 2)
    }

    fn name(&self, class: u32) -> Rect {
        let slot = self.slot(class);
        // Half a character to either side keeps neighbours apart.
        let inset = LABEL.char_width() / 2;
        Rect::new(slot.x + inset, slot.bottom() + GAP, slot.width - 2 * inset, ROW)
    }
}

/// Step and end of an axis from 0 that holds `max`, in the fewest steps that reach.
fn ticks(max: u64) -> (u64, u64) {
    let step = nice_step(max as f64, MAX_INTERVALS).value().max(1.0) as u64;
    (step, max.div_ceil(step).max(1).saturating_mul(step))
}

#[cfg(test)]
mod tests;
