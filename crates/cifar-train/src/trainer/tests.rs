use std::path::Path;

use candle_core::Var;
use cifar_data::Dataset;
use proptest::prelude::*;

use super::*;
use crate::test_learner::{Tiny, loader, loader_of, recipe};

fn trainer<'a>(tiny: &'a Tiny, recipe: &'a Recipe, dir: Option<&Path>) -> Trainer<'a> {
    let train = loader(0..30, recipe.batch_size, Some(recipe));
    let validation = Some(loader(30..40, 10, None));
    Trainer::new(
        recipe,
        tiny.learner(),
        train,
        validation,
        &Device::Cpu,
        dir.map(CheckpointStore::new),
    )
    .unwrap()
}

fn no_limit() -> Limits<'static> {
    static NEVER: AtomicBool = AtomicBool::new(false);
    Limits { max_steps: None, interrupt: &NEVER }
}

#[derive(Default)]
struct Losses(Vec<f64>);

impl Observer for Losses {
    fn observe(&mut self, event: &Event<'_>) -> std::io::Result<()> {
        if let Event::Step(report) = event {
            self.0.push(report.loss);
        }
        Ok(())
    }
}

/// Norm of the gradients that each step shows, and the first weight after it.
#[derive(Default)]
struct Insides {
    norms: Vec<f64>,
    first_weights: Vec<f32>,
    batch_sizes: Vec<usize>,
    told: Vec<f64>,
}

impl Observer for Insides {
    fn observe(&mut self, event: &Event<'_>) -> std::io::Result<()> {
        if let Event::StepTensors(tensors) = event {
            let weights = tensors.variables[0].var.flatten_all().unwrap();
            self.norms.push(global_norm(tensors.gradients).unwrap());
            self.first_weights.push(weights.to_vec1::<f32>().unwrap()[0]);
            self.batch_sizes.push(tensors.batch.len());
            self.told.push(tensors.report.gradient_norm);
        }
        Ok(())
    }
}

#[test]
fn a_step_shows_its_batch_its_gradients_before_clipping_and_the_weights_after_it() {
    let recipe = recipe(&["epochs=1", "clip-norm=0.001"]);
    let (tiny, mut insides) = (Tiny::new(), Insides::default());
    trainer(&tiny, &recipe, None).fit(no_limit(), &mut [&mut insides]).unwrap();
    assert_eq!(insides.batch_sizes, [8, 8, 8, 6]);
    assert_eq!(insides.norms, insides.told);
    assert!(insides.norms.iter().all(|&norm| norm > 0.001), "{:?}", insides.norms);
    assert_eq!(insides.first_weights[3].to_bits(), tiny.weights()[0]);
    assert_ne!(insides.first_weights[2], insides.first_weights[3]);
}

fn losses(recipe: &Recipe) -> (Vec<f64>, Vec<u32>) {
    let (tiny, mut losses) = (Tiny::new(), Losses::default());
    let outcome = trainer(&tiny, recipe, None).fit(no_limit(), &mut [&mut losses]).unwrap();
    assert_eq!(outcome, Outcome::Completed);
    (losses.0, tiny.weights())
}

#[test]
fn the_loss_falls_and_every_step_is_told() {
    let (losses, _) = losses(&recipe(&["epochs=20"]));
    assert_eq!(losses.len(), 80);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    assert!(mean(&losses[72..]) < mean(&losses[..8]) - 0.2, "{losses:?}");
}

