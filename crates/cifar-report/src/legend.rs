use image::Rgb;

use crate::canvas::Canvas;
use crate::drawing::Stroke;
use crate::rect::Rect;
use crate::series::DOT_RADIUS;
use crate::text::Align;
use crate::theme::{GAP, LABEL, ROW, SPACE};

/// Length of the sample in front of an entry's text.
const SAMPLE: u32 = 28;

/// What is shown how. It stands above the data, never on them.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) sample: Sample,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Sample {
    Line { stroke: Stroke, dot: bool },
    Block(Rgb<u8>),
}

/// Places of the entries from left to right in rows of `width` pixels.
fn places(entries: &[Entry], x: u32, y: u32, width: u32) -> Vec<Rect> {
    let (mut left, mut top) = (x, y);
    let mut places = Vec::new();
    for entry in entries {
        let needed = (SAMPLE + GAP + LABEL.width_of(&entry.text)).min(width);
        if left > x && left + needed > x + width {
            (left, top) = (x, top + ROW);
        }
        places.push(Rect::new(left, top, needed, ROW));
        left += needed + SPACE;
    }
    places
}

/// Height of the rows of `entries`, with the space below them.
pub(crate) fn height(entries: &[Entry], width: u32) -> u32 {
    places(entries, 0, 0, width).last().map_or(0, |last| last.bottom() + 2 * GAP)
}

pub(crate) fn draw(canvas: &mut Canvas, entries: &[Entry], x: u32, y: u32, width: u32) {
    for (entry, place) in entries.iter().zip(places(entries, x, y, width)) {
        let sample = Rect { width: SAMPLE, ..place };
        match entry.sample {
            Sample::Line { stroke, dot } => {
                let middle = f64::from(sample.y) + f64::from(ROW) / 2.0;
                // The ends are round and reach a little further.
                let (left, right) = (f64::from(sample.x) + 2.0, f64::from(sample.right()) - 2.0);
                canvas.path(&entry.text, vec![(left, middle), (right, middle)], stroke);
                if dot {
                    canvas.dot((left.midpoint(right), middle), DOT_RADIUS, stroke.colour);
                }
            }
            Sample::Block(colour) => {
                canvas.fill(Rect::new(sample.x, sample.y + 6, SAMPLE, ROW - 12), colour);
            }
        }
        let left = sample.right() + GAP;
        let text = Rect { x: left, width: place.right() - left, ..place };
        canvas.text(text, &entry.text, Align::Start, LABEL);
    }
}
