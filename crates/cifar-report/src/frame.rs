use crate::axis::Axis;
use crate::canvas::Canvas;
use crate::drawing::{Point, Readings, Stroke};
use crate::rect::Rect;
use crate::series::{DOT_RADIUS, Series, thin};
use crate::text::Align;
use crate::theme::{AXIS, AXIS_TITLE, GAP, GRID, ROW, TICK};

/// Height of the tick labels and the title below a frame.
pub(crate) const X_AXIS_HEIGHT: u32 = GAP + 2 * ROW;
/// A line through the data, and one that belongs to it.
pub(crate) const BOLD: f64 = 2.0;

/// The area of the data between two axes.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) plot: Rect,
    /// Where the last tick's label must end.
    pub(crate) right: u32,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

/// Width that the vertical axis needs to the left of the data.
pub(crate) fn y_axis_width(y: &Axis) -> u32 {
    let widest = y.ticks.iter().map(|tick| TICK.width_of(&tick.label)).max().unwrap_or(0);
    ROW + GAP + widest + GAP
}

impl Frame {
    /// Grid, ticks and titles; `left` is where the vertical axis' title stands.
    pub(crate) fn draw(&self, canvas: &mut Canvas, left: u32) {
        let plot = self.plot;
        let title = Rect { x: left, width: ROW, ..plot };
        canvas.text_upward(title, self.y.title, Align::Centre, AXIS_TITLE);
        for tick in &self.y.ticks {
            let Some(share) = self.y.at(tick.value) else { continue };
            let y = plot.bottom() - (share * f64::from(plot.height)).round() as u32;
            canvas.line(Rect { y, ..plot }, GRID);
            let x = title.right() + GAP;
            let label = Rect::new(x, y - ROW / 2, plot.x - GAP - x, ROW);
            canvas.text(label, &tick.label, Align::End, TICK);
        }
        for tick in &self.x.ticks {
            let Some(share) = self.x.at(tick.value) else { continue };
            let x = plot.x + (share * f64::from(plot.width)).round() as u32;
            canvas.upright(Rect { x: x.min(plot.right() - 1), ..plot }, GRID);
            // The last label may reach past the data, not into the margin.
            let width = TICK.width_of(&tick.label);
            let label = Rect::new(
                (x - width / 2).min(self.right - width),
                plot.bottom() + GAP / 2,
                width,
                ROW,
            );
            canvas.text(label, &tick.label, Align::Centre, TICK);
        }
        canvas.line(Rect { y: plot.bottom(), ..plot }, AXIS);
        canvas.upright(plot, AXIS);
        let title = Rect { y: plot.bottom() + GAP / 2 + ROW, height: ROW, ..plot };
        canvas.text(title, self.x.title, Align::Centre, AXIS_TITLE);
    }

    /// Where a point of the data stands; none outside the axes.
    pub(crate) fn place(&self, (x, y): Point) -> Option<Point> {
        let (across, up) = (self.x.at(x)?, self.y.at(y)?);
        let plot = self.plot;
        Some((
            f64::from(plot.x) + across * f64::from(plot.width),
            f64::from(plot.bottom()) - up * f64::from(plot.height),
        ))
    }

    pub(crate) fn series(&self, canvas: &mut Canvas, series: &Series) {
        let placed = series.points.iter().filter_map(|&point| Some((self.place(point)?, point)));
        let (places, values): (Vec<Point>, Vec<Point>) = placed.unzip();
        if !places.is_empty() {
            let kept = thin(&places);
            let of = |points: &[Point]| kept.iter().map(|&index| points[index]).collect();
            let readings = Readings { axes: [self.x.title, self.y.title], values: of(&values) };
            canvas.curve(&series.name, of(&places), series.stroke, readings);
        }
        if series.dots || places.len() == 1 {
            for place in places {
                canvas.dot(place, DOT_RADIUS, series.stroke.colour);
            }
        }
    }

    /// A dashed line over the whole height at `x`.
    pub(crate) fn marker(&self, canvas: &mut Canvas, name: &str, x: f64, stroke: Stroke) {
        let Some(share) = self.x.at(x) else { return };
        let x = f64::from(self.plot.x) + share * f64::from(self.plot.width);
        let ends = [self.plot.y, self.plot.bottom()].map(|y| (x, f64::from(y)));
        canvas.path(name, ends.to_vec(), stroke);
    }
}
