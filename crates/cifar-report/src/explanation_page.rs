use image::RgbImage;

use crate::canvas::Canvas;
use crate::drawing::Drawing;
use crate::explain::{ExplainedStage, Explanation};
use crate::header::Header;
use crate::overlay::{heat_colour, heat_image, overlay};
use crate::rect::Rect;
use crate::text::Align;
use crate::theme::{DATA, GAP, LABEL, MARGIN, PAGE_WIDTH, ROW, SPACE, STRONG, TICK, pale};

/// Longest side of the enlarged picture and of the saliency beside it, at most.
const PICTURE: u32 = 224;
/// Between two things of a row; with it three pictures, or four panels, are as wide as the page.
const GUTTER: u32 = 32;
/// The most probable classes that are listed.
const N_CLASSES: usize = 5;
/// Height of a class's bar, and from one class to the next.
const BAR: u32 = 20;
const PITCH: u32 = 36;
/// Longest class name that is written out, in characters.
const MAX_NAME: u32 = 11;
/// The legend's strip of colours.
const STRIP_WIDTH: u32 = 120;
const STRIP_HEIGHT: u32 = 16;

/// What a page of an explanation shows besides the explanation.
#[derive(Debug, Clone, Copy)]
pub struct ExplainedPicture<'a> {
    /// The picture as the network gets it. Up to 160 pixels a side have their place on the page.
    pub picture: &'a RgbImage,
    /// One name for each class.
    pub class_names: &'a [String],
    /// The picture's class, where it is known.
    pub truth: Option<usize>,
}

/// The picture, the saliency of its pixels and the five most probable classes (with the explained
/// one as a sixth where it is none of them); below, the Grad-CAM of every stage over the picture. A
/// map that is blank says so.
///
/// # Panics
/// If there is not one class name for each score, or the true or the explained class has none.
pub fn explanation_page(
    title: &str,
    shown: &ExplainedPicture<'_>,
    explanation: &Explanation,
) -> Drawing {
    let names = shown.class_names;
    assert_eq!(names.len(), explanation.logits.len(), "one class name for each score");
    let class = &names[explanation.class];
    let header = Header { title, subtitle: subtitle(shown, explanation) };
    let row = Rect::new(MARGIN, header.bottom(), PICTURE, PICTURE + GAP + ROW);
    let heading = Rect::new(MARGIN, row.bottom() + SPACE, PAGE_WIDTH - 2 * MARGIN, ROW);
    let panels = Panels::new(explanation.stages.len() as u32, heading.bottom() + GAP);
    let mut canvas = header.sheet(PAGE_WIDTH, panels.bottom() + MARGIN);
    draw_picture(&mut canvas, row, shown.picture.clone(), &size(shown.picture));
    let saliency = Rect { x: row.right() + GUTTER, ..row };
    let sways = format!("saliency: what sways {class}");
    let note = if explanation.saliency.is_blank() { NOTHING } else { &sways };
    draw_picture(&mut canvas, saliency, heat_image(&explanation.saliency), note);
    let classes = Rect { x: saliency.right() + GUTTER, height: PICTURE, ..row };
    draw_classes(&mut canvas, classes, shown, explanation);
    canvas.text(heading, &format!("Grad-CAM: what speaks for {class}"), Align::Start, STRONG);
    draw_legend(&mut canvas, heading);
    for (index, stage) in (0..).zip(&explanation.stages) {
        draw_panel(&mut canvas, panels.place(index), shown.picture, stage);
    }
    canvas.into_drawing()
}

/// Under a map that is blank.
const NOTHING: &str = "nothing at all";

/// Where the maps of the stages go.
struct Panels {
    n_panels: u32,
    /// Longest side of a map, at most, and the maps of a row.
    side: u32,
    columns: u32,
    top: u32,
}

impl Panels {
    fn new(n_panels: u32, top: u32) -> Self {
        let (side, columns) = if n_panels <= 3 { (PICTURE, 3) } else { (160, 4) };
        Self { n_panels, side, columns, top }
    }

    /// Panel `index`: the map and two lines of text.
    fn place(&self, index: u32) -> Rect {
        let (column, row) = (index % self.columns, index / self.columns);
        let height = self.side + GAP + 2 * ROW;
        let (x, y) = (column * (self.side + GUTTER), row * (height + SPACE));
        Rect::new(MARGIN + x, self.top + y, self.side, height)
    }

    fn bottom(&self) -> u32 {
        self.n_panels.checked_sub(1).map_or(self.top, |last| self.place(last).bottom())
    }
}