#[test]
fn resuming_after_any_step_gives_the_same_bits() {
    let recipe = recipe(&["ema-decay=0.9", "early-stop-patience=50"]);
    let straight_dir = tempfile::tempdir().unwrap();
    let tiny = Tiny::new();
    trainer(&tiny, &recipe, Some(straight_dir.path())).fit(no_limit(), &mut []).unwrap();
    let straight = CheckpointStore::new(straight_dir.path()).load(Slot::Last).unwrap();
    for stop in 1..12 {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointStore::new(dir.path());
        let limits = Limits { max_steps: Some(stop), ..no_limit() };
        let outcome =
            trainer(&Tiny::new(), &recipe, Some(dir.path())).fit(limits, &mut []).unwrap();
        // A limit on an epoch's last step is met after the epoch has been closed.
        assert_eq!(outcome, Outcome::StepLimit);
        let resumed = Tiny::new();
        let mut trainer = trainer(&resumed, &recipe, Some(dir.path()));
        trainer.restore(store.load(Slot::Last).unwrap()).unwrap();
        assert_eq!(trainer.state().step, stop);
        assert_eq!(trainer.fit(no_limit(), &mut []).unwrap(), Outcome::Completed);
        assert_eq!(resumed.weights(), tiny.weights(), "stopped after step {stop}");
        let last = store.load(Slot::Last).unwrap();
        let bits = |s: &Snapshot| s.ema.as_ref().unwrap()["weight"].to_vec2::<f32>().unwrap();
        assert_eq!(bits(&last), bits(&straight));
        assert_eq!(last.example_losses, straight.example_losses);
        assert_eq!(
            (last.state.train_loss, last.state.best),
            (straight.state.train_loss, straight.state.best)
        );
    }
}

/// 30 images, each all in one of three colours, which is its class; but image 7 has the label of
/// another.
#[test]
fn a_wrong_label_among_easy_images_has_the_highest_mean_loss() {
    let recipe = recipe(&["epochs=20"]);
    let (tiny, dir) = (Tiny::new(), tempfile::tempdir().unwrap());
    let pixel = |i: usize, at: usize| if at / 1024 == i % 3 { 250 - i as u8 } else { 20 };
    let images = (0..30).flat_map(|i| (0..3072).map(move |at| pixel(i, at))).collect();
    let labels = (0..30).map(|i| if i == 7 { 2 } else { i % 3 }).collect();
    let names = (0..10).map(|c| format!("class {c}")).collect();
    let train = loader_of(Dataset::new(images, labels, names).unwrap(), 0..30, 8, Some(&recipe));
    let store = CheckpointStore::new(dir.path());
    let (learner, device) = (tiny.learner(), &Device::Cpu);
    let mut trainer =
        Trainer::new(&recipe, learner, train, None, device, Some(store.clone())).unwrap();
    trainer.fit(no_limit(), &mut []).unwrap();
    let hardest = store.example_losses(Slot::Last).unwrap().hardest(30);
    assert!(hardest.iter().all(|example| example.n_epochs == 20) && hardest.len() == 30);
    assert_eq!(hardest[0].index, 7);
    assert!(hardest[0].mean_loss > 1.5 * hardest[1].mean_loss, "{hardest:?}");
}

#[test]
fn the_loss_of_a_batch_is_the_mean_of_its_images_losses() {
    for accumulation in ["gradient-accumulation=1", "gradient-accumulation=3"] {
        let recipe = recipe(&["label-smoothing=0", accumulation]);
        let (tiny, device) = (Tiny::new(), Device::Cpu);
        let batch = loader(0..30, 8, None).epoch(0).next().unwrap();
        let mut engine = Engine::new(&tiny.learner(), &recipe, &device).unwrap();
        let pass = engine.forward_backward(&tiny.learner(), &batch, &recipe).unwrap();
        let mean = pass.losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() / 8.0;
        assert_eq!(pass.losses.len(), 8);
        assert!((mean - pass.loss).abs() < 1e-6, "{mean} {}", pass.loss);
    }
}

