//! The confusion matrix as a table whose cells open the pictures behind them, and the mistakes by
//! pair and by class.

use std::collections::BTreeMap;

use cifar_metrics::{ConfusionMatrix, Verdict};
use maud::{Markup, html};

use super::gallery::{Pictures, gallery};
use crate::svg::Hex;
use crate::text::grouped;
use crate::theme::{dark_share_colour, share_colour, text_on};

/// Most pictures behind one cell.
const MAX_IN_CELL: usize = 10;
/// Most pairs that are listed, and pictures of each.
pub(super) const MAX_PAIRS: usize = 9;
const MAX_IN_PAIR: usize = 6;

/// The samples behind each cell, by true and predicted class.
pub(super) type Cells = BTreeMap<(usize, usize), Vec<Verdict>>;

/// A row per true class, a column per predicted class. Where the samples are known, a cell is a
/// button that opens their pictures.
pub(super) fn matrix(matrix: &ConfusionMatrix, class_names: &[String], cells: &Cells) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Confusion matrix" {
            table.matrix style={ "--n:" (class_names.len()) } {
                thead {
                    tr {
                        td.corner { span { "true" } " \\ " span { "predicted" } }
                        @for name in class_names { th scope="col" { span { (name) } } }
                    }
                }
                tbody {
                    @for (truth, counts) in matrix.rows().enumerate() {
                        tr {
                            th scope="row" { (class_names[truth]) }
                            @for (predicted, &count) in counts.iter().enumerate() {
                                td {
                                    (cell((truth, predicted), count, matrix, class_names, cells))
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cell(
    place: (usize, usize),
    count: u64,
    matrix: &ConfusionMatrix,
    class_names: &[String],
    cells: &Cells,
) -> Markup {
    // A class without samples has no shares; its counts are all 0.
    let share = count as f64 / matrix.row_total(place.0).max(1) as f64;
    let (light, dark) = (share_colour(share), dark_share_colour(share));
    let style = format!(
        "--l:{};--lt:{};--d:{};--dt:{}",
        Hex(light),
        Hex(text_on(light)),
        Hex(dark),
        Hex(text_on(dark))
    );
    let title = title(place, class_names);
    html! {
        @if cells.contains_key(&place) {
            button.cell type="button" style=(style) data-opens=(template_id(place)) aria-haspopup="dialog"
                aria-label={ (title) ": " (grouped(count)) " images, open their pictures" } {
                (count)
            }
        } @else {
            span.cell.empty[count == 0] style=(style) title=(title) { (count) }
        }
    }
}

fn title((truth, predicted): (usize, usize), class_names: &[String]) -> String {
    match truth == predicted {
        true => format!("{} recognised", class_names[truth]),
        false => format!("{} taken for {}", class_names[truth], class_names[predicted]),
    }
}

fn template_id((truth, predicted): (usize, usize)) -> String {
    format!("cell-{truth}-{predicted}")
}

/// What the cells open: of mistakes the surest, of right predictions the least sure.
pub(super) fn templates(
    cells: &Cells,
    class_names: &[String],
    pictures: &mut Pictures<'_>,
) -> Markup {
    // The fullest cells first, so that a page that gets full leaves out the rare mistakes.
    let mut by_size: Vec<_> = cells.iter().collect();
    by_size.sort_by_key(|(_, verdicts)| std::cmp::Reverse(verdicts.len()));
    html! {
        @for (&place, verdicts) in by_size {
            @let order = if place.0 == place.1 { "the least sure first" } else { "the surest first" };
            template id=(template_id(place)) data-title=(title(place, class_names)) {
                p { (grouped(verdicts.len() as u64)) " images, " (order) }
                @if place.0 == place.1 {
                    @let reversed: Vec<Verdict> = verdicts.iter().rev().copied().collect();
                    (gallery(&reversed, MAX_IN_CELL, class_names, pictures))
                } @else {
                    (gallery(verdicts, MAX_IN_CELL, class_names, pictures))
                }
            }
        }
    }
}

/// The most frequent mistakes with their surest pictures.
pub(super) fn pairs(
    matrix: &ConfusionMatrix,
    class_names: &[String],
    cells: &Cells,
    pictures: &mut Pictures<'_>,
) -> Markup {
    html! {
        @for pair in matrix.most_confused(MAX_PAIRS) {
            @let place = (pair.truth, pair.predicted);
            div.pair {
                h4 { (title(place, class_names)) " " span.note { (grouped(pair.count)) " images" } }
                @if let Some(verdicts) = cells.get(&place) {
                    (gallery(verdicts, MAX_IN_PAIR, class_names, pictures))
                    @if verdicts.len() > MAX_IN_PAIR {
                        button type="button" data-opens=(template_id(place)) aria-haspopup="dialog" {
                            "More of these"
                        }
                    }
                }
            }
        }
    }
}

/// For each class, its images that were not found, and those of others that were taken for it.
pub(super) fn by_class(
    matrix: &ConfusionMatrix,
    class_names: &[String],
    mistakes: &[Verdict],
    most: usize,
    pictures: &mut Pictures<'_>,
) -> Markup {
    html! {
        @for (class, name) in class_names.iter().enumerate() {
            @let missed: Vec<Verdict> = mistakes.iter().filter(|v| v.truth == class).copied().collect();
            @let taken: Vec<Verdict> = mistakes.iter().filter(|v| v.predicted == class).copied().collect();
            details {
                summary {
                    strong { (name) } " "
                    span.note {
                        (grouped(missed.len() as u64)) " of " (grouped(matrix.row_total(class)))
                        " missed, " (grouped(taken.len() as u64)) " others taken for it"
                    }
                }
                @if !missed.is_empty() {
                    h4 { "Missed" }
                    (gallery(&missed, most, class_names, pictures))
                }
                @if !taken.is_empty() {
                    h4 { "Taken for " (name) }
                    (gallery(&taken, most, class_names, pictures))
                }
            }
        }
    }
}
