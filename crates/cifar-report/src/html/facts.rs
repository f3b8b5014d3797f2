//! Names and figures.

use cifar_metrics::ClassMetrics;
use maud::{Markup, html};

use super::{DataReport, Fact};
use crate::text::grouped;

/// The figures that come first, large.
pub(super) fn headline(facts: &[Fact]) -> Markup {
    html! {
        dl.headline {
            @for fact in facts {
                div { dt { (fact.name) } dd { (fact.value) } }
            }
        }
    }
}

/// One line each.
pub(super) fn list(facts: &[Fact]) -> Markup {
    html! {
        dl.facts {
            @for fact in facts {
                div { dt { (fact.name) } dd { (fact.value) } }
            }
        }
    }
}

/// Text to be copied as it stands.
pub(super) fn code(text: &str, what: &str) -> Markup {
    html! {
        div.code {
            button type="button" data-copies="" aria-label={ "Copy " (what) } { "Copy" }
            pre tabindex="0" { code { (text) } }
        }
    }
}

/// A fraction as percent, or a dash where it is undefined.
pub(super) fn percent(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{:.1} %", 100.0 * value))
}

/// Precision, recall and F1 of each class, with their means over the classes that have them.
pub(super) fn per_class(class_names: &[String], classes: &[ClassMetrics]) -> Markup {
    let figures: [fn(&ClassMetrics) -> Option<f64>; 3] =
        [|class| class.precision, |class| class.recall, |class| class.f1];
    html! {
        div.scroll tabindex="0" role="region" aria-label="Figures of each class" {
            table.figures {
                thead {
                    tr {
                        th scope="col" { "class" }
                        th scope="col" { "images" }
                        th scope="col" { "precision" }
                        th scope="col" { "recall" }
                        th scope="col" { "F1" }
                    }
                }
                tbody {
                    @for (name, class) in class_names.iter().zip(classes) {
                        tr {
                            th scope="row" { (name) }
                            td { (grouped(class.support as u64)) }
                            @for figure in figures { (bar(figure(class))) }
                        }
                    }
                }
                tfoot {
                    tr {
                        th scope="row" { "mean" }
                        td {}
                        @for figure in figures { td { (percent(mean(classes, figure))) } }
                    }
                }
            }
        }
    }
}

/// A cell whose ground is filled as far as its figure says.
fn bar(value: Option<f64>) -> Markup {
    let width = 100.0 * value.unwrap_or(0.0);
    html! { td.bar style={ "--v:" (format!("{width:.1}")) "%" } { (percent(value)) } }
}

fn mean(classes: &[ClassMetrics], figure: fn(&ClassMetrics) -> Option<f64>) -> Option<f64> {
    let values: Vec<f64> = classes.iter().filter_map(figure).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// How many images of each class there are, and what their colours are like.
pub(super) fn data(class_names: &[String], report: &DataReport) -> Markup {
    let most = report.parts.iter().flat_map(|(_, counts)| counts).copied().max().unwrap_or(0);
    let share = |count: usize| 100.0 * count as f64 / most.max(1) as f64;
    let triple = |values: [f64; 3]| values.map(|value| format!("{value:.4}")).join(", ");
    html! {
        div.scroll tabindex="0" role="region" aria-label="Images of each class" {
            table.figures.counts {
                thead {
                    tr {
                        th scope="col" { "class" }
                        @for (name, _) in &report.parts { th scope="col" { (name) } }
                    }
                }
                tbody {
                    @for (class, name) in class_names.iter().enumerate() {
                        tr {
                            th scope="row" { (name) }
                            @for (_, counts) in &report.parts {
                                td.bar style={ "--v:" (format!("{:.1}", share(counts[class]))) "%" } {
                                    (grouped(counts[class] as u64))
                                }
                            }
                        }
                    }
                }
                tfoot {
                    tr {
                        th scope="row" { "all" }
                        @for (_, counts) in &report.parts {
                            td { (grouped(counts.iter().sum::<usize>() as u64)) }
                        }
                    }
                }
            }
        }
        (list(&[
            Fact::new("mean of red, green, blue", triple(report.mean)),
            Fact::new("standard deviation", triple(report.std)),
        ]))
    }
}
