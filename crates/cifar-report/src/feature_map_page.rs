use image::RgbImage;

use crate::canvas::Canvas;
use crate::drawing::Drawing;
use crate::explain::{ExplainedStage, Explanation};
use crate::header::Header;
use crate::overlay::heat_colour;
use crate::rect::Rect;
use crate::text::Align;
use crate::theme::{GAP, MARGIN, PAGE_WIDTH, ROW, SPACE, STRONG, TICK};

/// Longest side of a feature map in the picture, at most, and the maps of a row.
const MAP: u32 = 64;
const COLUMNS: u32 = 10;
/// From one map to the next; with it ten of them are nearly as wide as the page.
const GUTTER: u32 = 10;
/// Maps of a stage that are shown.
const N_SHOWN: usize = 20;

/// The feature maps of every stage that answer most to the picture, by their mean activation, each
/// with the number of its channel. Light is much, black is 0 or less; the maps of a stage share
/// one scale.
pub fn feature_map_page(title: &str, explanation: &Explanation) -> Drawing {
    let subtitle = format!("the channels with the highest means, at most {N_SHOWN} of each stage");
    let header = Header { title, subtitle };
    let heights = explanation.stages.iter().map(|stage| block_height(stage) + SPACE);
    let height = (header.bottom() + heights.sum::<u32>()).saturating_sub(SPACE) + MARGIN;
    let mut canvas = header.sheet(PAGE_WIDTH, height);
    let mut top = header.bottom();
    for stage in &explanation.stages {
        draw_stage(&mut canvas, stage, top);
        top += block_height(stage) + SPACE;
    }
    canvas.into_drawing()
}

fn block_height(stage: &ExplainedStage) -> u32 {
    let n_rows = (N_SHOWN.min(stage.stage.channels) as u32).div_ceil(COLUMNS);
    ROW + GAP + n_rows * row_height(stage) - GUTTER
}

/// Of a row of maps with their numbers and the space below.
fn row_height(stage: &ExplainedStage) -> u32 {
    stage.stage.height as u32 * scale(stage) + ROW + GUTTER
}

fn scale(stage: &ExplainedStage) -> u32 {
    (MAP / stage.stage.height.max(stage.stage.width) as u32).max(1)
}

fn draw_stage(canvas: &mut Canvas, explained: &ExplainedStage, top: u32) {
    let stage = &explained.stage;
    let shown = explained.strongest(N_SHOWN);
    let largest = largest_value(explained, &shown);
    let heading = Rect::new(MARGIN, top, PAGE_WIDTH - 2 * MARGIN, ROW);
    let text = format!(
        "{}: {} maps of {}x{}, the lightest is {largest:.2}",
        stage.name, stage.channels, stage.height, stage.width
    );
    canvas.text(heading, &text, Align::Start, STRONG);
    let maps_top = heading.bottom() + GAP;
    for (index, channel) in (0..).zip(shown) {
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        let left = MARGIN + column * (MAP + GUTTER);
        let top = maps_top + row * row_height(explained);
        let map = map_image(explained, channel, largest);
        let (scale, height) = (scale(explained), map.height());
        canvas.image(left, top, map, scale);
        let number = Rect::new(left, top + height * scale, MAP, ROW);
        canvas.text(number, &channel.to_string(), Align::Start, TICK);
    }
}

/// The largest value of those channels, or 0 where none is positive.
pub(crate) fn largest_value(explained: &ExplainedStage, channels: &[usize]) -> f32 {
    let values = channels.iter().flat_map(|&channel| explained.feature_map(channel));
    values.copied().fold(0f32, f32::max)
}

/// A channel as a picture, as light as `largest` is near.
pub(crate) fn map_image(explained: &ExplainedStage, channel: usize, largest: f32) -> RgbImage {
    let (height, width) = (explained.stage.height as u32, explained.stage.width as u32);
    let map = explained.feature_map(channel);
    RgbImage::from_fn(width, height, |x, y| {
        let value = map[(y * width + x) as usize];
        heat_colour(if largest > 0.0 { f64::from(value / largest) } else { 0.0 })
    })
}

#[cfg(test)]
mod tests;
