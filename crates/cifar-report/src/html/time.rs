//! What a run's time went into.

use maud::{Markup, html};

/// Colours of the parts, in order; they begin again where there are more parts.
const COLOURS: [&str; 8] = [
    "--data",
    "--second",
    "--third",
    "--fourth",
    "--fifth",
    "--pale-second",
    "--pale-data",
    "--axis",
];

/// The parts as one bar, and a table with their seconds. Nothing where there are none, or no time.
pub(super) fn parts(parts: &[(String, f64)]) -> Markup {
    let total: f64 = parts.iter().map(|(_, secs)| secs).sum();
    let percent = |secs: f64| format!("{:.1} %", 100.0 * secs / total);
    let colours = || COLOURS.iter().cycle();
    let words: Vec<String> =
        parts.iter().map(|(name, secs)| format!("{name} {}", percent(*secs))).collect();
    html! {
        @if total > 0.0 {
            h3 { "What it went into" }
            div.stack role="img" aria-label={ "Shares of the time: " (words.join(", ")) } {
                @for ((_, secs), (colour, words)) in parts.iter().zip(colours().zip(&words)) {
                    @if *secs > 0.0 {
                        span style={ "--v:" (format!("{:.3}", 100.0 * secs / total)) "%;--c:var(" (colour) ")" }
                            title=(words) {}
                    }
                }
            }
            div.scroll tabindex="0" role="region" aria-label="What the time went into" {
                table.figures.parts {
                    thead { tr { th scope="col" { "part" } th scope="col" { "seconds" } th scope="col" { "share" } } }
                    tbody {
                        @for ((name, secs), colour) in parts.iter().zip(colours()) {
                            tr {
                                th scope="row" { i style={ "--c:var(" (colour) ")" } {} (name) }
                                td { (format!("{secs:.2}")) }
                                td { (percent(*secs)) }
                            }
                        }
                    }
                    tfoot { tr { th scope="row" { "all" } td { (format!("{total:.2}")) } td {} } }
                }
            }
        }
    }
}
