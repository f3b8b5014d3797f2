use cifar_metrics::{ConfusionMatrix, Evaluator};

use cifar_net::Stage;

use super::*;
use crate::canvas::PICTURE_BYTES;
use crate::chart::Chart;
use crate::curves::{history_chart, norm_chart, rate_chart};
use crate::explain::{ExplainedStage, Explanation, HeatMap};
use crate::probe::assert_margin_is_blank;
use crate::reliability::reliability_at;
use crate::run_curves::{accuracy_overlay, loss_overlay, validation_overlay};

const ATTACK: &str = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>";

fn names(n_classes: usize) -> Vec<String> {
    (0..n_classes).map(|class| format!("class {class}")).collect()
}

/// A test whose sample `i` is of class `i % n_true` and is predicted as class `i * 7 % n_classes`.
fn test(n: usize, n_true: usize, n_classes: usize) -> (Evaluation, Vec<Verdict>) {
    let mut evaluator = Evaluator::new(n_classes);
    let mut verdicts = Vec::new();
    for sample in 0..n {
        let (truth, predicted) = (sample % n_true, sample * 7 % n_classes);
        let mut logits = vec![0.0; n_classes];
        logits[predicted] = 1.0 + (sample % 5) as f32;
        evaluator.add_batch(&logits, &[truth as u32]).unwrap();
        let (_, probability) = cifar_metrics::prediction(&logits);
        verdicts.push(Verdict { sample, truth, predicted, probability });
    }
    (evaluator.finish(), verdicts)
}

/// Bytes that no compression makes smaller.
fn noise(n_pictures: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let byte = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..n_pictures * PICTURE_BYTES).map(byte).collect()
}

fn steps(n: usize) -> Vec<StepPoint> {
    let step = |step| StepPoint {
        step,
        loss: 2.0 / step as f64,
        accuracy: 0.5,
        learning_rate: 0.01,
        gradient_norm: 1.0,
    };
    (1..=n).map(step).collect()
}

/// A report of nothing.
fn bare(class_names: &[String]) -> RunReport<'_> {
    RunReport {
        title: "run",
        headline: Vec::new(),
        missing: Vec::new(),
        command: "cifar train",
        command_note: "",
        config: "",
        class_names,
        data: None,
        steps: &[],
        validation: &[],
        evaluation: None,
        tested: None,
        insight: None,
        suspects: None,
        timing: Vec::new(),
        time_parts: Vec::new(),
        environment: Vec::new(),
    }
}

fn count(html: &Html, text: &str) -> usize {
    html.as_str().matches(text).count()
}

#[test]
fn no_text_breaks_out_of_its_place_and_nothing_is_loaded() {
    let names = vec![ATTACK.to_owned(), "b".to_owned()];
    let (evaluation, verdicts) = test(40, 2, 2);
    let pixels = noise(40);
    let fact = vec![Fact::new(ATTACK, ATTACK)];
    let report = RunReport {
        title: ATTACK,
        headline: fact.clone(),
        missing: vec![ATTACK.to_owned()],
        command: ATTACK,
        command_note: ATTACK,
        config: ATTACK,
        data: Some(DataReport {
            parts: vec![(ATTACK.to_owned(), vec![1, 2])],
            mean: [0.5; 3],
            std: [0.2; 3],
        }),
        steps: &steps(3),
        evaluation: Some(&evaluation),
        tested: Some(TestedImages { verdicts: &verdicts, pixels: &pixels }),
        timing: fact.clone(),
        time_parts: vec![(ATTACK.to_owned(), 1.0)],
        environment: fact,
        ..bare(&names)
    };
    let curves = RunCurves { name: ATTACK.to_owned(), steps: steps(3), validation: Vec::new() };
    let comparison = Comparison {
        columns: vec![ATTACK.to_owned()],
        rows: vec![vec![ATTACK.to_owned()]],
        times: vec![(ATTACK.to_owned(), vec![ATTACK.to_owned()])],
        differences: vec![(ATTACK.to_owned(), vec![ATTACK.to_owned()])],
        curves: vec![curves],
        missing: vec![ATTACK.to_owned()],
    };
    for html in [report.to_html(), comparison.to_html()] {
        assert_eq!((count(&html, "<script"), count(&html, "<title>")), (1, 1));
        assert_eq!((count(&html, "<img"), count(&html, "</script>")), (0, 1));
        assert!(count(&html, "&lt;script&gt;alert(1)") > 0);
        for outside in ["src=\"", "href=\"http", "url(http", "url(/", "@import", "//cdn"] {
            assert_eq!(count(&html, outside), 0, "{outside}");
        }
    }
}