#[test]
fn accumulated_gradients_are_those_of_the_whole_batch() {
    let (whole, _) = losses(&recipe(&[
        "optimizer={name='sgd', learning-rate=0.1, momentum=0.9, nesterov=true, weight-decay=0.0}",
    ]));
    for n in [2, 3, 8] {
        let setting = format!("gradient-accumulation={n}");
        let (parts, _) = losses(&recipe(&[
            "optimizer={name='sgd', learning-rate=0.1, momentum=0.9, nesterov=true, weight-decay=0.0}",
            &setting,
        ]));
        for (whole, parts) in whole.iter().zip(parts) {
            assert!((whole - parts).abs() <= 1e-5, "{n} micro-batches: {parts}, whole {whole}");
        }
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_the_run_and_saves_the_state_before_it() {
    let recipe = recipe(&[
        "optimizer={name='sgd', learning-rate=1e39, momentum=0.0, nesterov=false, weight-decay=0.0}",
        "schedule={name='constant'}",
        "clip-norm=1e38",
    ]);
    let (tiny, dir) = (Tiny::new(), tempfile::tempdir().unwrap());
    let error = trainer(&tiny, &recipe, Some(dir.path())).fit(no_limit(), &mut []).unwrap_err();
    let TrainError::NonFinite(found) = &error else { panic!("{error}") };
    assert_eq!(found.sample_indices.len(), 8);
    let saved = CheckpointStore::new(dir.path()).load(Slot::NonFinite).unwrap();
    assert_eq!(saved.state.step + 1, found.step);
    let text = error.to_string();
    for part in ["step", "epoch 1", "batch", "training images", "non-finite", "learning-rate"] {
        assert!(text.contains(part), "{part} missing in: {text}");
    }
}

#[test]
fn no_improvement_for_the_patience_stops_early() {
    let recipe = recipe(&["epochs=50", "early-stop-patience=2", "optimizer.learning-rate=1e-12"]);
    let (tiny, dir) = (Tiny::new(), tempfile::tempdir().unwrap());
    let mut trainer = trainer(&tiny, &recipe, Some(dir.path()));
    assert_eq!(trainer.fit(no_limit(), &mut []).unwrap(), Outcome::StoppedEarly);
    assert_eq!(trainer.state().epoch, 3);
    assert!(CheckpointStore::new(dir.path()).contains(Slot::Best));
}

#[test]
fn an_interrupt_saves_and_returns() {
    let recipe = recipe(&[]);
    let (tiny, dir, now) = (Tiny::new(), tempfile::tempdir().unwrap(), AtomicBool::new(true));
    let limits = Limits { max_steps: None, interrupt: &now };
    let outcome = trainer(&tiny, &recipe, Some(dir.path())).fit(limits, &mut []).unwrap();
    assert_eq!(outcome, Outcome::Interrupted);
    assert_eq!(CheckpointStore::new(dir.path()).load(Slot::Last).unwrap().state.step, 0);
}

#[test]
fn a_checkpoint_of_another_run_is_refused_with_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let (tiny, short, long) = (Tiny::new(), recipe(&["epochs=1"]), recipe(&["epochs=2"]));
    trainer(&tiny, &short, Some(dir.path())).fit(no_limit(), &mut []).unwrap();
    let load = || CheckpointStore::new(dir.path()).load(Slot::Last).unwrap();
    let refused = |recipe: &Recipe, snapshot: Snapshot| {
        trainer(&tiny, recipe, None).restore(snapshot).unwrap_err().to_string()
    };
    let error = refused(&long, load());
    assert!(error.contains("number of steps is 4, this run's 8"), "{error}");
    let error = refused(&recipe(&["epochs=1", "model=simplenet"]), load());
    assert!(error.contains("model is small-resnet, this run's simplenet"), "{error}");
    let mut other = load();
    other.model.remove("weight");
    let error = refused(&short, other);
    assert!(error.contains("no `weight`"), "{error}");
}

#[test]
fn a_variable_that_the_loss_does_not_reach_is_named() {
    let mut tiny = Tiny::new();
    tiny.variables[1].trainable = true;
    tiny.variables[1].var =
        Var::from_tensor(&Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap())
            .unwrap();
    let recipe = recipe(&[]);
    let error = trainer(&tiny, &recipe, None).fit(no_limit(), &mut []).unwrap_err().to_string();
    assert!(error.contains("`n_forwards` got no gradient"), "{error}");
}

/// Every step's times, and how long it slept for each.
#[derive(Default)]
struct Sleeper(Vec<StepReport>);

const NAP: std::time::Duration = std::time::Duration::from_millis(2);

impl Observer for Sleeper {
    fn observe(&mut self, event: &Event<'_>) -> std::io::Result<()> {
        if let Event::Step(report) = event {
            self.0.push(*report);
            std::thread::sleep(NAP);
        }
        Ok(())
    }
}

fn parts(times: &TimeTotals) -> [f64; 7] {
    [
        times.data_secs,
        times.forward_secs,
        times.backward_secs,
        times.optimizer_secs,
        times.evaluation_secs,
        times.checkpoint_secs,
        times.observer_secs,
    ]
}

#[test]
fn the_parts_of_the_time_follow_one_another_and_nearly_make_up_the_whole() {
    let recipe = recipe(&[]);
    let mut rests = Vec::new();
    // A busy machine may hold the thread up where no part is measured, but hardly each time.
    while rests.iter().all(|&rest| rest >= 0.1) {
        assert!(rests.len() < 5, "shares of the time in no part: {rests:?}");
        let (tiny, dir) = (Tiny::new(), tempfile::tempdir().unwrap());
        let mut sleeper = Sleeper::default();
        let mut trainer = trainer(&tiny, &recipe, Some(dir.path()));
        trainer.fit(no_limit(), &mut [&mut sleeper]).unwrap();
        for pair in sleeper.0.windows(2) {
            let [one, next] = [pair[0].times, pair[1].times];
            assert!(one.begun + one.total() + NAP <= next.begun, "{one:?} overlaps {next:?}");
            assert_eq!(pair[0].secs, one.total().as_secs_f64());
        }
        let TrainState { times, elapsed_secs, train_secs, .. } = *trainer.state();
        assert!(parts(&times).iter().all(|&secs| secs > 0.0), "{times:?}");
        assert!(times.observer_secs >= 12.0 * NAP.as_secs_f64());
        let steps =
            times.data_secs + times.forward_secs + times.backward_secs + times.optimizer_secs;
        assert!(steps >= train_secs * (1.0 - 1e-9), "{times:?}");
        assert!(times.sum() <= elapsed_secs, "{times:?} in {elapsed_secs} s");
        rests.push(1.0 - times.sum() / elapsed_secs);
    }
}

#[test]
fn the_times_of_all_sittings_add_up() {
    let (recipe, dir) = (recipe(&[]), tempfile::tempdir().unwrap());
    let store = CheckpointStore::new(dir.path());
    let mut before = [0.0; 7];
    for stop in [3, 4, 9, 12] {
        let tiny = Tiny::new();
        let mut trainer = trainer(&tiny, &recipe, Some(dir.path()));
        if stop > 3 {
            trainer.restore(store.load(Slot::Last).unwrap()).unwrap();
        }
        let limits = Limits { max_steps: Some(stop), ..no_limit() };
        trainer.fit(limits, &mut [&mut Sleeper::default()]).unwrap();
        let state = store.load(Slot::Last).unwrap().state;
        let now = parts(&state.times);
        assert!(now.iter().zip(before).all(|(now, before)| *now >= before), "{now:?}, {before:?}");
        assert!(state.times.observer_secs >= stop as f64 * NAP.as_secs_f64());
        assert!(state.times.sum() <= state.elapsed_secs);
        before = now;
    }
}

#[test]
fn a_state_of_an_older_program_has_no_times() {
    let mut old = serde_json::to_value(TrainState::new("tiny", 4)).unwrap();
    old.as_object_mut().unwrap().remove("times").unwrap();
    let state: TrainState = serde_json::from_value(old).unwrap();
    assert_eq!(state, TrainState::new("tiny", 4));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn a_run_is_a_function_of_its_recipe(decay in 0.0f64..0.99, smoothing in 0.0f64..0.5) {
        let settings = [format!("ema-decay={decay}"), format!("label-smoothing={smoothing}")];
        let recipe = recipe(&[&settings[0], &settings[1]]);
        prop_assert_eq!(losses(&recipe), losses(&recipe));
    }
}
