use crate::axis::Axis;
use crate::drawing::{Drawing, Stroke};
use crate::frame::{Frame, X_AXIS_HEIGHT, y_axis_width};
use crate::header::Header;
use crate::legend::{self, Entry, Sample};
use crate::rect::Rect;
use crate::series::Series;
use crate::theme::{GAP, MARGIN, SPACE};

/// Height of a panel that shares its picture or its row of a page, and of one that is alone.
pub(crate) const HALF_HEIGHT: u32 = 240;
pub(crate) const WHOLE_HEIGHT: u32 = 320;

/// Panels one above the other over the same counts, with one legend above them.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    pub(crate) header: Header<'a>,
    pub(crate) x_title: &'static str,
    /// Where the level axis ends; it begins at 0.
    pub(crate) last: usize,
    /// At least one, all with the series of the first in its order.
    pub(crate) panels: Vec<Panel>,
    /// Height of the data of each.
    pub(crate) panel_height: u32,
    pub(crate) marker: Option<Marker>,
}

/// Data that share a vertical axis.
#[derive(Debug)]
pub(crate) struct Panel {
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// A line from top to bottom of every panel.
#[derive(Debug)]
pub(crate) struct Marker {
    pub(crate) at: f64,
    pub(crate) text: String,
    pub(crate) stroke: Stroke,
}

impl Chart<'_> {
    /// The chart on a sheet `sheet_width` pixels wide.
    pub(crate) fn draw(&self, sheet_width: u32) -> Drawing {
        let width = sheet_width - 2 * MARGIN;
        let mut entries: Vec<Entry> = self.panels[0].series.iter().map(Series::entry).collect();
        entries.extend(self.marker.as_ref().map(|marker| Entry {
            sample: Sample::Line { stroke: marker.stroke, dot: false },
            text: marker.text.clone(),
        }));
        let left = self.panels.iter().map(|panel| y_axis_width(&panel.y)).max().unwrap_or(0);
        let top = self.header.bottom() + legend::height(&entries, width);
        let pitch = self.panel_height + X_AXIS_HEIGHT + SPACE;
        let bottom = top + pitch * self.panels.len() as u32 - SPACE;

        let mut canvas = self.header.sheet(sheet_width, bottom + MARGIN);
        legend::draw(&mut canvas, &entries, MARGIN, self.header.bottom(), width);
        // The gap at the right holds the half of a last point's dot.
        let plot_width = width - left - GAP;
        for (index, panel) in (0..).zip(&self.panels) {
            let plot = Rect::new(MARGIN + left, top + index * pitch, plot_width, self.panel_height);
            let x = Axis::counted(self.x_title, self.last, plot_width);
            let frame = Frame { plot, right: MARGIN + width, x, y: panel.y.clone() };
            frame.draw(&mut canvas, MARGIN);
            if let Some(marker) = &self.marker {
                frame.marker(&mut canvas, &marker.text, marker.at, marker.stroke);
            }
            for series in &panel.series {
                frame.series(&mut canvas, series);
            }
        }
        canvas.into_drawing()
    }
}

/// All vertical values of some series.
pub(crate) fn values(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|series| series.points.iter().map(|point| point.1))
}
