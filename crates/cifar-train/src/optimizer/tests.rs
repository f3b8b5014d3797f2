use super::*;

const GRADIENTS: [[f32; 3]; 3] = [[0.1, -0.2, 0.3], [0.05, 0.4, -0.6], [-1.0, 0.02, 0.0]];

fn weight() -> Vec<(String, Var)> {
    weight_of(DType::F32)
}

fn weight_of(dtype: DType) -> Vec<(String, Var)> {
    let start = Tensor::new(&[1f32, -2.0, 0.5], &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    vec![("w".to_owned(), Var::from_tensor(&start).unwrap())]
}

fn values(weights: &[(String, Var)]) -> Vec<f32> {
    let weight = weights[0].1.as_detached_tensor().to_dtype(DType::F32).unwrap();
    weight.flatten_all().unwrap().to_vec1().unwrap()
}

fn gradient(values: [f32; 3]) -> Vec<Tensor> {
    vec![Tensor::new(&values, &Device::Cpu).unwrap()]
}

fn fixed(_step: usize) -> StepSize {
    StepSize { learning_rate: 0.1, momentum: None }
}

/// Three steps from `[1, -2, 0.5]`, split into two optimisers with a saved state between them.
fn run(config: OptimizerConfig, size: impl Fn(usize) -> StepSize, dtype: DType) -> Vec<f32> {
    let weights = weight_of(dtype);
    let step = |optimizer: &mut Optimizer, i: usize| {
        let gradients = [gradient(GRADIENTS[i])[0].to_dtype(dtype).unwrap()];
        optimizer.step(&gradients, size(i), 1.0).unwrap();
    };
    let mut first = Optimizer::new(config, weights.clone()).unwrap();
    step(&mut first, 0);
    let mut second = Optimizer::new(config, weights.clone()).unwrap();
    second.load_state(first.state().unwrap()).unwrap();
    step(&mut second, 1);
    step(&mut second, 2);
    values(&weights)
}

/// Compares with PyTorch both ways: f32 is changed in place, f64 by candle's operations.
fn check(config: OptimizerConfig, size: impl Fn(usize) -> StepSize, want: [f32; 3]) {
    for dtype in [DType::F32, DType::F64] {
        assert_eq!(in_place(&weight_of(dtype)[0].1), dtype == DType::F32);
        for (got, want) in run(config, &size, dtype).into_iter().zip(want) {
            assert!((got - want).abs() <= 2e-7, "{dtype:?}: got {got}, want {want}");
        }
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
    check(sgd(0.0, false, 0.0), fixed, [1.085, -2.022, 0.53]);
}

#[test]
fn sgd_with_momentum_and_decay_equals_pytorch() {
    check(sgd(0.9, false, 0.01), fixed, [1.057_837_8, -2.012_625_7, 0.529_951_4]);
}

#[test]
fn nesterov_equals_pytorch() {
    check(sgd(0.9, true, 0.01), fixed, [1.134_145_9, -2.027_411_2, 0.555_504_6]);
}

#[test]
fn adamw_equals_pytorch() {
    check(adamw(), fixed, [0.859_565_4, -1.961_907, 0.463_575_07]);
}

#[test]
fn adamw_with_a_cycled_beta1_equals_pytorch() {
    let cycled = |step| StepSize { learning_rate: 0.1, momentum: Some([0.95, 0.9, 0.85][step]) };
    check(adamw(), cycled, [0.897_290_7, -1.975_173_5, 0.476_687]);
}

#[test]
fn a_state_of_another_optimiser_or_model_is_refused_and_changes_nothing() {
    let mut adamw = Optimizer::new(adamw(), weight()).unwrap();
    let sgd = Optimizer::new(sgd(0.9, false, 0.0), weight()).unwrap();
    let error = adamw.load_state(sgd.state().unwrap()).unwrap_err().to_string();
    assert!(error.contains("no `step`") && error.contains("another optimiser"), "{error}");

    let mut state = adamw.state().unwrap();
    state.insert("exp_avg.w".to_owned(), Tensor::zeros(4, DType::F32, &Device::Cpu).unwrap());
    let error = adamw.load_state(state).unwrap_err().to_string();
    assert!(
        error.contains("exp_avg.w") && error.contains("[4]") && error.contains("[3]"),
        "{error}"
    );
}

#[test]
fn a_scale_does_what_scaled_gradients_do() {
    for config in [sgd(0.0, false, 0.0), sgd(0.9, true, 0.01), adamw()] {
        let (scaled, plain) = (weight(), weight());
        let mut with_scale = Optimizer::new(config, scaled.clone()).unwrap();
        let mut without = Optimizer::new(config, plain.clone()).unwrap();
        for (i, gradients) in GRADIENTS.into_iter().enumerate() {
            with_scale.step(&gradient(gradients), fixed(i), 0.3).unwrap();
            without.step(&gradient(gradients.map(|g| g * 0.3)), fixed(i), 1.0).unwrap();
        }
        assert_eq!(values(&scaled), values(&plain));
    }
}

#[test]
fn a_step_is_seen_through_shared_storage_but_not_in_a_saved_state() {
    for config in [sgd(0.9, false, 0.0), adamw()] {
        let weights = weight();
        let shared = weights[0].1.as_detached_tensor();
        let mut optimizer = Optimizer::new(config, weights.clone()).unwrap();
        optimizer.step(&gradient(GRADIENTS[0]), fixed(0), 1.0).unwrap();
        let all = |state: &BTreeMap<String, Tensor>| -> Vec<f32> {
            let slots = state.iter().filter(|(name, _)| name.ends_with(".w"));
            slots.flat_map(|(_, slot)| slot.to_vec1::<f32>().unwrap()).collect()
        };
        let state = optimizer.state().unwrap();
        let before = all(&state);
        optimizer.step(&gradient(GRADIENTS[1]), fixed(1), 1.0).unwrap();
        assert_eq!(all(&state), before);
        assert_ne!(all(&optimizer.state().unwrap()), before);
        assert_eq!(shared.to_vec1::<f32>().unwrap(), values(&weights));
    }
}

#[test]
fn a_gradient_may_lie_in_any_layout() {
    for config in [sgd(0.9, false, 0.0), adamw()] {
        let ones = || {
            let var = Var::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
            vec![("w".to_owned(), var)]
        };
        let (straight, turned) = (ones(), ones());
        let rows = Tensor::new(&[[0.1f32, 0.2, 0.3], [0.4, 0.5, 0.6]], &Device::Cpu).unwrap();
        let columns = rows.t().unwrap().contiguous().unwrap().t().unwrap();
        assert!(!columns.is_contiguous());
        for (weights, gradient) in [(&straight, rows), (&turned, columns)] {
            let mut optimizer = Optimizer::new(config, weights.clone()).unwrap();
            optimizer.step(&[gradient], fixed(0), 1.0).unwrap();
        }
        assert_eq!(values(&straight), values(&turned));
        assert_ne!(values(&straight), [1.0; 6]);
    }
}

#[test]
fn a_gradient_of_another_shape_or_in_the_weights_own_memory_is_refused() {
    for config in [sgd(0.0, false, 0.0), sgd(0.9, false, 0.0), adamw()] {
        let weights = weight();
        let mut optimizer = Optimizer::new(config, weights.clone()).unwrap();
        let turned = Tensor::ones((3, 1), DType::F32, &Device::Cpu).unwrap();
        let error = optimizer.step(&[turned], fixed(0), 1.0).unwrap_err().to_string();
        assert!(error.contains("[3]") && error.contains("[3, 1]"), "{error}");
        let itself = weights[0].1.as_detached_tensor();
        let error = optimizer.step(&[itself], fixed(0), 1.0).unwrap_err().to_string();
        assert!(error.contains("shares storage"), "{error}");
        assert_eq!(values(&weights), [1.0, -2.0, 0.5]);
    }
}
