//! The range test of learning rates.

use crate::axis::Axis;
use crate::chart::WHOLE_HEIGHT;
use crate::curves::line;
use crate::drawing::{Drawing, Point, Stroke};
use crate::frame::{BOLD, Frame, X_AXIS_HEIGHT, y_axis_width};
use crate::header::Header;
use crate::legend::{self, Entry, Sample};
use crate::rect::Rect;
use crate::series::Series;
use crate::theme::{DATA, GAP, MARGIN, PAGE_WIDTH, SECOND, THIRD, pale};

/// One learning rate of a range test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LrRangePoint {
    /// The learning rate.
    pub learning_rate: f64,
    /// Loss of its batch, in nats.
    pub loss: f64,
    /// Mean of the losses around it.
    pub smoothed: f64,
}

/// A learning rate worth pointing at.
#[derive(Debug, Clone, PartialEq)]
pub struct LrMark {
    /// What it is, for the legend.
    pub name: String,
    /// The learning rate.
    pub learning_rate: f64,
}

/// The loss over the learning rate, whose axis is logarithmic, with up to two `marks`. What lies far
/// above the first losses is cut off, because a diverging loss would flatten all else.
pub fn lr_range(title: &str, points: &[LrRangePoint], marks: &[LrMark]) -> Drawing {
    let drawn = |value: fn(&LrRangePoint) -> f64| -> Vec<Point> {
        points.iter().map(|point| (point.learning_rate, value(point))).collect()
    };
    let pale = Stroke { colour: pale(DATA), width: 1.0, dashed: false };
    let all = [
        Series { name: "each batch".into(), stroke: pale, dots: false, points: drawn(|p| p.loss) },
        Series {
            name: "smoothed".into(),
            stroke: line(DATA),
            dots: false,
            points: drawn(|p| p.smoothed),
        },
    ];
    let first = points.first().map_or(1.0, |point| point.smoothed);
    let shown =
        points.iter().flat_map(|p| [p.loss, p.smoothed]).filter(|&loss| loss <= 1.5 * first);
    let y = Axis::linear("loss (nats)", shown);
    let x = Axis::logarithmic("learning rate", points.iter().map(|point| point.learning_rate));
    let strokes = [SECOND, THIRD].map(|colour| Stroke { colour, width: BOLD, dashed: true });
    let mut entries: Vec<Entry> = all.iter().map(Series::entry).collect();
    entries.extend(marks.iter().zip(strokes).map(|(mark, stroke)| Entry {
        sample: Sample::Line { stroke, dot: false },
        text: mark.name.clone(),
    }));
    let subtitle = "one step at each learning rate, from the smallest on".to_owned();
    let header = Header { title, subtitle };

    let width = PAGE_WIDTH - 2 * MARGIN;
    let left = y_axis_width(&y);
    let top = header.bottom() + legend::height(&entries, width);
    let mut canvas = header.sheet(PAGE_WIDTH, top + WHOLE_HEIGHT + X_AXIS_HEIGHT + MARGIN);
    legend::draw(&mut canvas, &entries, MARGIN, header.bottom(), width);
    let plot = Rect::new(MARGIN + left, top, width - left - GAP, WHOLE_HEIGHT);
    let frame = Frame { plot, right: MARGIN + width, x, y };
    frame.draw(&mut canvas, MARGIN);
    for (mark, stroke) in marks.iter().zip(strokes) {
        frame.marker(&mut canvas, &mark.name, mark.learning_rate, stroke);
    }
    all.iter().for_each(|series| frame.series(&mut canvas, series));
    canvas.into_drawing()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::{assert_margin_is_blank, paths, texts};

    fn point(i: i32) -> LrRangePoint {
        let learning_rate = 10_f64.powf(f64::from(i) / 10.0 - 7.0);
        let loss = if i < 70 { 2.3 - f64::from(i) / 60.0 } else { 2.0 * f64::from(i) };
        LrRangePoint { learning_rate, loss, smoothed: loss + 0.1 }
    }

    #[test]
    fn marks_stand_at_their_learning_rates_and_a_diverging_loss_is_cut_off() {
        let points: Vec<LrRangePoint> = (0..80).map(point).collect();
        let mark = |name: &str, learning_rate| LrMark { name: name.into(), learning_rate };
        let marks = [mark("steepest", 1e-4), mark("far off", 1e9)];
        let drawing = lr_range("Range", &points, &marks);
        let names: Vec<&str> = paths(&drawing).iter().map(|path| path.name.as_str()).collect();
        let legend = ["each batch", "smoothed", "steepest", "far off"];
        assert_eq!(names, [&legend[..], &["steepest", "each batch", "smoothed"]].concat());
        assert!(
            ["1e-6", "0.01", "2.0"].iter().all(|t| texts(&drawing).contains(t)),
            "{:?}",
            texts(&drawing)
        );
        assert!(!texts(&drawing).contains(&"100"));
        assert_margin_is_blank(&drawing.to_image());
        // The mark lies on the curve's point of its learning rate.
        let (mark, curve) = (paths(&drawing)[4], paths(&drawing)[6]);
        let at = |i: usize| curve.points[i].0;
        let span = (at(0), at(curve.points.len() - 1));
        assert!(span.0 < mark.points[0].0 && mark.points[0].0 < span.1);
    }

    #[test]
    fn few_points_or_none_draw_something_sensible() {
        for n in [0, 1, 2] {
            let points: Vec<LrRangePoint> = (0..n).map(point).collect();
            assert_margin_is_blank(&lr_range("Range", &points, &[]).to_image());
        }
        let broken = LrRangePoint { learning_rate: 0.1, loss: f64::NAN, smoothed: f64::INFINITY };
        assert_margin_is_blank(&lr_range("Range", &[broken], &[]).to_image());
    }
}
