use candle_core::Device;

use super::*;

const RECIPE: &str = r#"
name = "tiny"
model = "simplenet"
seed = 0
epochs = 4
batch-size = 8
gradient-accumulation = 1
label-smoothing = 0.0

[data]
validation = 0
normalization = { mean = [0.5, 0.5, 0.5], std = [0.5, 0.5, 0.5] }

[optimizer]
name = "sgd"
learning-rate = 1.0
momentum = 0.5
nesterov = false
weight-decay = 0.0

[schedule]
name = "linear"
end-factor = 0.0

[[parameter-groups]]
parameters = ["*.bias"]
epochs = 1
optimizer = { name = "adamw", learning-rate = 0.1, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight-decay = 0.0 }

[[parameter-groups]]
parameters = ["head.*"]
optimizer = { name = "sgd", learning-rate = 2.0, momentum = 0.0, nesterov = false, weight-decay = 0.0 }
schedule = { name = "constant" }
"#;

fn recipe() -> Recipe {
    Recipe::from_toml(RECIPE, &[]).unwrap()
}

fn weights() -> Vec<(String, Var)> {
    ["conv.weight", "conv.bias", "head.weight", "head.bias"]
        .map(|name| {
            (name.to_owned(), Var::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap())
        })
        .to_vec()
}

fn values(weights: &[(String, Var)]) -> Vec<f32> {
    weights.iter().map(|(_, var)| var.to_vec1::<f32>().unwrap()[0]).collect()
}

fn ones() -> Vec<Tensor> {
    vec![Tensor::new(&[1f32], &Device::Cpu).unwrap(); 4]
}

#[test]
fn each_parameter_goes_by_the_first_group_that_names_it() {
    let weights = weights();
    let mut optimizers = Optimizers::new(&recipe(), &weights, 1).unwrap();
    let sizes: Vec<f64> =
        (0..4).map(|_| optimizers.step(&ones(), 1.0).unwrap().learning_rate).collect();
    assert_eq!(sizes, [1.0, 0.75, 0.5, 0.25]);
    // conv.weight: momentum 0.5 gives 1, 1.5, 1.75, 1.875 at those rates; the biases stop after
    // AdamW's first step, which is the learning rate; head.weight goes down by 2 each time.
    let moved = 1.0 + 0.75 * 1.5 + 0.5 * 1.75 + 0.25 * 1.875;
    let values = values(&weights);
    assert!((values[0] + moved).abs() < 1e-6, "{values:?}");
    assert!((values[1] + 0.1).abs() < 1e-6 && (values[3] + 0.1).abs() < 1e-6, "{values:?}");
    assert_eq!(values[2], -8.0);
    optimizers.finish().unwrap();
    let after = optimizers.step(&ones(), 1.0).unwrap_err().to_string();
    assert!(after.contains("step 4"), "{after}");
}

#[test]
fn a_step_off_the_schedule_keeps_the_ratio_of_the_groups() {
    let weights = weights();
    let mut optimizers = Optimizers::new(&recipe(), &weights, 1).unwrap();
    optimizers.step_at(0.5, &ones(), 1.0).unwrap();
    let values = values(&weights);
    // The rates are 1, 0.1 and 2.
    assert_eq!((values[0], values[2]), (-0.5, -1.0));
    assert!((values[1] + 0.05).abs() < 1e-6, "{values:?}");
}

#[test]
fn a_group_moves_until_its_last_step() {
    let weights = weights();
    let mut optimizers = Optimizers::new(&recipe(), &weights, 1).unwrap();
    assert_eq!(optimizers.moving(), [true; 4]);
    optimizers.step(&ones(), 1.0).unwrap();
    let before = values(&weights);
    let moving = optimizers.moving();
    optimizers.step(&ones(), 1.0).unwrap();
    let moved: Vec<bool> = before.iter().zip(values(&weights)).map(|(a, b)| *a != b).collect();
    assert_eq!(moving, moved);
    assert!(moving.contains(&false) && moving.contains(&true));
    let state = optimizers.state().unwrap();
    let mut resumed = Optimizers::new(&recipe(), &weights, 1).unwrap();
    resumed.load_state(state, 2).unwrap();
    assert_eq!(resumed.moving(), moving);
}

#[test]
fn a_saved_state_goes_on_as_if_never_interrupted() {
    let (whole, halved) = (weights(), weights());
    let mut optimizers = Optimizers::new(&recipe(), &whole, 2).unwrap();
    let mut first = Optimizers::new(&recipe(), &halved, 2).unwrap();
    for _ in 0..3 {
        optimizers.step(&ones(), 1.0).unwrap();
    }
    first.step(&ones(), 1.0).unwrap();
    first.step(&ones(), 1.0).unwrap();
    let state = first.state().unwrap();
    let names: Vec<&str> = state.keys().map(String::as_str).collect();
    assert!(names.contains(&"group0.exp_avg.conv.bias") && names.contains(&"group0.step"));
    assert!(names.contains(&"momentum_buffer.conv.weight"), "{names:?}");
    let mut second = Optimizers::new(&recipe(), &halved, 2).unwrap();
    second.load_state(state.clone(), 2).unwrap();
    second.step(&ones(), 1.0).unwrap();
    assert_eq!(values(&whole), values(&halved));

    let mut foreign = state;
    foreign.insert("group7.step".to_owned(), ones().remove(0));
    let error = second.load_state(foreign, 2).unwrap_err().to_string();
    assert!(error.contains("group7.step"), "{error}");
}

#[test]
fn a_name_that_no_parameter_has_is_refused_with_those_there_are() {
    let mut recipe = recipe();
    recipe.parameter_groups[0].parameters.push("whiten.*".to_owned());
    let error = Optimizers::new(&recipe, &weights(), 1).unwrap_err().to_string();
    assert!(error.contains("`whiten.*`") && error.contains("conv.bias"), "{error}");
}

#[test]
fn a_star_stands_for_any_run_of_characters() {
    for (pattern, name, want) in [
        ("a.b", "a.b", true),
        ("a.b", "a.bc", false),
        ("*", "", true),
        ("*.bias", "conv.bias", true),
        ("*.bias", "bias", false),
        ("layers.*.norm*.bias", "layers.1.norm2.bias", true),
        ("layers.*.norm*.bias", "layers.1.conv2.bias", false),
        ("a*a", "a", false),
    ] {
        assert_eq!(fits(pattern, name), want, "{pattern} {name}");
    }
}

#[test]
fn values_out_of_range_are_named() {
    let refused = |from: &str, to: &str| {
        Recipe::from_toml(&RECIPE.replace(from, to), &[]).unwrap_err().to_string()
    };
    let error = refused("[\"*.bias\"]", "[]");
    assert!(error.contains("`parameter-groups.parameters` is 0"), "{error}");
    let error = refused("epochs = 1", "epochs = 0");
    assert!(error.contains("`parameter-groups.epochs` is 0"), "{error}");
    let error = refused("learning-rate = 2.0", "learning-rate = -2.0");
    assert!(error.contains("learning-rate` is -2"), "{error}");
    let error = refused("end-factor = 0.0", "end-factor = -1.0");
    assert!(error.contains("`schedule.end-factor` is -1"), "{error}");
}