#[test]
fn a_page_without_anything_says_so() {
    let html =
        RunReport { missing: vec!["No curves: the log is lost.".to_owned()], ..bare(&names(10)) }
            .to_html();
    for sentence in [
        "What is missing",
        "No curves: the log is lost.",
        "No optimiser step was logged",
        "The data were not at hand",
        "No times were logged",
    ] {
        assert_eq!(count(&html, sentence), 1, "{sentence}");
    }
    assert_eq!((count(&html, "class=\"matrix\""), count(&html, "<figure")), (0, 0));
}

#[test]
fn cells_open_the_pictures_they_count() {
    let names = names(3);
    let (evaluation, verdicts) = test(60, 3, 3);
    let pixels = noise(60);
    let report = RunReport {
        evaluation: Some(&evaluation),
        tested: Some(TestedImages { verdicts: &verdicts, pixels: &pixels }),
        ..bare(&names)
    };
    let html = report.to_html();
    // Sample i is of class i mod 3 and taken for 7 i mod 3, the same: every prediction is right.
    assert_eq!(evaluation.top1, 1.0);
    assert_eq!((count(&html, "<button class=\"cell\""), count(&html, "<template")), (3, 3));
    assert_eq!(count(&html, "data-title=\"class 1 recognised\""), 1);
    assert_eq!(count(&html, "10 of 20 shown"), 3);
    assert_eq!(count(&html, "Every image was classified right."), 1);
    assert_eq!(count(&html, "data:image/png;base64,"), 3);

    let stored = RunReport { tested: None, ..report }.to_html();
    assert_eq!((count(&stored, "<button class=\"cell\""), count(&stored, "class=\"cell")), (0, 9));
}

#[test]
fn classes_without_images_and_a_set_of_one_class_are_reported() {
    for (n_true, n_classes) in [(2, 4), (1, 1), (1, 3)] {
        let names = names(n_classes);
        let (evaluation, verdicts) = test(30, n_true, n_classes);
        let pixels = noise(30);
        let html = RunReport {
            evaluation: Some(&evaluation),
            tested: Some(TestedImages { verdicts: &verdicts, pixels: &pixels }),
            data: Some(DataReport {
                parts: vec![("training".to_owned(), vec![0; n_classes])],
                mean: [0.0; 3],
                std: [0.0; 3],
            }),
            ..bare(&names)
        }
        .to_html();
        assert!(!html.as_str().contains("NaN"), "{n_true} of {n_classes} classes");
        let undefined = evaluation.per_class.iter().filter(|class| class.recall.is_none()).count();
        assert_eq!(undefined, n_classes - n_true);
        assert!(count(&html, "–</td>") >= undefined);
    }
    let nothing = Evaluator::new(2).finish();
    let html = RunReport { evaluation: Some(&nothing), ..bare(&names(2)) }.to_html();
    assert!(!html.as_str().contains("NaN") && count(&html, "no samples") == 1);
}

#[test]
fn losses_that_are_no_numbers_are_counted_and_left_out() {
    let mut logged = steps(30);
    logged[7].loss = f64::NAN;
    logged[9].gradient_norm = f64::NAN;
    let html = RunReport { steps: &logged, ..bare(&names(2)) }.to_html();
    assert_eq!(count(&html, "The loss of 1 of 30 steps is not a finite number"), 1);
    assert!(!html.as_str().contains("NaN"));
}

#[test]
fn curves_carry_their_values() {
    let html = RunReport { steps: &steps(4), ..bare(&names(2)) }.to_html();
    // For each width: loss, accuracy, learning rate and gradient norm.
    assert_eq!(count(&html, "data-values="), 8);
    assert_eq!(count(&html, "data-values=\"1:2 2:1 3:0.66667 4:0.5\""), 2);
    assert_eq!(count(&html, "data-axes=\"optimiser steps|loss (nats)\""), 2);
}

