use candle_core::ModuleT;
use cifar_models::Model;

use super::*;
use crate::reread::{Reread, RereadNet};
use crate::test_models;

/// The folded net, and the largest difference of its logits from the model's.
fn folded(model: &Model) -> (Net, Folding, f32) {
    let tensors = model.variables.iter().map(|v| (v.name.clone(), v.var.as_tensor().clone()));
    let mut tensors: HashMap<String, Tensor> = tensors.collect();
    let (net, folding) = fold(&model.net, &mut tensors).unwrap();
    let names: Vec<String> = net.parameters().into_iter().map(|spec| spec.name).collect();
    let mut left: Vec<&String> = tensors.keys().collect();
    left.sort();
    let mut wanted: Vec<&String> = names.iter().collect();
    wanted.sort();
    assert_eq!(left, wanted, "nothing is missing or left over");
    let images = test_models::images(&net, 5);
    let want = model.module.forward_t(&images, false).unwrap();
    let got = RereadNet::new(&net, tensors).unwrap().logits(&images).unwrap();
    let difference = (want - got).unwrap().abs().unwrap().max_all().unwrap();
    (net, folding, difference.to_scalar().unwrap())
}

#[test]
fn every_norm_after_a_convolution_goes_and_the_logits_stay() {
    let (net, folding, difference) = folded(&test_models::residual(1.0));
    assert_eq!(folding.folded, ["stem.1", "block.conv.1", "block.shortcut.1", "grouped.mean_norm"]);
    assert_eq!(folding.kept, ["grouped.late"]);
    assert!(difference < 1e-5, "{difference:e}");
    assert!(net.steps().is_ok());
}

#[test]
fn airnets_norms_go_over_its_maxima() {
    let model = test_models::of("airnet94");
    let (_, folding, difference) = folded(&model);
    assert_eq!((folding.folded.len(), folding.kept.len()), (6, 0));
    assert!(difference < 1e-5, "{difference:e}");
}

#[test]
fn a_negative_scale_stays_behind_a_maximum() {
    let model = test_models::of("airnet94");
    let name = "layers.2.norm1.weight";
    let weight = &model.variables.iter().find(|v| v.name == name).unwrap().var;
    weight.set(&weight.neg().unwrap()).unwrap();
    let (_, folding, difference) = folded(&model);
    assert_eq!(folding.kept, ["layers.2.norm1"]);
    assert!(difference < 1e-5, "{difference:e}");
}