/// `image` as large as fits, and a line under it.
fn draw_picture(canvas: &mut Canvas, place: Rect, image: RgbImage, caption: &str) {
    let scale = scale(&image, PICTURE);
    canvas.image(place.x, place.y, image, scale);
    let below = Rect { y: place.y + PICTURE + GAP, height: ROW, ..place };
    canvas.text(below, caption, Align::Start, TICK);
}

fn size(picture: &RgbImage) -> String {
    format!("{}x{} pixels", picture.width(), picture.height())
}

/// The whole factor by which a picture is enlarged to a longest side of `side`.
fn scale(picture: &RgbImage, side: u32) -> u32 {
    (side / picture.width().max(picture.height())).max(1)
}

/// The most probable classes, and the explained one where it is none of them.
fn ranked(explanation: &Explanation) -> Vec<(usize, f64)> {
    let ranking = cifar_metrics::ranking(&explanation.logits).into_iter().enumerate();
    ranking
        .filter(|(rank, (class, _))| *rank < N_CLASSES || *class == explanation.class)
        .map(|(_, entry)| entry)
        .collect()
}

fn subtitle(shown: &ExplainedPicture<'_>, explanation: &Explanation) -> String {
    let (predicted, probability) = ranked(explanation)[0];
    let name = |class: usize| &shown.class_names[class];
    let found = format!("taken for {}, {:.1}%", name(predicted), 100.0 * probability);
    match shown.truth {
        Some(truth) if truth == predicted => format!("{found}; that is right"),
        Some(truth) => format!("{found}; it is {}", name(truth)),
        None => found,
    }
}

/// The most probable classes as bars; the explained one in full colour.
fn draw_classes(
    canvas: &mut Canvas,
    area: Rect,
    shown: &ExplainedPicture<'_>,
    explanation: &Explanation,
) {
    let widest = shown.class_names.iter().map(|name| LABEL.width_of(name)).max().unwrap_or(0);
    let names_width = widest.min(MAX_NAME * LABEL.char_width());
    let left = area.x + names_width + GAP;
    let full = area.right() - left - GAP - TICK.width_of("100.0%");
    let ranked = ranked(explanation);
    let top = area.y + (area.height - PITCH * ranked.len() as u32) / 2;
    for (row, (class, probability)) in (0..).zip(ranked) {
        let line = Rect { y: top + row * PITCH, height: PITCH, ..area };
        let name = Rect { width: names_width, ..line };
        let style = if shown.truth == Some(class) { STRONG } else { LABEL };
        canvas.text(name, &shown.class_names[class], Align::End, style);
        let colour = if class == explanation.class { DATA } else { pale(DATA) };
        let length = (probability * f64::from(full)).round() as u32;
        // Something is left to see of the least.
        let bar = Rect::new(left, line.y + (PITCH - BAR) / 2, length.max(1), BAR);
        canvas.fill(bar, colour);
        let label = format!("{:.1}%", 100.0 * probability);
        let place = Rect { x: bar.right() + GAP, width: TICK.width_of(&label), ..line };
        canvas.text(place, &label, Align::Start, TICK);
    }
}

/// The Grad-CAM of a stage over the picture, its name, and a line about it.
fn draw_panel(canvas: &mut Canvas, place: Rect, picture: &RgbImage, explained: &ExplainedStage) {
    let (stage, heat) = (&explained.stage, &explained.grad_cam);
    canvas.image(place.x, place.y, overlay(picture, heat, scale(picture, place.width)), 1);
    let name = Rect { y: place.y + place.width + GAP, height: ROW, ..place };
    canvas.text(name, &stage.name, Align::Start, LABEL);
    let maps = format!("{} maps of {}x{}", stage.channels, stage.height, stage.width);
    let note = if heat.is_blank() { NOTHING } else { &maps };
    canvas.text(Rect { y: name.bottom(), ..name }, note, Align::Start, TICK);
}

/// The colours from nothing to the most, at the right end of `line`.
fn draw_legend(canvas: &mut Canvas, line: Rect) {
    let (least, most) = ("nothing", "most");
    let right = Rect { x: line.right() - TICK.width_of(most), width: TICK.width_of(most), ..line };
    let strip = Rect::new(
        right.x - GAP - STRIP_WIDTH,
        line.y + (line.height - STRIP_HEIGHT) / 2,
        STRIP_WIDTH,
        STRIP_HEIGHT,
    );
    let width = TICK.width_of(least);
    let left = Rect { x: strip.x - GAP - width, width, ..line };
    canvas.text(left, least, Align::End, TICK);
    canvas.text(right, most, Align::Start, TICK);
    for column in 0..strip.width {
        let value = f64::from(column) / f64::from(strip.width - 1);
        canvas.upright(Rect { x: strip.x + column, ..strip }, heat_colour(value));
    }
}

#[cfg(test)]
mod tests;
