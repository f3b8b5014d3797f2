use image::RgbImage;

use crate::canvas::Canvas;
use crate::drawing::Drawing;
use crate::explain::{Explanation, HeatMap};
use crate::header::Header;
use crate::overlay::{heat_colour, heat_image, overlay};
use crate::rect::Rect;
use crate::text::Align;
use crate::theme::{
    AXIS_TITLE, DATA, GAP, LABEL, MARGIN, PAGE_WIDTH, ROW, SPACE, STRONG, TICK, pale,
};

/// Longest side of the enlarged picture, and of a panel, at most.
const PICTURE: u32 = 224;
const PANEL: u32 = 160;
const COLUMNS: u32 = 4;
/// From one panel to the next; with it four of them are as wide as the page.
const GUTTER: u32 = 32;
/// Rows of the most probable classes.
const N_CLASSES: usize = 5;
/// Height of a class's bar, and from one class to the next.
const BAR: u32 = 20;
const PITCH: u32 = 40;
/// Longest class name that is written out, in characters.
const MAX_NAME: u32 = 16;
/// Height of the legend's strip of colours.
const STRIP: u32 = 16;

/// What a page of an explanation shows besides the explanation.
#[derive(Debug, Clone, Copy)]
pub struct ExplainedPicture<'a> {
    /// The picture as the network gets it.
    pub picture: &'a RgbImage,
    /// One name for each class.
    pub class_names: &'a [String],
    /// The picture's class, where it is known.
    pub truth: Option<usize>,
}

/// The picture, the five most probable classes, the Grad-CAM of every stage over the picture, and
/// the saliency. A map that is blank says so.
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
    let panels = panels(shown, explanation);
    let top = header.bottom();
    let bars_height = PITCH * ranked(explanation).len() as u32;
    let panels_top = top + PICTURE.max(bars_height) + SPACE;
    // The legend takes the place after the last panel.
    let n_rows = (panels.len() as u32 + 1).div_ceil(COLUMNS);
    let height = panels_top + ROW + GAP + n_rows * PANEL_ROW - SPACE + MARGIN;
    let mut canvas = header.sheet(PAGE_WIDTH, height);
    let scale = scale(shown.picture, PICTURE);
    canvas.image(MARGIN, top, shown.picture.clone(), scale);
    let left = MARGIN + PICTURE + SPACE;
    draw_classes(
        &mut canvas,
        Rect::new(
            left,
            top + (PICTURE.max(bars_height) - bars_height) / 2,
            PAGE_WIDTH - MARGIN - left,
            bars_height,
        ),
        shown,
        explanation,
    );
    let heading = Rect::new(MARGIN, panels_top, PAGE_WIDTH - 2 * MARGIN, ROW);
    canvas.text(heading, &format!("What speaks for {class}"), Align::Start, STRONG);
    let n_panels = panels.len() as u32;
    for (index, panel) in (0..).zip(panels) {
        panel.draw(&mut canvas, place(index, heading.bottom() + GAP));
    }
    draw_legend(&mut canvas, place(n_panels, heading.bottom() + GAP));
    canvas.into_drawing()
}

/// Height of a panel with its two lines of text and the space below.
const PANEL_ROW: u32 = PANEL + GAP + 2 * ROW + SPACE;

/// Where panel `index` goes, text included.
fn place(index: u32, top: u32) -> Rect {
    let (column, row) = (index % COLUMNS, index / COLUMNS);
    Rect::new(MARGIN + column * (PANEL + GUTTER), top + row * PANEL_ROW, PANEL, PANEL_ROW - SPACE)
}

/// The whole factor by which a picture is enlarged to a longest side of `side`.
fn scale(picture: &RgbImage, side: u32) -> u32 {
    (side / picture.width().max(picture.height())).max(1)
}

fn ranked(explanation: &Explanation) -> Vec<(usize, f64)> {
    let mut classes = cifar_metrics::ranking(&explanation.logits);
    classes.truncate(N_CLASSES);
    classes
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
    for (row, (class, probability)) in (0..).zip(ranked(explanation)) {
        let line = Rect { y: area.y + row * PITCH, height: PITCH, ..area };
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

/// A map with its name and a line about it.
struct Panel {
    image: RgbImage,
    scale: u32,
    name: String,
    note: String,
}

impl Panel {
    fn draw(self, canvas: &mut Canvas, place: Rect) {
        canvas.image(place.x, place.y, self.image, self.scale);
        let name = Rect { y: place.y + PANEL + GAP, height: ROW, ..place };
        canvas.text(name, &self.name, Align::Start, LABEL);
        canvas.text(Rect { y: name.bottom(), ..name }, &self.note, Align::Start, TICK);
    }
}

fn panels(shown: &ExplainedPicture<'_>, explanation: &Explanation) -> Vec<Panel> {
    let note = |heat: &HeatMap, otherwise: String| {
        if heat.is_blank() { "nothing at all".to_owned() } else { otherwise }
    };
    let grad_cams = explanation.stages.iter().map(|explained| {
        let (stage, heat) = (&explained.stage, &explained.grad_cam);
        let size = format!("{} maps of {}x{}", stage.channels, stage.height, stage.width);
        Panel {
            image: overlay(shown.picture, heat, scale(shown.picture, PANEL)),
            scale: 1,
            name: format!("Grad-CAM {}", stage.name),
            note: note(heat, size),
        }
    });
    let image = heat_image(&explanation.saliency);
    let saliency = Panel {
        scale: scale(&image, PANEL),
        image,
        name: "saliency".to_owned(),
        note: note(&explanation.saliency, "each pixel's influence".to_owned()),
    };
    grad_cams.chain(std::iter::once(saliency)).collect()
}

/// The colours from nothing to the most.
fn draw_legend(canvas: &mut Canvas, place: Rect) {
    let strip = Rect { height: STRIP, ..place };
    for column in 0..strip.width {
        let value = f64::from(column) / f64::from(strip.width - 1);
        canvas.upright(Rect { x: strip.x + column, ..strip }, heat_colour(value));
    }
    let ends = Rect { y: strip.bottom(), height: ROW, ..place };
    canvas.text(ends, "nothing", Align::Start, TICK);
    canvas.text(ends, "most", Align::End, TICK);
    let below = Rect { y: ends.bottom(), ..ends };
    canvas.text(below, "each map by itself", Align::Start, AXIS_TITLE);
}

#[cfg(test)]
mod tests;
