//! Pictures of test images with what the network takes them for.

use cifar_metrics::Verdict;
use maud::{Markup, html};

use super::sprites::{Place, Sprites};
use crate::text::grouped;

/// Shows at most `most` of `verdicts`, in their order, and says how many of how many are shown.
pub(super) fn gallery(
    verdicts: &[Verdict],
    most: usize,
    class_names: &[String],
    sprites: &mut Sprites<'_>,
) -> Markup {
    let placed =
        |verdict: &Verdict| Some((*verdict, sprites.place(verdict.sample, verdict.truth)?));
    let shown: Vec<(Verdict, Place)> = verdicts.iter().take(most).map_while(placed).collect();
    html! {
        @if shown.len() < verdicts.len() {
            p.note { (grouped(shown.len() as u64)) " of " (grouped(verdicts.len() as u64)) " shown" }
        }
        div.gallery {
            @for (verdict, place) in shown { (item(&verdict, place, class_names)) }
        }
    }
}

/// A picture with its caption. A second view of the same image has its place beside the first.
fn item(verdict: &Verdict, place: Place, class_names: &[String]) -> Markup {
    let (truth, predicted) = (&class_names[verdict.truth], &class_names[verdict.predicted]);
    let percent = format!("{:.0} %", 100.0 * verdict.probability);
    let image = format!("test image {}", verdict.sample);
    html! {
        figure.item.wrong[!verdict.is_right()] {
            div.views {
                div.view.(place.css_class()) style=(place.css()) role="img" title=(image)
                    aria-label={ (image) ": a picture of class " (truth) } {}
            }
            figcaption {
                span.predicted { (predicted) " " span.probability { (percent) } }
                @if !verdict.is_right() { span.truth { "is " (truth) } }
            }
        }
    }
}
