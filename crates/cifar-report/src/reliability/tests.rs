use cifar_metrics::Evaluator;

use super::*;
use crate::drawing::Mark;
use crate::probe::{assert_margin_is_blank, paths, texts};

/// Two classes; `margins` are the logits of the first, all labels are it.
fn calibration(margins: &[f32]) -> Calibration {
    let mut evaluator = Evaluator::new(2);
    for &margin in margins {
        evaluator.add_batch(&[margin, 0.0], &[0]).unwrap();
    }
    evaluator.finish().calibration
}

fn heights(drawing: &Drawing, wanted: image::Rgb<u8>) -> Vec<u32> {
    let of_colour = |mark: &Mark| match mark {
        Mark::Fill { rect, colour } if *colour == wanted => Some(rect.height),
        _ => None,
    };
    // The first is the legend's.
    drawing.marks.iter().filter_map(of_colour).skip(1).collect()
}

#[test]
fn bars_are_accuracies_gaps_reach_the_confidence_and_the_error_is_told() {
    // One right and one wrong, each with a confidence of 0.881.
    let drawing = reliability_diagram("Run", &calibration(&[2.0, -2.0]));
    let accuracy = HEIGHT / 2;
    assert_eq!(heights(&drawing, DATA)[0], accuracy);
    let confidence = 1.0 / (1.0 + (-2.0_f64).exp());
    let gap = (f64::from(HEIGHT) * confidence).round() as u32 - accuracy;
    assert_eq!(heights(&drawing, pale(SECOND)), [gap]);
    let texts = texts(&drawing);
    assert_eq!(texts[1], "expected calibration error 38.08% (15 bins)");
    for wanted in ["accuracy (%)", "confidence (%)", "samples (%)", "perfect agreement"] {
        assert!(texts.contains(&wanted), "{wanted} in {texts:?}");
    }
    assert_eq!(paths(&drawing).len(), 2, "the diagonal, and its sample in the legend");
    assert_margin_is_blank(&drawing.to_image());
}

#[test]
fn the_histogram_holds_every_sample() {
    let drawing = reliability_diagram("Run", &calibration(&[9.0, 9.0, 9.0, 0.5]));
    let bars = heights(&drawing, DATA);
    let histogram = &bars[bars.len() - 15..];
    let (full, rest) = (histogram[14], histogram[9]);
    assert!(full == HISTOGRAM_HEIGHT * 3 / 4 || full > 2 * rest, "{histogram:?}");
    assert_eq!(histogram.iter().filter(|&&height| height > 0).count(), 2);
}

#[test]
fn no_samples_leave_empty_axes() {
    let drawing = reliability_diagram("Run", &calibration(&[]));
    assert_eq!(texts(&drawing)[1], "no samples");
    assert_margin_is_blank(&drawing.to_image());
}
