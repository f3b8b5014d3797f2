use candle_core::Device;
use cifar_data::{Batch, ChannelStatistics, Duplicates, Normalization};
use cifar_models::Model;

use super::*;
use crate::lr_range::{LrPoint, LrRange};
use crate::recipe::Recipe;
use crate::test_learner::{loader, recipe};
use crate::{Learner, TrainError};

const CPU: Device = Device::Cpu;

fn statistics() -> ChannelStatistics {
    ChannelStatistics { mean: [0.4914, 0.4822, 0.4465], std: [0.2470, 0.2435, 0.2616] }
}

fn names() -> Vec<String> {
    ["cat", "dog", "frog"].map(str::to_owned).to_vec()
}

fn simplenet() -> Model {
    Model::initialise(cifar_models::build("simplenet", 10).unwrap(), 0, &CPU).unwrap()
}

fn learner(model: &Model) -> Learner<'_> {
    Learner { module: &model.module, variables: &model.variables, net: Some(&model.net) }
}

fn batch() -> Batch {
    loader(0..30, 30, None).epoch(0).next().unwrap()
}

fn bits(model: &Model) -> Vec<u32> {
    let values = |v: &cifar_net::Variable| v.var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    model.variables.iter().flat_map(values).map(f32::to_bits).collect()
}

/// Everything but what is well says what to do.
#[track_caller]
fn assert_level(finding: &Finding, level: Level) {
    assert_eq!(finding.level, level, "{finding:?}");
    assert_eq!(finding.remedy.is_some(), level != Level::Ok, "{finding:?}");
}

#[test]
fn normalization_of_other_data_is_found() {
    for (mean, std, level) in [
        ([0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616], Level::Ok),
        ([0.5; 3], [0.5; 3], Level::Ok),
        ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], Level::Ok),
        // None at all.
        ([0.0; 3], [1.0; 3], Level::Warning),
        // One channel swapped for grey MNIST's.
        ([0.1307, 0.4822, 0.4465], [0.3081, 0.2435, 0.2616], Level::Problem),
        // Of values up to 255.
        ([125.3, 123.0, 113.9], [63.0, 62.1, 66.7], Level::Problem),
    ] {
        assert_level(&normalization(&Normalization { mean, std }, &statistics()), level);
    }
}

#[test]
fn an_absent_class_is_a_problem_and_a_rare_one_a_warning() {
    assert_level(&label_balance(&[50, 50, 49], &names()), Level::Ok);
    assert_level(&label_balance(&[50, 50, 20], &names()), Level::Warning);
    let absent = label_balance(&[50, 0, 50], &names());
    assert_level(&absent, Level::Problem);
    assert!(absent.found.contains("dog"), "{absent:?}");
}

#[test]
fn test_images_that_leak_are_a_problem_once_they_move_the_result() {
    let found = |n_across: u32, n_contradicting: u32| {
        let pairs = |n| (0..n).map(|i| (i, i)).collect::<Vec<_>>();
        let contradicting = pairs(n_contradicting);
        let in_training = contradicting.clone();
        duplicates(&Duplicates { in_training, contradicting, across: pairs(n_across) }, 10_000)
    };
    assert_level(&found(0, 0), Level::Ok);
    assert_level(&found(3, 0), Level::Warning);
    assert_level(&found(0, 1), Level::Warning);
    assert_level(&found(11, 0), Level::Problem);
}

#[test]
fn a_first_loss_far_from_a_uniform_guess_is_found() {
    for (loss, level) in [
        (2.31, Level::Ok),
        (3.5, Level::Warning),
        (0.9, Level::Warning),
        (20.0, Level::Problem),
        (0.0, Level::Problem),
        (f64::NAN, Level::Problem),
    ] {
        assert_level(&initial_loss(loss, 10), level);
    }
}

#[test]
fn a_sound_network_passes_every_check_and_keeps_its_weights() {
    let (model, recipe, batch) = (simplenet(), recipe(&[]), batch());
    let before = bits(&model);
    let pass = first_pass(&learner(&model), &batch, &recipe, &CPU).unwrap();
    assert_level(&initial_loss(pass.loss, 10), Level::Ok);
    assert_level(&gradients(&pass), Level::Ok);
    assert_eq!(pass.gradients.len(), 6);
    let outputs = relu_outputs(&learner(&model), &batch, &CPU).unwrap();
    assert_eq!(outputs.iter().map(|o| o.n_channels).collect::<Vec<_>>(), [16, 32]);
    assert_level(&dead_activations(&outputs), Level::Ok);
    let mut told = Vec::new();
    let result =
        overfit_one_batch(&learner(&model), &batch, &recipe, &CPU, |step, _| told.push(step));
    let result = result.unwrap();
    assert_level(&overfit(&result), Level::Ok);
    assert_eq!(told.len(), result.steps + 1);
    assert_eq!(bits(&model), before);
}

#[test]
fn a_dead_layer_is_named_with_the_parameters_that_get_no_gradient() {
    let (model, recipe, batch) = (simplenet(), recipe(&[]), batch());
    let bias = model.variables.iter().find(|v| v.name == "conv2.bias").unwrap();
    bias.var.set(&(bias.var.zeros_like().unwrap() - 1e3).unwrap()).unwrap();
    let outputs = relu_outputs(&learner(&model), &batch, &CPU).unwrap();
    let dead = dead_activations(&outputs);
    assert_level(&dead, Level::Problem);
    assert!(dead.found.contains(&outputs[1].path) && !dead.found.contains(&outputs[0].path));
    let none = gradients(&first_pass(&learner(&model), &batch, &recipe, &CPU).unwrap());
    assert_level(&none, Level::Problem);
    for name in ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "fc1.weight"] {
        assert!(none.found.contains(name), "{name}: {none:?}");
    }
    assert!(!none.found.contains("fc1.bias"), "{none:?}");
}

