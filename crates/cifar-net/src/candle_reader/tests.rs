//! The reader against the net's own account of itself and against arithmetic done by hand.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Var};
use candle_nn::VarMap;

use super::*;
use crate::{BatchNorm2d, ParameterKind, test_nets};

/// A net on fresh variables, and those variables.
fn on_variables(net: &Net) -> (CandleNet, VarMap) {
    let variables = VarMap::new();
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    (CandleNet::new(net, vb).unwrap(), variables)
}

fn var(variables: &VarMap, name: &str) -> Var {
    variables.data().lock().unwrap()[name].clone()
}

fn floats(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// Values that differ from each other and repeat nowhere in a small batch.
fn images(n: usize, [c, h, w]: [usize; 3]) -> Tensor {
    let values: Vec<f32> = (0..n * c * h * w).map(|i| ((i * 37 + 11) as f32 * 0.7).sin()).collect();
    Tensor::from_vec(values, (n, c, h, w), &Device::Cpu).unwrap()
}

/// One batch norm over two channels of a 1x1 image, then flat to two classes.
fn lone_norm() -> Net {
    Net {
        name: "norm".into(),
        input: [2, 1, 1],
        n_classes: 2,
        layers: vec![Node::new("bn", BatchNorm2d::new(2)), Node::new("flatten", Layer::Flatten)],
    }
}

#[test]
fn every_output_has_the_shape_the_net_infers() {
    let net = test_nets::residual();
    let (module, _) = on_variables(&net);
    for mode in [Mode::Train, Mode::Eval] {
        let mut seen = Vec::new();
        let mut tap = |path: &str, ys: &Tensor| seen.push((path.to_owned(), ys.dims().to_vec()));
        module.forward_with_taps(&images(3, net.input), mode, &mut tap).unwrap();
        let inferred: Vec<_> = net
            .steps()
            .unwrap()
            .into_iter()
            .map(|step| (step.path, [vec![3], step.output.dims()].concat()))
            .collect();
        assert_eq!(seen, inferred);
    }
}

#[test]
fn the_variables_are_exactly_the_nets_parameters() {
    let net = test_nets::residual();
    let (_, variables) = on_variables(&net);
    let specs = net.parameters();
    let held = variables.data().lock().unwrap();
    assert_eq!(held.len(), specs.len());
    for spec in &specs {
        let var = &held[&spec.name];
        assert_eq!((var.dims(), var.dtype()), (&spec.shape[..], spec.dtype), "{}", spec.name);
    }
}

#[test]
fn gradient_reaches_every_weight_and_no_buffer() {
    let net = test_nets::residual();
    let (module, variables) = on_variables(&net);
    let logits = module.forward_t(&images(4, net.input), true).unwrap();
    // Squared, so that nothing cancels: a plain sum behind batch norm has gradient 0.
    let gradients = logits.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    for spec in net.parameters() {
        let gradient = gradients.get(var(&variables, &spec.name).as_tensor());
        match spec.kind {
            ParameterKind::Weight => {
                let gradient = floats(gradient.unwrap());
                assert!(gradient.iter().any(|g| g.abs() > 1e-6), "{} has none", spec.name);
                assert!(gradient.iter().all(|g| g.is_finite()), "{}", spec.name);
            }
            ParameterKind::Frozen => panic!("{} is frozen", spec.name),
            ParameterKind::Buffer => assert!(gradient.is_none(), "{}", spec.name),
        }
    }
}

#[test]
fn batch_norm_keeps_pytorchs_running_statistics() {
    let (module, variables) = on_variables(&lone_norm());
    // channel 0: 1 2 3 6 (mean 3, biased variance 3.5, unbiased 14/3); channel 1: four times 5
    let batch: Vec<f32> = vec![1.0, 5.0, 2.0, 5.0, 3.0, 5.0, 6.0, 5.0];
    let batch = Tensor::from_vec(batch, (4, 2, 1, 1), &Device::Cpu).unwrap();
    let normed = floats(&module.forward_t(&batch, true).unwrap());
    let std = 3.5f32.sqrt();
    let by_hand = [-2.0 / std, 0.0, -1.0 / std, 0.0, 0.0, 0.0, 3.0 / std, 0.0];
    assert_close(&normed, &by_hand);

    // 0.9 * 0 + 0.1 * 3, 0.9 * 1 + 0.1 * 14/3
    assert_close(&floats(&var(&variables, "bn.running_mean")), &[0.3, 0.5]);
    assert_close(&floats(&var(&variables, "bn.running_var")), &[0.9 + 1.4 / 3.0, 0.9]);
    module.forward_t(&batch, true).unwrap();
    assert_close(&floats(&var(&variables, "bn.running_mean")), &[0.57, 0.95]);
    assert_close(&floats(&var(&variables, "bn.running_var")), &[0.81 + 0.19 * 14.0 / 3.0, 0.81]);
    let tracked = var(&variables, "bn.num_batches_tracked");
    assert_eq!(tracked.to_scalar::<i64>().unwrap(), 2);
}

#[test]
fn evaluation_uses_the_running_statistics_and_changes_nothing() {
    let (module, variables) = on_variables(&lone_norm());
    let set = |name: &str, values: [f32; 2]| {
        var(&variables, name).set(&Tensor::new(&values, &Device::Cpu).unwrap()).unwrap();
    };
    set("bn.running_mean", [1.0, -1.0]);
    set("bn.running_var", [4.0, 0.25]);
    set("bn.weight", [3.0, 2.0]);
    set("bn.bias", [10.0, 20.0]);
    let image = Tensor::new(&[5.0f32, 0.0], &Device::Cpu).unwrap().reshape((1, 2, 1, 1)).unwrap();
    let before = snapshot(&variables);
    let ys = floats(&module.forward_t(&image, false).unwrap());
    assert_close(&ys, &[10.0 + 3.0 * 2.0, 20.0 + 2.0 * 2.0]);
    assert_eq!(snapshot(&variables), before);
}

#[test]
fn training_on_one_value_per_channel_is_refused_and_changes_nothing() {
    let (module, variables) = on_variables(&lone_norm());
    let before = snapshot(&variables);
    let err = module.forward_t(&images(1, [2, 1, 1]), true).unwrap_err().to_string();
    assert!(err.contains("`bn`") && err.contains("more than 1 value per channel"), "{err}");
    assert!(err.contains("[1, 2, 1, 1]"), "{err}");
    assert_eq!(snapshot(&variables), before);
    module.forward_t(&images(2, [2, 1, 1]), true).unwrap();
}

#[test]
fn images_of_another_shape_are_refused_by_net_and_shape() {
    let net = test_nets::residual();
    let (module, _) = on_variables(&net);
    for dims in [&[2, 1, 9, 8][..], &[2, 3, 8, 9], &[3, 9, 8], &[0, 3, 9, 8], &[3]] {
        let images = Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
        let err = module.forward_t(&images, false).unwrap_err().to_string();
        let expected = format!("residual: images have the shape {dims:?}, expected [N, 3, 9, 8]");
        assert!(err.starts_with(&expected), "{err}");
    }
}

#[test]
fn a_missing_or_misshapen_tensor_is_named() {
    let empty = VarBuilder::from_tensors(Default::default(), DType::F32, &Device::Cpu);
    let err = CandleNet::new(&test_nets::residual(), empty).unwrap_err().to_string();
    assert!(err.contains("stem.0.weight"), "{err}");

    let (_, variables) = on_variables(&test_nets::residual());
    let mut wider = test_nets::residual();
    wider.input = [5, 9, 8];
    let vb = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
    let err = CandleNet::new(&wider, vb).unwrap_err().to_string();
    assert!(err.contains("layer `stem.0` (Conv2d) receives 5x9x8"), "{err}");
}

fn snapshot(variables: &VarMap) -> BTreeMap<String, Vec<f64>> {
    let held = variables.data().lock().unwrap();
    let values = |var: &Var| var.to_dtype(DType::F64)?.flatten_all()?.to_vec1();
    held.iter().map(|(name, var)| (name.clone(), values(var).unwrap())).collect()
}

fn assert_close(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    for (g, w) in got.iter().zip(want) {
        // 2e-5: eps 1e-5 shifts a variance of 3.5 by 1.4e-6 of itself, of 0.25 by 2e-5.
        assert!((g - w).abs() <= 2e-5 * w.abs().max(1.0), "got {got:?}, want {want:?}");
    }
}

/// Doubling one layer's output doubles what a linear rest makes of it.
#[test]
fn a_hook_replaces_an_output_and_its_error_names_the_layer() {
    let net = test_nets::residual();
    let (module, variables) = on_variables(&net);
    var(&variables, "fc.bias").set(&Tensor::zeros(5, DType::F32, &Device::Cpu).unwrap()).unwrap();
    let xs = images(2, net.input);
    let plain = module.forward_t(&xs, false).unwrap();
    let mut double = |path: &str, ys: Tensor| if path == "pool" { ys * 2.0 } else { Ok(ys) };
    let doubled = module.forward_with_hooks(&xs, Mode::Eval, &mut double).unwrap();
    assert_eq!(floats(&doubled), floats(&(plain * 2.0).unwrap()));

    let mut fail = |path: &str, ys: Tensor| match path {
        "block" => Err(Error::Msg("no".into())),
        _ => Ok(ys),
    };
    let error = module.forward_with_hooks(&xs, Mode::Eval, &mut fail).unwrap_err().to_string();
    assert!(error.contains("`block`"), "{error}");
}
