//! The page of several runs.

use maud::{Markup, html};

use super::shell::{self, Section};
use super::{Comparison, plot};
use crate::run_curves::{accuracy_overlay, loss_overlay, validation_overlay};

pub(super) fn page(comparison: &Comparison) -> Markup {
    let title = format!("{} runs compared", comparison.rows.len());
    let lead = shell::missing(&comparison.missing);
    let sections = [
        Section { id: "results", title: "Results", content: results(comparison) },
        Section { id: "curves", title: "Curves", content: curves(comparison) },
        Section { id: "time", title: "Time", content: times(comparison) },
        Section { id: "recipes", title: "Recipes", content: differences(comparison) },
    ];
    shell::document(&title, &lead, &sections, "")
}

fn results(comparison: &Comparison) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Results" {
            table.figures.results {
                thead { tr { @for name in &comparison.columns { th scope="col" { (name) } } } }
                tbody {
                    @for row in &comparison.rows {
                        tr {
                            @for (index, cell) in row.iter().enumerate() {
                                @if index == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn curves(comparison: &Comparison) -> Markup {
    let runs = &comparison.curves;
    let validated = runs.iter().any(|run| !run.validation.is_empty());
    let note = "mean over a fiftieth of each run's steps";
    html! {
        @if runs.is_empty() {
            p { "None of the runs has logged a step." }
        } @else {
            (plot::hint())
            div.charts {
                (plot::chart("Training loss", note, |width| loss_overlay("Training loss", runs).draw(width)))
                (plot::chart("Training accuracy", note, |width| {
                    accuracy_overlay("Training accuracy", runs).draw(width)
                }))
                @if validated {
                    (plot::chart("Validation accuracy", "after each epoch", |width| {
                        validation_overlay("Validation accuracy", runs).draw(width)
                    }))
                }
            }
        }
    }
}

fn times(comparison: &Comparison) -> Markup {
    html! {
        @if comparison.times.is_empty() {
            p { "None of the runs has told what its time went into." }
        } @else {
            p.note { "Seconds of the training thread, and their share of the run's." }
            (by_run("part", "What the time went into", comparison, &comparison.times, |part| html! { (part) }))
        }
    }
}

fn differences(comparison: &Comparison) -> Markup {
    html! {
        @if comparison.differences.is_empty() {
            p { "All runs have the same recipe but for the seed." }
        } @else {
            (by_run("key", "Recipe keys that differ", comparison, &comparison.differences, |key| {
                html! { code { (key) } }
            }))
        }
    }
}

/// A table with a column for each run.
fn by_run(
    heading: &str,
    label: &str,
    comparison: &Comparison,
    rows: &[(String, Vec<String>)],
    name: impl Fn(&str) -> Markup,
) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label=(label) {
            table.figures.keys {
                thead {
                    tr {
                        th scope="col" { (heading) }
                        @for row in &comparison.rows { th scope="col" { (row[0]) } }
                    }
                }
                tbody {
                    @for (key, values) in rows {
                        tr {
                            th scope="row" { (name(key)) }
                            @for value in values { td { (value) } }
                        }
                    }
                }
            }
        }
    }
}