#[test]
fn some_dead_channels_are_a_warning() {
    let output =
        |zeros, n_dead| ReluOutput { path: "relu".to_owned(), zeros, n_dead, n_channels: 8 };
    assert_level(&dead_activations(&[output(0.5, 2), output(0.6, 0)]), Level::Ok);
    assert_level(&dead_activations(&[output(0.5, 3), output(0.6, 0)]), Level::Warning);
    assert_level(&dead_activations(&[output(0.95, 0)]), Level::Warning);
    assert_level(&dead_activations(&[]), Level::Ok);
}

#[test]
fn gradients_that_are_not_numbers_are_named() {
    let pass = |gradients: &[(&str, f64)]| FirstPass {
        loss: 2.3,
        gradients: gradients.iter().map(|(name, norm)| ((*name).to_owned(), *norm)).collect(),
    };
    let broken = gradients(&pass(&[("a", 1.0), ("b", f64::NAN), ("c", f64::INFINITY)]));
    assert_level(&broken, Level::Problem);
    assert!(broken.found.ends_with("b, c"), "{broken:?}");
    assert_level(&gradients(&FirstPass { loss: f64::NAN, gradients: Vec::new() }), Level::Problem);
}

#[test]
fn images_that_contradict_their_labels_cannot_be_learned_by_heart() {
    let (model, recipe, mut batch) = (simplenet(), recipe(&[]), batch());
    let first = batch.images[..3072].to_vec();
    batch.images.chunks_exact_mut(3072).for_each(|image| image.copy_from_slice(&first));
    let result = overfit_one_batch(&learner(&model), &batch, &recipe, &CPU, |_, _| ()).unwrap();
    assert_eq!(result.steps, OVERFIT_STEPS);
    assert_level(&overfit(&result), Level::Problem);
    let half = Overfit { first: 2.3, last: 0.5, steps: 300, n_images: 32 };
    assert_level(&overfit(&half), Level::Warning);
    assert_level(&overfit(&Overfit { last: f64::NAN, ..half }), Level::Problem);
}

fn at_rate(rate: f64) -> Recipe {
    recipe(&[&format!("optimizer.learning-rate={rate:e}")])
}

#[test]
fn a_learning_rate_beyond_divergence_is_a_problem() {
    let point = |learning_rate| LrPoint { learning_rate, loss: 2.0, smoothed: 2.0 };
    let range = LrRange {
        points: vec![point(1e-4), point(2.0)],
        diverged: true,
        steepest: Some(0.05),
        min_tenth: Some(0.03),
    };
    for (rate, level) in [
        (1e-5, Level::Warning),
        (1e-4, Level::Ok),
        (0.2, Level::Ok),
        (0.5, Level::Warning),
        (5.0, Level::Problem),
    ] {
        assert_level(&learning_rate(&range, &at_rate(rate)), level);
    }
    let flat = LrRange { steepest: None, min_tenth: None, diverged: false, ..range };
    assert_level(&learning_rate(&flat, &at_rate(0.1)), Level::Problem);
}

#[test]
fn a_schedule_that_never_finishes_is_a_problem() {
    let with = |text: &str| recipe(&[&format!("schedule={text}")]);
    let one_cycle = |pct: f64| {
        with(&format!(
            "{{name='one-cycle', pct-start={pct:?}, div-factor=25.0, final-div-factor=1e4, \
             base-momentum=0.85, max-momentum=0.95}}"
        ))
    };
    let steps = |size: usize, gamma: f64| {
        with(&format!("{{name='step', step-size={size}, gamma={gamma:?}}}"))
    };
    for (recipe, n_steps, level) in [
        (one_cycle(0.3), 100, Level::Ok),
        (one_cycle(0.3), 3, Level::Warning),
        (one_cycle(1.0), 100, Level::Problem),
        (with("{name='cosine', min-learning-rate=0.0}"), 100, Level::Ok),
        (with("{name='constant'}"), 100, Level::Ok),
        (steps(30, 0.1), 100, Level::Ok),
        (steps(60, 0.5), 100, Level::Warning),
        (steps(100, 0.1), 100, Level::Problem),
        (steps(10, 1.0), 100, Level::Problem),
    ] {
        assert_level(&schedule(&recipe, n_steps), level);
    }
}

#[test]
fn a_checkpoint_that_does_less_than_its_log_says_is_a_problem() {
    assert_level(&checkpoint_length(1563, 1563), Level::Ok);
    assert_level(&checkpoint_length(1563, 782), Level::Problem);
    assert_level(&checkpoint_accuracy(0.82, 0.80), Level::Ok);
    assert_level(&checkpoint_accuracy(0.72, 0.80), Level::Ok);
    assert_level(&checkpoint_accuracy(0.1, 0.80), Level::Problem);
    assert_level(&checkpoint_accuracy(f64::NAN, 0.80), Level::Problem);
}

#[test]
fn a_failure_leaves_the_weights_as_they_were_too() {
    let model = simplenet();
    let before = bits(&model);
    let failed = learner(&model).unchanged(|| {
        for variable in &model.variables {
            variable.var.set(&variable.var.zeros_like()?)?;
        }
        Err::<(), _>(TrainError::Precision)
    });
    assert!(failed.is_err());
    assert_eq!(bits(&model), before);
}