/// An insight with noise for everything that is not told.
fn insight(heat_of: &[Verdict]) -> Insight {
    let values = |n: usize| noise(n.div_ceil(PICTURE_BYTES)).into_iter().take(n).map(f32::from);
    let stage = |name: &str, side: usize| {
        let (path, plane) = (name.to_owned(), side * side);
        let stage = Stage { name: path.clone(), path, channels: 40, height: side, width: side };
        let grad_cam = HeatMap::new(side, side, values(plane).collect());
        ExplainedStage { stage, activations: values(40 * plane).collect(), grad_cam }
    };
    let stages = vec![stage("one", 32), stage("two", 16), stage("three", 8)];
    let map = |verdict: &Verdict| (verdict.sample, HeatMap::new(32, 32, values(1024).collect()));
    let saliency = HeatMap::new(1, 1, vec![1.0]);
    let explanation = Explanation { logits: vec![1.0], class: 0, stages, saliency };
    Insight {
        filters: Some(Filters {
            name: "conv.weight".to_owned(),
            weights: values(64 * 27).collect(),
            shape: [64, 3, 3, 3],
        }),
        stage: "three".to_owned(),
        heat_maps: heat_of.iter().map(map).collect(),
        example: heat_of.first().map(|&verdict| (verdict, explanation)),
    }
}

#[test]
fn what_is_worth_explaining_gets_its_heat_map_and_nothing_else() {
    let names = names(3);
    let (mut evaluation, mut verdicts) = test(90, 3, 3);
    let mut matrix = ConfusionMatrix::new(3);
    for verdict in &mut verdicts {
        verdict.predicted = verdict.sample / 3 % 3;
        matrix.add(verdict.truth, verdict.predicted);
    }
    evaluation.confusion = matrix;
    let explained = worth_explaining(&verdicts, &evaluation.confusion);
    let distinct: std::collections::BTreeSet<usize> = explained.iter().map(|v| v.sample).collect();
    assert_eq!(distinct.len(), explained.len());
    assert!((24..=42).contains(&explained.len()), "{}", explained.len());
    assert_eq!(explained[0], cifar_metrics::surest_mistakes(&verdicts)[0]);

    let (insight, pixels) = (insight(&explained[..5]), noise(90));
    let html = RunReport {
        evaluation: Some(&evaluation),
        tested: Some(TestedImages { verdicts: &verdicts, pixels: &pixels }),
        insight: Some(&insight),
        ..bare(&names)
    }
    .to_html();
    assert_eq!(count(&html, "Beside 5 of the pictures"), 1);
    for verdict in &explained {
        let of = format!("aria-label=\"test image {}: heat map of", verdict.sample);
        assert_eq!(count(&html, &of) > 0, insight.heat_maps.contains_key(&verdict.sample));
    }
    let first = format!("What each stage makes of test image {}:", explained[0].sample);
    assert_eq!(count(&html, &first), 1);
    assert_eq!((count(&html, "16 of 40 maps of 8x8"), count(&html, ", channel ")), (1, 96));
    assert_eq!(count(&html, "aria-label=\"filter 63\""), 1);
}

#[test]
fn a_heat_map_of_nothing_and_a_first_layer_without_colours_are_said() {
    let names = names(2);
    let (evaluation, verdicts) = test(20, 2, 2);
    let mut insight = insight(&verdicts[..1]);
    insight.heat_maps.insert(0, HeatMap::new(1, 1, vec![0.0]));
    insight.filters = None;
    let html = RunReport {
        evaluation: Some(&evaluation),
        tested: Some(TestedImages { verdicts: &verdicts, pixels: &noise(20) }),
        insight: Some(&insight),
        ..bare(&names)
    }
    .to_html();
    assert!(count(&html, "test image 0: a dark heat map, nothing in it speaks for class 0") > 0);
    assert_eq!(count(&html, "The first layer does not see colours."), 1);
}

