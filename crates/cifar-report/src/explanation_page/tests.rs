use cifar_net::Stage;

use super::*;
use crate::drawing::Mark;
use crate::explain::HeatMap;
use crate::probe::{assert_margin_is_blank, texts};

fn stage(name: &str, raw: Vec<f32>) -> ExplainedStage {
    let stage = Stage { name: name.into(), path: name.into(), channels: 3, height: 2, width: 2 };
    ExplainedStage { stage, activations: vec![1.0; 12], grad_cam: HeatMap::new(2, 2, raw) }
}

fn explanation(n_stages: usize) -> Explanation {
    let mut stages: Vec<_> =
        (1..n_stages).map(|i| stage(&format!("layer{i}"), vec![0.0, 1.0, 2.0, 3.0])).collect();
    stages.insert(0, stage("stem", vec![-1.0; 4]));
    // Probabilities 1/8, 5/8, 2/8.
    let logits = [1f32, 5.0, 2.0].map(f32::ln).to_vec();
    Explanation { logits, class: 2, stages, saliency: HeatMap::new(8, 8, vec![1.0; 64]) }
}

fn page(explanation: &Explanation, truth: Option<usize>) -> Drawing {
    let picture = RgbImage::from_pixel(8, 8, image::Rgb([9, 8, 7]));
    let class_names = ["cat", "dog", "frog"].map(String::from);
    let shown = ExplainedPicture { picture: &picture, class_names: &class_names, truth };
    explanation_page("Run", &shown, explanation)
}

/// Of its pictures, in pixels.
fn sides(drawing: &Drawing) -> Vec<u32> {
    let side = |mark: &Mark| match mark {
        Mark::Picture { scale, pixels, .. } => Some(scale * pixels.width()),
        _ => None,
    };
    drawing.marks.iter().filter_map(side).collect()
}

#[test]
fn it_shows_the_picture_its_classes_and_a_panel_for_every_stage() {
    let drawing = page(&explanation(4), Some(0));
    assert_eq!(
        texts(&drawing),
        [
            "Run",
            "taken for dog, 62.5%; it is cat",
            "8x8 pixels",
            "saliency: what sways frog",
            "dog",
            "62.5%",
            "frog",
            "25.0%",
            "cat",
            "12.5%",
            "Grad-CAM: what speaks for frog",
            "nothing",
            "most",
            "stem",
            "nothing at all",
            "layer1",
            "3 maps of 2x2",
            "layer2",
            "3 maps of 2x2",
            "layer3",
            "3 maps of 2x2",
        ]
    );
    assert_eq!(sides(&drawing), [224, 224, 160, 160, 160, 160]);
    assert_eq!(sides(&page(&explanation(2), None)), [224; 4], "few maps are larger");
}

#[test]
fn bars_are_as_long_as_the_probabilities_and_the_explained_one_is_dark() {
    let drawing = page(&explanation(1), None);
    let bars: Vec<(u32, bool)> = drawing
        .marks
        .iter()
        .filter_map(|mark| match mark {
            Mark::Fill { rect, colour } if rect.height == BAR => {
                Some((rect.width, *colour == DATA))
            }
            _ => None,
        })
        .collect();
    let [(first, false), (second, true), (third, false)] = bars[..] else { panic!("{bars:?}") };
    assert!(first.abs_diff(5 * third) <= 3 && second.abs_diff(2 * third) <= 2, "{bars:?}");
    let texts = texts(&drawing);
    assert_eq!(texts[1], "taken for dog, 62.5%");
}

#[test]
fn nothing_is_cut_off_for_any_number_of_stages() {
    let mut without_stages = explanation(1);
    without_stages.stages.clear();
    assert_margin_is_blank(&page(&without_stages, None).to_image());
    for n_stages in 1..=9 {
        let drawing = page(&explanation(n_stages), Some(1));
        assert_eq!(drawing.width(), PAGE_WIDTH);
        assert_margin_is_blank(&drawing.to_image());
        assert!(texts(&drawing)[1].ends_with("that is right"));
    }
}

#[test]
fn an_unlikely_class_that_is_explained_is_listed_too() {
    let class_names: Vec<String> = (0..8).map(|class| format!("class {class}")).collect();
    let picture = RgbImage::new(4, 4);
    let shown = ExplainedPicture { picture: &picture, class_names: &class_names, truth: None };
    let logits = (0..8u8).map(|class| -f32::from(class)).collect();
    let drawing =
        explanation_page("Run", &shown, &Explanation { logits, class: 7, ..explanation(4) });
    let listed =
        texts(&drawing).into_iter().filter(|text| text.starts_with("class ")).collect::<Vec<_>>();
    assert_eq!(listed, ["class 0", "class 1", "class 2", "class 3", "class 4", "class 7"]);
    assert_margin_is_blank(&drawing.to_image());
}
