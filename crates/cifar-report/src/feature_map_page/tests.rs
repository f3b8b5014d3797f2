use cifar_net::Stage;

use super::*;
use crate::drawing::Mark;
use crate::explain::HeatMap;
use crate::probe::{assert_margin_is_blank, texts};

/// `channels` maps of 4x8; channel `c` is `c` everywhere.
fn stage(name: &str, channels: usize) -> ExplainedStage {
    let stage = Stage { name: name.into(), path: name.into(), channels, height: 4, width: 8 };
    let activations = (0..channels).flat_map(|channel| [channel as f32; 32]).collect();
    ExplainedStage { stage, activations, grad_cam: HeatMap::new(4, 8, vec![0.0; 32]) }
}

fn page(stages: Vec<ExplainedStage>) -> Drawing {
    let saliency = HeatMap::new(1, 1, vec![1.0]);
    feature_map_page("Maps", &Explanation { logits: vec![0.0], class: 0, stages, saliency })
}

#[test]
fn the_strongest_maps_of_each_stage_stand_with_their_numbers() {
    let drawing = page(vec![stage("conv1", 2), stage("conv2", 25)]);
    let texts = texts(&drawing);
    assert_eq!(texts[2..5], ["conv1: 2 maps of 4x8, the lightest is 1.00", "1", "0"]);
    assert_eq!(texts[5..8], ["conv2: 25 maps of 4x8, the lightest is 24.00", "24", "23"]);
    assert_eq!(texts.len(), 5 + 1 + N_SHOWN);
    let maps = drawing.marks.iter().filter_map(|mark| match mark {
        Mark::Picture { scale, pixels, .. } => Some((*scale, *pixels.get_pixel(7, 3))),
        _ => None,
    });
    let maps: Vec<_> = maps.collect();
    assert_eq!(maps[0], (8, heat_colour(1.0)));
    assert_eq!(maps[1], (8, heat_colour(0.0)), "a stage has one scale");
    assert_eq!(maps[3], (8, heat_colour(f64::from(23f32 / 24.0))));
}

#[test]
fn nothing_is_cut_off_and_dead_maps_are_black() {
    for channels in [1, 9, 10, 11, 40] {
        let drawing = page(vec![stage("a", channels), stage("b", 1)]);
        assert_margin_is_blank(&drawing.to_image());
    }
    assert_margin_is_blank(&page(Vec::new()).to_image());
}
