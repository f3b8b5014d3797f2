use candle_core::Device;

use super::*;

const GRADIENTS: [[f32; 3]; 3] = [[0.1, -0.2, 0.3], [0.05, 0.4, -0.6], [-1.0, 0.02, 0.0]];

fn weight() -> Vec<(String, Var)> {
    let start = Tensor::new(&[1f32, -2.0, 0.5], &Device::Cpu).unwrap();
    vec![("w".to_owned(), Var::from_tensor(&start).unwrap())]
}

fn gradient(values: [f32; 3]) -> Vec<Tensor> {
    vec![Tensor::new(&values, &Device::Cpu).unwrap()]
}

fn fixed(_step: usize) -> StepSize {
    StepSize { learning_rate: 0.1, momentum: None }
}

/// Three steps from `[1, -2, 0.5]`, split into two optimisers with a saved state between them.
fn run(config: OptimizerConfig, size: impl Fn(usize) -> StepSize) -> Vec<f32> {
    let weights = weight();
    let mut first = Optimizer::new(config, weights.clone()).unwrap();
    first.step(&gradient(GRADIENTS[0]), size(0)).unwrap();
    let mut second = Optimizer::new(config, weights.clone()).unwrap();
    second.load_state(first.state().unwrap()).unwrap();
    for (step, values) in GRADIENTS.into_iter().enumerate().skip(1) {
        second.step(&gradient(values), size(step)).unwrap();
    }
    weights[0].1.as_detached_tensor().to_vec1().unwrap()
}

fn assert_close(got: &[f32], want: [f32; 3]) {
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= 2e-7, "got {got}, want {want}");
    }
}

fn sgd(momentum: f64, nesterov: bool, weight_decay: f64) -> OptimizerConfig {
    OptimizerConfig::Sgd(SgdConfig { learning_rate: 0.1, momentum, nesterov, weight_decay })
}

fn adamw() -> OptimizerConfig {
    OptimizerConfig::AdamW(AdamWConfig {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
    })
}

// The expected values are torch 2.15's: the same three gradients through `torch.optim.SGD(lr=0.1, …)`
// and `torch.optim.AdamW(lr=0.1, weight_decay=0.01)`.

#[test]
fn plain_sgd_equals_pytorch() {
    assert_close(&run(sgd(0.0, false, 0.0), fixed), [1.085, -2.022, 0.53]);
}

#[test]
fn sgd_with_momentum_and_decay_equals_pytorch() {
    assert_close(&run(sgd(0.9, false, 0.01), fixed), [1.057_837_8, -2.012_625_7, 0.529_951_4]);
}

#[test]
fn nesterov_equals_pytorch() {
    assert_close(&run(sgd(0.9, true, 0.01), fixed), [1.134_145_9, -2.027_411_2, 0.555_504_6]);
}

#[test]
fn adamw_equals_pytorch() {
    assert_close(&run(adamw(), fixed), [0.859_565_4, -1.961_907, 0.463_575_07]);
}

#[test]
fn adamw_with_a_cycled_beta1_equals_pytorch() {
    let cycled = |step| StepSize { learning_rate: 0.1, momentum: Some([0.95, 0.9, 0.85][step]) };
    assert_close(&run(adamw(), cycled), [0.897_290_7, -1.975_173_5, 0.476_687]);
}

#[test]
fn a_state_of_another_optimiser_or_model_is_refused_and_changes_nothing() {
    let mut adamw = Optimizer::new(adamw(), weight()).unwrap();
    let sgd = Optimizer::new(sgd(0.9, false, 0.0), weight()).unwrap();
    let error = adamw.load_state(sgd.state().unwrap()).unwrap_err().to_string();
    assert!(error.contains("no `step`") && error.contains("another optimiser"), "{error}");

    let mut state = adamw.state().unwrap();
    state.insert(
        "exp_avg.w".to_owned(),
        Tensor::zeros(4, candle_core::DType::F32, &Device::Cpu).unwrap(),
    );
    let error = adamw.load_state(state).unwrap_err().to_string();
    assert!(
        error.contains("exp_avg.w") && error.contains("[4]") && error.contains("[3]"),
        "{error}"
    );
}
