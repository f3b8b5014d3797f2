use std::io::Write;
use std::time::Instant;

use cifar_metrics::{Evaluation, Evaluator};
use cifar_train::{Span, StepTimes, TimeTotals, ValidationReport};

use super::*;

pub(in crate::dashboard) const START: Start =
    Start { step: 0, total_steps: 1000, steps_per_epoch: 500, epochs: 2 };

pub(in crate::dashboard) fn state() -> State {
    State::new(About {
        recipe: "my-recipe".to_owned(),
        model: "simplenet".to_owned(),
        n_parameters: 25_578,
        device: "cpu, f32".to_owned(),
        threads: 2,
        class_names: ["airplane", "automobile", "bird"].map(str::to_owned).into(),
        validates: true,
        stop_at: None,
        metrics: PathBuf::new(),
    })
}

/// A step of 32 images in 10 ms; the loss falls from 2.
pub(in crate::dashboard) fn step(step: usize) -> StepReport {
    StepReport {
        step,
        epoch: (step - 1) as u32 / 500 + 1,
        batch: (step - 1) % 500 + 1,
        loss: 2.0 / step as f64,
        accuracy: 0.25,
        learning_rate: 0.01,
        momentum: None,
        gradient_norm: 1.0,
        n_images: 32,
        secs: 0.01,
        times: StepTimes {
            begun: Instant::now(),
            data: Duration::ZERO,
            forward: Duration::ZERO,
            backward: Duration::from_millis(10),
            optimizer: Duration::ZERO,
            prepared: None,
        },
    }
}

/// The dashboard looks at no span.
fn span() -> Span {
    Span { begun: Instant::now(), took: Duration::ZERO }
}

/// Two of two airplanes found, one of two automobiles, no bird there.
fn evaluation() -> Evaluation {
    let mut evaluator = Evaluator::new(3);
    let (airplane, automobile) = ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]);
    let logits = [airplane, airplane, airplane, automobile].concat();
    evaluator.add_batch(&logits, &[0, 0, 1, 1]).unwrap();
    evaluator.finish()
}

/// All of the first epoch, a step every 20 ms.
pub(in crate::dashboard) fn observe_epoch(state: &mut State) {
    state.observe(&Event::Start(START), Duration::ZERO);
    for i in 1..=500 {
        state.observe(&Event::Step(step(i)), Duration::from_millis(20 * i as u64));
    }
    let evaluation = evaluation();
    let validation = ValidationReport {
        loss: 0.5,
        accuracy: 0.75,
        is_best: true,
        evaluation: &evaluation,
        span: span(),
    };
    let report = EpochReport {
        epoch: 1,
        step: 500,
        train_loss: 0.7,
        train_accuracy: 0.25,
        validation: Some(validation),
        images_per_second: 3200.0,
        times: TimeTotals::default(),
    };
    assert!(state.ends_epoch);
    state.observe(&Event::Epoch(report), Duration::from_secs(11));
    let path = Path::new("runs/mine/checkpoints/best");
    state.observe(&Event::Saved { path, step: 500, span: span() }, Duration::from_secs(11));
}

fn texts(state: &State) -> Vec<&str> {
    state.log.iter().map(|line| &*line.text).collect()
}

#[test]
fn an_epoch_fills_curves_classes_and_log() {
    let mut state = state();
    observe_epoch(&mut state);
    assert!(!state.ends_epoch);
    assert_eq!(state.steps(), (500, 1000));
    assert_eq!(state.train_loss.points().len(), 500);
    assert_eq!(state.validation_loss, [(500.0, 0.5)]);
    assert_eq!(state.validation_accuracy, [(500.0, 0.75)]);
    let of_class = vec![Some(1.0), Some(0.5), None];
    assert_eq!(state.recalls, Some(Recalls { epoch: 1, of_class }));
    assert_eq!(
        texts(&state),
        [
            "Epoch 1/2: training loss 0.7000, accuracy 25.00 %; validation loss 0.5000, \
             accuracy 75.00 % (best); 3200 images/s",
            "Saved checkpoint best (step 500)",
        ]
    );
    // The second is no line of a run without a dashboard.
    assert_eq!(state.log.iter().map(|line| line.stays).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn speed_is_that_of_steps_and_time_to_go_that_of_the_clock() {
    let mut state = state();
    assert_eq!((state.images_per_second(), state.secs_left()), (None, None));
    observe_epoch(&mut state);
    assert!((state.images_per_second().unwrap() - 3200.0).abs() < 1e-6);
    assert!((state.secs_left().unwrap() - 500.0 * 0.02).abs() < 1e-6);
    state.about.stop_at = Some(600);
    assert!((state.secs_left().unwrap() - 100.0 * 0.02).abs() < 1e-6);
    state.about.stop_at = Some(500);
    assert_eq!(state.secs_left(), Some(0.0));
}

#[test]
fn a_resumed_run_shows_the_steps_before() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for step in 1..=40 {
        writeln!(
            file,
            r#"{{"event":"step","step":{step},"epoch":1,"batch":{step},"loss":2.0,"accuracy":0.5,"learning_rate":0.01,"gradient_norm":1.0,"n_images":32,"secs":0.1}}"#
        )
        .unwrap();
    }
    writeln!(
        file,
        r#"{{"event":"epoch","epoch":1,"step":40,"train_loss":2.0,"train_accuracy":0.5,"validation":{{"loss":1.5,"accuracy":0.6,"is_best":true}},"images_per_second":100.0}}"#
    )
    .unwrap();
    let mut state = state();
    state.about.metrics = file.path().to_owned();
    state.observe(&Event::Start(Start { step: 40, ..START }), Duration::ZERO);
    assert_eq!(state.train_loss.points().len(), 40);
    assert_eq!(state.validation_accuracy, [(40.0, 0.6)]);
    assert_eq!(texts(&state), ["Going on after step 40 of 1,000"]);
    assert_eq!(state.steps(), (40, 1000));
    // Time to go comes from this sitting's steps alone.
    state.observe(&Event::Step(step(41)), Duration::from_secs(1));
    assert_eq!(state.secs_left(), None);
    state.observe(&Event::Step(step(42)), Duration::from_secs(2));
    assert_eq!(state.secs_left(), Some(958.0));
}

#[test]
fn a_log_that_cannot_be_read_is_said_and_costs_no_more() {
    let mut state = state();
    state.about.metrics = PathBuf::from("no-such-run/metrics.jsonl");
    state.observe(&Event::Start(Start { step: 40, ..START }), Duration::ZERO);
    let said = texts(&state);
    assert!(said[0].contains("no-such-run/metrics.jsonl"), "{said:?}");
    assert_eq!(said[1], "Going on after step 40 of 1,000");
}

#[test]
fn the_log_keeps_its_last_lines() {
    let mut state = state();
    for i in 0..3 * LOG_LINES {
        state.log(i.to_string(), true);
    }
    assert_eq!(state.log.len(), LOG_LINES);
    assert_eq!(&*state.log.back().unwrap().text, (3 * LOG_LINES - 1).to_string());
}

#[test]
fn a_checkpoint_takes_the_line_of_the_one_before() {
    let mut state = state();
    let (best, last) = (Path::new("a/best"), Path::new("a/last"));
    for (path, step) in [(last, 500), (last, 1000), (best, 1407), (last, 1407), (last, 1500)] {
        state.observe(&Event::Saved { path, step, span: span() }, Duration::ZERO);
    }
    assert_eq!(
        texts(&state),
        [
            "Saved checkpoint last (step 1,000)",
            "Saved checkpoint best (step 1,407)",
            "Saved checkpoint last (step 1,500)",
        ]
    );
}
