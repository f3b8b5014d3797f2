//! What goes on in the network: its first filters, the feature maps of an example, and which images
//! are explained.

use std::collections::{BTreeMap, BTreeSet};

use cifar_metrics::{ConfusionMatrix, Verdict, by_cell, least_sure_hits, surest_mistakes};
use maud::{Markup, html};

use super::confusion::MAX_PAIRS;
use super::gallery::{Pictures, item, view};
use super::sprites::Sprites;
use crate::explain::{ExplainedStage, Explanation, HeatMap};
use crate::feature_map_page::{largest_value, map_image};
use crate::filters::{filter_pictures, largest_weight};

/// Images of a whole gallery that are explained, and of a confused pair.
const N_EXPLAINED: usize = 12;
const N_OF_PAIR: usize = 2;
/// Most images that are explained.
pub(super) const MAX_EXPLAINED: usize = 2 * N_EXPLAINED + N_OF_PAIR * MAX_PAIRS;
/// Feature maps of a stage, and of all stages together.
const N_MAPS: usize = 16;
const MAX_MAPS: usize = 96;
/// Most filters that are shown.
const MAX_FILTERS: usize = 128;

/// What the network's weights and activations tell of it.
#[derive(Debug, Clone)]
pub struct Insight {
    /// The first layer, where it sees colours.
    pub filters: Option<Filters>,
    /// Name of the stage whose Grad-CAM is shown.
    pub stage: String,
    /// What speaks in that stage for the predicted class, by sample.
    pub heat_maps: BTreeMap<usize, HeatMap>,
    /// One image on its way through all stages.
    pub example: Option<(Verdict, Explanation)>,
}

/// The weights of a convolution that sees colours.
#[derive(Debug, Clone)]
pub struct Filters {
    /// Name of the weights.
    pub name: String,
    /// `(K, 3, H, W)` in this order.
    pub weights: Vec<f32>,
    /// Its four sizes.
    pub shape: [usize; 4],
}

/// The images that a report explains where it has their heat maps: the surest mistakes, the least
/// sure right ones and the surest of the most confused pairs, at most 42.
pub fn worth_explaining(verdicts: &[Verdict], matrix: &ConfusionMatrix) -> Vec<Verdict> {
    let cells = by_cell(verdicts);
    let of_pairs = matrix.most_confused(MAX_PAIRS).into_iter().flat_map(|pair| {
        let verdicts = cells.get(&(pair.truth, pair.predicted));
        verdicts.into_iter().flatten().take(N_OF_PAIR).copied()
    });
    let mut seen = BTreeSet::new();
    let first = |verdicts: Vec<Verdict>| verdicts.into_iter().take(N_EXPLAINED);
    first(surest_mistakes(verdicts))
        .chain(of_pairs)
        .chain(first(least_sure_hits(verdicts)))
        .filter(|verdict| seen.insert(verdict.sample))
        .collect()
}

/// What the second picture of some images is.
pub(super) fn heat_note(insight: &Insight) -> Markup {
    let n_images = insight.heat_maps.len();
    html! {
        @if n_images > 0 {
            p.note {
                "Beside " (n_images) " of the pictures, the first of each gallery, lies a heat map: where in the \
                 picture the network's last stage with places, " code { (insight.stage) } ", sees what speaks for \
                 the class that it predicts (Grad-CAM). Light is most, dark is nothing; each map has a scale of \
                 its own."
            }
        }
    }
}

/// The filters and the feature maps, and the sheets they are on as CSS.
pub(super) fn section(
    insight: &Insight,
    class_names: &[String],
    pictures: &mut Pictures<'_>,
) -> (Markup, String) {
    let (filters, mut style) = match &insight.filters {
        Some(filters) => first_filters(filters),
        None => (html! { p.note { "The first layer does not see colours." } }, String::new()),
    };
    let maps = insight.example.as_ref().map(|(verdict, explanation)| {
        let (maps, maps_style) = feature_maps(&explanation.stages);
        style += &maps_style;
        let views = pictures.place(verdict);
        html! {
            h3 { "Feature maps of one picture" }
            p.note {
                "What each stage makes of test image " (verdict.sample) ": the channels with the highest means, \
                 the highest first, each with its number. Light is much, black is 0 or less."
            }
            @if let Some(views) = views {
                div.gallery { (item(verdict, views, class_names)) }
            }
            (maps)
        }
    });
    let content = html! {
        h3 { "First filters" }
        (filters)
        @if let Some(maps) = maps { (maps) }
    };
    (content, style)
}

fn first_filters(filters: &Filters) -> (Markup, String) {
    let Filters { name, weights, shape } = filters;
    let [n_filters, _, height, width] = *shape;
    let tiles = filter_pictures(weights, *shape);
    let mut sprites = Sprites::new("filter", MAX_FILTERS, |_, index: usize| tiles[index].clone());
    let content = html! {
        p.note {
            code { (name) } ", " (n_filters) " filters of " (height) "x" (width) " pixels and three colours: mid \
            grey is a weight of 0, full colour or black the largest of the layer, "
            (format!("{:.3}", largest_weight(weights))) "."
            @if n_filters > MAX_FILTERS { " The first " (MAX_FILTERS) " are shown." }
        }
        div.tiles {
            @for index in 0..n_filters {
                @if let Some(place) = sprites.place(0, index) {
                    @let label = format!("filter {index}");
                    (view(place, &label, &label))
                }
            }
        }
    };
    (content, sprites.css())
}

fn feature_maps(stages: &[ExplainedStage]) -> (Markup, String) {
    let shown: Vec<(&ExplainedStage, Vec<usize>, f32)> = stages
        .iter()
        .map(|stage| {
            let channels = stage.strongest(N_MAPS);
            let largest = largest_value(stage, &channels);
            (stage, channels, largest)
        })
        .collect();
    let map = |stage: usize, channel| {
        let (explained, _, largest) = &shown[stage];
        map_image(explained, channel, *largest)
    };
    let mut sprites = Sprites::new("map", MAX_MAPS, map);
    let content = html! {
        @for (index, (explained, channels, largest)) in shown.iter().enumerate() {
            @let stage = &explained.stage;
            h4 {
                (stage.name) " "
                span.note {
                    (channels.len()) " of " (stage.channels) " maps of " (stage.height) "x" (stage.width)
                    ", the lightest is " (format!("{largest:.2}"))
                }
            }
            div.tiles {
                @for &channel in channels {
                    @if let Some(place) = sprites.place(index, channel) {
                        @let label = format!("{}, channel {channel}", stage.name);
                        figure {
                            (view(place, &label, &label))
                            figcaption { (channel) }
                        }
                    }
                }
            }
        }
    };
    (content, sprites.css())
}
