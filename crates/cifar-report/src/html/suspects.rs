//! Training images whose labels may be wrong.

use cifar_metrics::Verdict;
use maud::{Markup, html};

use super::Suspects;
use super::gallery::{picture, view};
use super::sprites::{Place, Sprites};

/// Most suspects of a page.
const MAX_SUSPECTS: usize = 36;

/// The gallery, and the sheets it is on as CSS.
pub(super) fn section(suspects: Option<&Suspects<'_>>, class_names: &[String]) -> (Markup, String) {
    let Some(Suspects { examples, n_epochs, pixels }) = suspects else {
        let content = html! {
            p {
                "The run did not keep the losses of single images, or its data or weights were not at hand."
            }
        };
        return (content, String::new());
    };
    let mut sprites =
        Sprites::new("suspect", MAX_SUSPECTS, |_, sample: usize| picture(pixels, sample));
    let content = html! {
        p {
            "The training images with the highest mean loss over " (n_epochs) " "
            @if *n_epochs == 1 { "epoch" } @else { "epochs" }
            ": the cross-entropy of the label, in nats, of the augmented image just before each step that learns \
            from it. A label that contradicts the other images keeps its loss high. So does an image that is rare, \
            unclear or just hard; a high loss asks for a look and proves nothing, and a wrong label that many \
            images share is not found. After few epochs it says little."
        }
        p.note { "Each with what the network now takes the image for, and its label." }
        div.gallery {
            @for (verdict, mean_loss) in examples {
                @if let Some(place) = sprites.place(verdict.truth, verdict.sample) {
                    (item(verdict, *mean_loss, place, class_names))
                }
            }
        }
    };
    (content, sprites.css())
}

fn item(verdict: &Verdict, mean_loss: f64, place: Place, class_names: &[String]) -> Markup {
    let (label, predicted) = (&class_names[verdict.truth], &class_names[verdict.predicted]);
    let percent = format!("{:.0} %", 100.0 * verdict.probability);
    let image = format!("training image {}", verdict.sample);
    html! {
        figure.item.wrong[!verdict.is_right()] {
            div.views { (view(place, &image, &format!("{image}: a picture with label {label}"))) }
            figcaption {
                span.predicted { (predicted) " " span.probability { (percent) } }
                span.truth { "label " (label) }
                span.truth { "loss " (format!("{mean_loss:.2}")) }
            }
        }
    }
}