#[test]
fn suspects_show_label_prediction_and_loss_in_their_order() {
    let names = names(3);
    let (_, verdicts) = test(9, 3, 3);
    let wrong = Verdict { predicted: 2, ..verdicts[4] };
    let examples = vec![(wrong, 4.125), (verdicts[8], 2.5)];
    let suspects = Some(Suspects { examples, n_epochs: 3, pixels: &noise(9) });
    let html = RunReport { suspects, ..bare(&names) }.to_html();
    let place = |text: &str| html.as_str().find(text).unwrap();
    assert!(place("training image 4: a picture with label class 1") < place("training image 8"));
    assert!(place("loss 4.12") < place("loss 2.50"));
    assert_eq!(count(&html, "over 3 epochs"), 1);
    assert_eq!(count(&html, "data:image/png;base64,"), 2);
    assert_eq!(count(&bare(&names).to_html(), "did not keep the losses"), 1);
}

#[test]
fn the_largest_page_is_below_5_mb() {
    let names = names(10);
    let n = 10_000;
    let mut evaluator = ConfusionMatrix::new(10);
    let (mut evaluation, mut verdicts) = test(n, 10, 10);
    for verdict in &mut verdicts {
        verdict.predicted = verdict.sample / 10 % 10;
        evaluator.add(verdict.truth, verdict.predicted);
    }
    evaluation.confusion = evaluator;
    let pixels = noise(n);
    let mut insight = insight(&worth_explaining(&verdicts, &evaluation.confusion));
    if let Some((_, explanation)) = &mut insight.example {
        explanation.stages = vec![explanation.stages[0].clone(); 9];
    }
    let examples = verdicts[..100].iter().map(|&verdict| (verdict, 3.0)).collect();
    let html = RunReport {
        steps: &steps(40_000),
        suspects: Some(Suspects { examples, n_epochs: 8, pixels: &pixels }),
        evaluation: Some(&evaluation),
        tested: Some(TestedImages { verdicts: &verdicts, pixels: &pixels }),
        insight: Some(&insight),
        ..bare(&names)
    }
    .to_html();
    let size = html.as_str().len();
    assert!((3_000_000..5_000_000).contains(&size), "{size} bytes");
}

#[test]
fn time_is_a_bar_with_a_table_where_it_is_told() {
    let part = |name: &str, secs| (name.to_owned(), secs);
    let parts = vec![part("data", 1.0), part("forward", 3.0), part("backward", 0.0)];
    let timing = vec![Fact::new("whole run", "4 s")];
    let report = RunReport { timing, ..bare(&[]) };
    let html = RunReport { time_parts: parts, ..report.clone() }.to_html();
    let words = "Shares of the time: data 25.0 %, forward 75.0 %, backward 0.0 %";
    assert_eq!((count(&html, words), count(&html, "<span style=\"--v:")), (1, 2));
    assert_eq!(count(&html, "--v:75.000%;--c:var(--second)"), 1);
    for none in [Vec::new(), vec![part("data", 0.0)]] {
        let html = RunReport { time_parts: none, ..report.clone() }.to_html();
        assert_eq!((count(&html, "Shares of the time"), count(&html, "NaN")), (0, 0));
    }
}

#[test]
fn drawings_fit_their_widths() {
    let logged = steps(50_000);
    let validation = [EpochPoint { epoch: 1, step: 50_000, loss: 1.0, accuracy: 0.5 }];
    let run = |index| RunCurves {
        name: format!("a rather long name of run {index}"),
        steps: logged.clone(),
        validation: validation.to_vec(),
    };
    let runs: Vec<RunCurves> = (0..7).map(run).collect();
    let charts: [Chart<'_>; 6] = [
        history_chart("A", &logged, &validation),
        rate_chart("B", &logged),
        norm_chart("C", &logged),
        loss_overlay("D", &runs),
        accuracy_overlay("E", &runs),
        validation_overlay("F", &runs),
    ];
    let (evaluation, _) = test(90, 3, 3);
    for width in [384, 608] {
        for chart in &charts {
            assert_margin_is_blank(&chart.draw(width).to_image());
        }
        let diagram = reliability_at(width, "G", &evaluation.calibration);
        assert_margin_is_blank(&diagram.to_image());
    }
}

#[test]
fn a_page_is_saved_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let html = bare(&names(1)).to_html();
    html.save(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), html.as_str());
    let refused = html.save(folder.path()).unwrap_err();
    assert_eq!(refused.source.kind(), std::io::ErrorKind::IsADirectory);
}
