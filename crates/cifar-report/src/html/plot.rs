//! Drawings as parts of a page.

use maud::{Markup, PreEscaped, html};

use crate::drawing::Drawing;
use crate::svg;
use crate::theme::MARGIN;

/// Widths of a drawing's body: for one column on a telephone and for half of a wide page. Text keeps
/// its size, so each is drawn for its width rather than scaled; the style shows the one that fits.
const NARROW: u32 = 320;
const WIDE: u32 = 544;

/// How charts are read.
pub(super) fn hint() -> Markup {
    html! {
        p.note { "Point at a curve, or move to it with Tab and use the arrow keys, to read its values." }
    }
}

/// A chart with a heading. Its curves can be read under the pointer, or with the arrow keys.
pub(super) fn chart(heading: &str, note: &str, draw: impl Fn(u32) -> Drawing) -> Markup {
    html! {
        figure.chart {
            figcaption { strong { (heading) } " " span.note { (note) } }
            div.plot tabindex="0" role="group" aria-label={ (heading) ": arrow keys move along the curves" } {
                (inline(&draw(NARROW + 2 * MARGIN), "narrow"))
                (inline(&draw(WIDE + 2 * MARGIN), "wide"))
            }
            output.reading aria-live="polite" {}
        }
    }
}

/// A drawing without curves to be read.
pub(super) fn still(heading: &str, note: &str, draw: impl Fn(u32) -> Drawing) -> Markup {
    html! {
        figure.chart {
            figcaption { strong { (heading) } " " span.note { (note) } }
            (inline(&draw(NARROW + 2 * MARGIN), "narrow"))
            (inline(&draw(WIDE + 2 * MARGIN), "wide"))
        }
    }
}

fn inline(drawing: &Drawing, class: &str) -> Markup {
    let mut svg = Vec::new();
    // Writing to memory does not fail, and what is written is text that `svg` has escaped.
    let written = svg::write_inline(drawing, class, &mut svg);
    debug_assert!(written.is_ok());
    PreEscaped(String::from_utf8_lossy(&svg).into_owned())
}
