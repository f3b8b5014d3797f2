//! Pictures of test images with what the network takes them for.

use cifar_metrics::Verdict;
use maud::{Markup, html};

use super::TestedImages;
use super::insight::{Insight, MAX_EXPLAINED};
use super::sprites::{Place, Sprites};
use crate::canvas::{PICTURE_BYTES, PICTURE_SIDE};
use crate::overlay::{overlay, rgb_image};
use crate::text::grouped;

/// Most test images of a page: at no more than 4.2 kB each as text, they and all else leave it under
/// 5 MB.
const MAX_PICTURES: usize = 800;

/// The test images of a page, and the heat maps over some of them.
pub(super) struct Pictures<'a> {
    images: Sprites<'a>,
    heat: Sprites<'a>,
    insight: Option<&'a Insight>,
}

/// The views of one image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Views {
    image: Place,
    /// The heat map over it, and whether that is all dark.
    heat: Option<(Place, bool)>,
}

impl<'a> Pictures<'a> {
    pub(super) fn new(tested: TestedImages<'a>, insight: Option<&'a Insight>) -> Self {
        let image = move |_, sample: usize| picture(tested.pixels, sample);
        let covered = move |_, sample: usize| {
            let image = picture(tested.pixels, sample);
            match insight.and_then(|insight| insight.heat_maps.get(&sample)) {
                Some(heat) => overlay(&image, heat, 1),
                None => image,
            }
        };
        Self {
            images: Sprites::new("image", MAX_PICTURES, image),
            heat: Sprites::new("heat", MAX_EXPLAINED, covered),
            insight,
        }
    }

    /// Where a sample's views are, on the sheets of its class; none once the page is full.
    pub(super) fn place(&mut self, verdict: &Verdict) -> Option<Views> {
        let Verdict { sample, truth, .. } = *verdict;
        let image = self.images.place(truth, sample)?;
        let map = self.insight.and_then(|insight| insight.heat_maps.get(&sample));
        let heat = map.and_then(|map| Some((self.heat.place(truth, sample)?, map.is_blank())));
        Some(Views { image, heat })
    }

    /// The sheets as CSS.
    pub(super) fn css(&self) -> String {
        self.images.css() + &self.heat.css()
    }
}

/// A sample of `pixels`, which has planes R, G, B for each.
pub(super) fn picture(pixels: &[u8], sample: usize) -> image::RgbImage {
    let side = PICTURE_SIDE as usize;
    rgb_image(&pixels[sample * PICTURE_BYTES..][..PICTURE_BYTES], side, side)
}

/// Shows at most `most` of `verdicts`, in their order, and says how many of how many are shown.
pub(super) fn gallery(
    verdicts: &[Verdict],
    most: usize,
    class_names: &[String],
    pictures: &mut Pictures<'_>,
) -> Markup {
    let placed = |verdict: &Verdict| Some((*verdict, pictures.place(verdict)?));
    let shown: Vec<(Verdict, Views)> = verdicts.iter().take(most).map_while(placed).collect();
    html! {
        @if shown.len() < verdicts.len() {
            p.note { (grouped(shown.len() as u64)) " of " (grouped(verdicts.len() as u64)) " shown" }
        }
        div.gallery {
            @for (verdict, views) in shown { (item(&verdict, views, class_names)) }
        }
    }
}

/// A picture with its caption, and the heat map over it beside it.
pub(super) fn item(verdict: &Verdict, views: Views, class_names: &[String]) -> Markup {
    let (truth, predicted) = (&class_names[verdict.truth], &class_names[verdict.predicted]);
    let percent = format!("{:.0} %", 100.0 * verdict.probability);
    let image = format!("test image {}", verdict.sample);
    let heat = |blank: bool| match blank {
        true => format!("{image}: a dark heat map, nothing in it speaks for {predicted}"),
        false => format!("{image}: heat map of what speaks for {predicted}"),
    };
    html! {
        figure.item.wrong[!verdict.is_right()].two[views.heat.is_some()] {
            div.views {
                (view(views.image, &image, &format!("{image}: a picture of class {truth}")))
                @if let Some((place, blank)) = views.heat {
                    (view(place, &heat(blank), &heat(blank)))
                }
            }
            figcaption {
                span.predicted { (predicted) " " span.probability { (percent) } }
                @if !verdict.is_right() { span.truth { "is " (truth) } }
            }
        }
    }
}

/// One picture of a sheet; `title` is told under the pointer, `label` instead of the picture.
pub(super) fn view(place: Place, title: &str, label: &str) -> Markup {
    html! {
        div.view.(place.css_class()) style=(place.css()) role="img" title=(title) aria-label=(label) {}
    }
}
