//! What every page has around its content.

use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing may be loaded, from anywhere.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
                      script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// A part of the page with an entry in its table of contents.
pub(super) struct Section {
    /// The target of links: letters and hyphens.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) content: Markup,
}

/// The document. `more_style` is CSS that belongs to this page alone; it is not escaped.
pub(super) fn document(
    title: &str,
    lead: &Markup,
    sections: &[Section],
    more_style: &str,
) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Without one, a browser asks the server for it.
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) (PreEscaped(more_style)) }
            }
            body {
                header {
                    h1 { (title) }
                    (lead)
                    nav aria-label="Contents" {
                        @for section in sections {
                            a href={ "#" (section.id) } { (section.title) }
                        }
                    }
                }
                main {
                    @for section in sections {
                        section id=(section.id) {
                            h2 { (section.title) }
                            (section.content)
                        }
                    }
                }
                dialog id="pictures" aria-labelledby="pictures-title" {
                    div.dialog-head {
                        h2 id="pictures-title" {}
                        button type="button" data-closes="" { "Close" }
                    }
                    div.dialog-body {}
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// What could not be told.
pub(super) fn missing(sentences: &[String]) -> Markup {
    html! {
        @if !sentences.is_empty() {
            div.missing role="note" {
                strong { "What is missing" }
                ul { @for sentence in sentences { li { (sentence) } } }
            }
        }
    }
}
