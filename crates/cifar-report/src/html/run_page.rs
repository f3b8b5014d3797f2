//! The page of one run.

use cifar_metrics::{Evaluation, Verdict, by_cell, least_sure_hits, surest_mistakes};
use maud::{Markup, html};

use super::confusion::{self, Cells};
use super::gallery::{Pictures, gallery};
use super::insight;
use super::shell::{self, Section};
use super::{RunReport, TestedImages, facts, plot, suspects, time};
use crate::chart::{Chart, HALF_HEIGHT};
use crate::curves::{history_chart, norm_chart, rate_chart};
use crate::reliability::reliability_at;
use crate::text::grouped;

/// Most pictures of a gallery of the whole test, and of one class.
const MAX_SHOWN: usize = 36;
const MAX_OF_CLASS: usize = 12;

pub(super) fn page(report: &RunReport<'_>) -> Markup {
    let lead = html! {
        (facts::headline(&report.headline))
        (shell::missing(&report.missing))
    };
    let mut sections =
        vec![Section { id: "training", title: "Training", content: training(report) }];
    let mut style = String::new();
    if let Some(evaluation) = report.evaluation {
        match report.tested {
            Some(tested) => {
                let mut pictures = Pictures::new(tested, report.insight);
                sections.extend(with_pictures(report, evaluation, tested, &mut pictures));
                if let Some(insight) = report.insight {
                    let (content, sheets) =
                        insight::section(insight, report.class_names, &mut pictures);
                    sections.push(Section { id: "network", title: "Network", content });
                    style += &sheets;
                }
                style += &pictures.css();
            }
            None => sections.push(Section {
                id: "test",
                title: "Test",
                content: test(report, evaluation, &Cells::new()),
            }),
        }
    }
    let (content, sheets) = suspects::section(report.suspects.as_ref(), report.class_names);
    sections.push(Section { id: "labels", title: "Suspected label errors", content });
    style += &sheets;
    sections.push(Section { id: "data", title: "Data", content: data(report) });
    sections.push(Section { id: "time", title: "Time", content: timing(report) });
    sections.push(Section { id: "again", title: "Do it again", content: again(report) });
    shell::document(report.title, &lead, &sections, &style)
}

fn training(report: &RunReport<'_>) -> Markup {
    let RunReport { steps, validation, .. } = report;
    if steps.is_empty() {
        return html! { p { "No optimiser step was logged, so there are no curves." } };
    }
    let not_finite = steps.iter().filter(|step| !step.loss.is_finite()).count();
    html! {
        @if not_finite > 0 {
            p.warning {
                "The loss of " (grouped(not_finite as u64)) " of " (grouped(steps.len() as u64))
                " steps is not a finite number; the curves leave them out."
            }
        }
        (plot::hint())
        div.charts {
            (drawn(history_chart("Loss and accuracy", steps, validation)))
            div {
                (drawn(low(rate_chart("Learning rate", steps))))
                (drawn(low(norm_chart("Gradient norm", steps))))
            }
        }
    }
}

/// As high as one panel of the chart beside it.
fn low(chart: Chart<'_>) -> Chart<'_> {
    Chart { panel_height: HALF_HEIGHT, ..chart }
}

/// A chart whose header becomes the page's own words.
fn drawn(chart: Chart<'_>) -> Markup {
    plot::chart(chart.header.title, &chart.header.subtitle, |width| chart.draw(width))
}

/// The figures, the matrix, and the pictures behind both.
fn with_pictures(
    report: &RunReport<'_>,
    evaluation: &Evaluation,
    tested: TestedImages<'_>,
    pictures: &mut Pictures<'_>,
) -> [Section; 2] {
    let names = report.class_names;
    let cells = by_cell(tested.verdicts);
    let mistakes = surest_mistakes(tested.verdicts);
    // The galleries come before the cells, so that a page that gets full is full of them.
    let failures = failures(report, evaluation, tested.verdicts, (&mistakes, &cells), pictures);
    let content = html! {
        (test(report, evaluation, &cells))
        (confusion::templates(&cells, names, pictures))
    };
    [
        Section { id: "test", title: "Test", content },
        Section { id: "failures", title: "Failures", content: failures },
    ]
}

fn test(report: &RunReport<'_>, evaluation: &Evaluation, cells: &Cells) -> Markup {
    let names = report.class_names;
    html! {
        h3 { "Confusion matrix" }
        @if cells.is_empty() {
            p.note { "Counts of test images." }
        } @else {
            p.note {
                "Counts of test images. A cell opens the pictures behind it; arrow keys move from cell to cell."
            }
        }
        (confusion::matrix(&evaluation.confusion, names, cells))
        div.columns {
            div {
                h3 { "Each class" }
                (facts::per_class(names, &evaluation.per_class))
            }
            div {
                h3 { "Calibration" }
                (plot::still("Reliability", &ece(evaluation), |width| {
                    reliability_at(width, "Reliability diagram", &evaluation.calibration)
                }))
            }
        }
    }
}

fn ece(evaluation: &Evaluation) -> String {
    let ece = evaluation.calibration.ece;
    match ece.is_finite() {
        true => format!("expected calibration error {:.2} %", 100.0 * ece),
        false => "no samples".to_owned(),
    }
}

fn failures(
    report: &RunReport<'_>,
    evaluation: &Evaluation,
    verdicts: &[Verdict],
    (mistakes, cells): (&[Verdict], &Cells),
    pictures: &mut Pictures<'_>,
) -> Markup {
    let (names, matrix) = (report.class_names, &evaluation.confusion);
    html! {
        @if mistakes.is_empty() {
            p { "Every image was classified right." }
        } @else {
            @if let Some(insight) = report.insight { (insight::heat_note(insight)) }
            h3 { "Surest mistakes" }
            (gallery(mistakes, MAX_SHOWN, names, pictures))
            h3 { "Most confused pairs" }
            div.pairs { (confusion::pairs(matrix, names, cells, pictures)) }
            h3 { "By class" }
            (confusion::by_class(matrix, names, mistakes, MAX_OF_CLASS, pictures))
        }
        h3 { "Right, but least sure" }
        (gallery(&least_sure_hits(verdicts), MAX_SHOWN, names, pictures))
    }
}

fn data(report: &RunReport<'_>) -> Markup {
    match &report.data {
        Some(data) => facts::data(report.class_names, data),
        None => html! { p { "The data were not at hand, so there are no figures of them." } },
    }
}

fn timing(report: &RunReport<'_>) -> Markup {
    html! {
        @if report.timing.is_empty() {
            p { "No times were logged." }
        } @else {
            (facts::list(&report.timing))
            (time::parts(&report.time_parts))
        }
    }
}

fn again(report: &RunReport<'_>) -> Markup {
    html! {
        h3 { "Command" }
        (facts::code(report.command, "the command"))
        p.note { (report.command_note) }
        div.columns {
            div {
                h3 { "Recipe" }
                (facts::code(report.config, "the recipe"))
            }
            div {
                h3 { "Environment" }
                (facts::list(&report.environment))
            }
        }
    }
}
